"""Helm charts as files: what they are called, their values, their dependencies, and templates read for what they say."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from homeport.discovery.documents import parse_documents
from homeport.discovery.inputs import Source, decode
from homeport.discovery.packaging.archives import is_archive, read_archive
from homeport.discovery.tree import is_list, is_map, text_of
from homeport.errors import InputError

CHART_FILE: Final = "Chart.yaml"
VALUES_FILE: Final = "values.yaml"
MAX_DEPTH: Final = 10
_MAX_FILES: Final = 10_000
_MANIFESTS: Final = (".yaml", ".yml", ".json")
_ACTION: Final = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_WHOLLY: Final = re.compile(r"(:[ \t]+|- )([\"']?)[/:@._-]*\$[$/:@._-]*\2(?=[ \t]*\r?$)", re.MULTILINE)
_NO_BREAK: Final = re.compile(r"[^\r\n]")


class Chart(msgspec.Struct, frozen=True):
    """A chart: its files by their names in it, and the charts that it contains, by the key of their values."""

    name: str
    title: str
    files: dict[str, bytes]
    parts: dict[str, "Chart"]
    path: Path | None = None


def is_chart(path: Path) -> bool:
    """Tell whether a path is a chart: a folder with Chart.yaml, or an archive of one, which is told by its name."""
    return (path / CHART_FILE).is_file() if path.is_dir() else is_archive(path) and path.is_file()


def read_chart(path: Path, max_size: int) -> Chart:
    """Read a chart with everything in it; raises InputError."""
    name = str(path)
    if path.is_dir():
        return _chart(_folder(path, max_size), name, path)
    try:
        with path.open("rb") as file:
            content = file.read(max_size + 1)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", file=name) from error
    if len(content) > max_size:
        raise InputError(
            f"the archive is larger than {max_size:,} bytes", file=name, hint="--max-size raises the limit."
        )
    return _chart(_unpack(content, name), name)


def values_of(chart: Chart, max_size: int) -> Source | None:
    """Return a chart's own values; raises InputError where they are no text."""
    content = chart.files.get(VALUES_FILE)
    return None if content is None else _source(chart, VALUES_FILE, content, max_size)


def unrendered(chart: Chart, max_size: int) -> Iterator[Source | InputError]:
    """Yield all that a chart and its parts say without rendering: values, custom resources, templates without their actions.

    A template's text keeps its length, so that places in it are places in the file.
    """
    for inside, content in sorted(chart.files.items()):
        folder = inside.partition("/")[0]
        if not inside.endswith(_MANIFESTS) or (folder != inside and folder not in {"templates", "crds"}):
            continue
        if inside in {"values.schema.json", "Chart.yaml", "requirements.yaml"}:
            continue
        try:
            source = _source(chart, inside, content, max_size)
        except InputError as error:
            yield error
            continue
        if folder == "templates":
            source = msgspec.structs.replace(source, text=without_actions(source.text))
            try:
                parse_documents(source)
            except InputError:
                continue  # a template in earnest: only rendering tells what it says
        yield source
    for part in chart.parts.values():
        yield from unrendered(part, max_size)


def without_actions(text: str) -> str:
    """Return a template with its actions blanked, in its length: a value that is nothing else is then none, as values say it.

    What stands in a value beside other text becomes a variable.
    """

    def blank(match: re.Match[str]) -> str:
        start = text.rfind("\n", 0, match.start()) + 1
        end = text.find("\n", match.end())
        line = text[start : match.start()] + text[match.end() : len(text) if end < 0 else end]
        alone = not _ACTION.sub("", line).strip(" \t\r\"'")
        return _NO_BREAK.sub(" " if alone else "$", match.group())

    return _WHOLLY.sub(lambda match: match[1] + " " * (len(match[0]) - len(match[1])), _ACTION.sub(blank, text))


def _chart(files: dict[str, bytes], name: str, path: Path | None = None, depth: int = 0) -> Chart:
    if CHART_FILE not in files:
        raise InputError(f"there is no {CHART_FILE} in it, so it is no Helm chart", file=name)
    if depth > MAX_DEPTH:
        raise InputError(f"charts in charts, more than {MAX_DEPTH} deep", file=name)
    metadata = _metadata(files, name)
    own: dict[str, bytes] = {}
    below: dict[str, dict[str, bytes]] = {}
    for inside, content in files.items():
        folder, _, rest = inside.partition("/")
        part, _, file = rest.partition("/")
        if folder != "charts":
            own[inside] = content
        elif file:
            below.setdefault(part, {})[file] = content
        elif part.endswith(".tgz"):
            below[part] = _unpack(content, f"{name}/{inside}")
    found = [_chart(it, f"{name}/charts/{part}", None, depth + 1) for part, it in below.items() if CHART_FILE in it]
    keys = _keys(metadata)
    parts = {key: part for part in found for key in keys.get(part.title, [part.title])}
    return Chart(name, text_of(metadata.get("name")) or Path(name).name, own, parts, path)


def _metadata(files: dict[str, bytes], name: str) -> dict[str, Any]:
    place = f"{name}/{CHART_FILE}"
    documents = parse_documents(decode(place, files[CHART_FILE], len(files[CHART_FILE])))
    root = documents[0].root if documents else None
    if not is_map(root):
        raise InputError("this is no description of a chart", file=place)
    return dict(root)


def _keys(metadata: dict[str, Any]) -> dict[str, list[str]]:
    """Return under which keys the values of each dependency stand: its aliases, or its name (helm.sh/docs/topics/charts)."""
    keys: dict[str, list[str]] = {}
    dependencies = metadata.get("dependencies")
    for dependency in dependencies if is_list(dependencies) else ():
        if is_map(dependency) and (name := text_of(dependency.get("name"))):
            keys.setdefault(name, []).append(text_of(dependency.get("alias")) or name)
    return keys


def _unpack(content: bytes, name: str) -> dict[str, bytes]:
    """Return an archive's files without the folder that they are packed in."""
    packed = read_archive(content, name)
    top = min((inside for inside in packed if inside.endswith(f"/{CHART_FILE}")), key=len, default="")
    folder = top.removesuffix(CHART_FILE)
    return {inside.removeprefix(folder): it for inside, it in packed.items() if inside.startswith(folder)}


def _folder(path: Path, max_size: int) -> dict[str, bytes]:
    """Read a chart's folder; symbolic links that lead out of it are left out, as archives have none."""
    files: dict[str, bytes] = {}
    root = path.resolve()
    for number, file in enumerate(sorted(path.rglob("*"))):
        if number > _MAX_FILES:
            raise InputError(f"the chart has more than {_MAX_FILES:,} files", file=str(path))
        wanted = file.suffix in _MANIFESTS or is_archive(file)
        if not wanted or not file.is_file() or not file.resolve().is_relative_to(root):
            continue
        try:
            if file.stat().st_size <= max_size:
                files[file.relative_to(path).as_posix()] = file.read_bytes()
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror or error}", file=str(file)) from error
    return files


def _source(chart: Chart, inside: str, content: bytes, max_size: int) -> Source:
    place = chart.path / inside if chart.path else None
    source = decode(f"{chart.name}/{inside}", content, max_size)
    return msgspec.structs.replace(source, path=place, relative=inside)
