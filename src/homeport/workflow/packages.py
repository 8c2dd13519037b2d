"""Whatever people name as manifests: files, folders, patterns, charts, kustomizations; read as texts."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from homeport.discovery.documents import parse_documents
from homeport.discovery.findings import Finding
from homeport.discovery.inputs import STDIN, Source, read_inputs
from homeport.discovery.knowledge import Knowledge
from homeport.discovery.packaging.charts import is_chart
from homeport.discovery.packaging.kustomization import Resource, kustomization_file, read_kustomization
from homeport.discovery.walk import CONTAINER_LISTS, walk
from homeport.errors import InputError
from homeport.relocation.splice import Splice, respell, splice
from homeport.workflow.helm import Settings, read_package

_MARKS: Final = frozenset("*?[")
_TRANSFORMED: Final = tuple(f"{name}[" for name in CONTAINER_LISTS[:2])


def read_packages(
    names: Sequence[str],
    *,
    stdin: BinaryIO,
    max_size: int,
    settings: Settings | None = None,
    rewriting: bool = False,
) -> tuple[list[Source], list[InputError]]:
    """Read all that names stand for; what cannot be read, or not wholly, comes back as an error.

    Kustomizations are read with their images transformers applied. For `rewriting` they are plain folders, and a chart counts only
    where it is rendered, for what is written out must be whole. A folder with charts or kustomizations somewhere below it is read as
    plain files.
    """
    sources: list[Source] = []
    errors: list[InputError] = []
    for name in _expand(names, errors):
        path = Path(name)
        if name != STDIN and is_chart(path):
            found: Iterator[Source | InputError] = _safely(
                read_package(path, settings or Settings(), max_size, rendered_only=rewriting)
            )
        elif not rewriting and name != STDIN and path.is_dir() and kustomization_file(path):
            found = (transformed(it) if isinstance(it, Resource) else it for it in read_kustomization(path, max_size))
        else:
            read, unread = read_inputs([name], stdin=stdin, max_size=max_size)
            found = iter([*read, *unread])
        for each in found:
            if isinstance(each, Source):
                sources.append(each)
            else:
                errors.append(each)
    return sources, errors


def transformed(resource: Resource) -> Source:
    """Return a kustomization's file as its images transformers leave it."""
    source = resource.source
    for rules in resource.rules:
        if not rules:
            continue
        changes = []
        for finding in _containers(source):
            part = finding.parts[0]
            text = part.value
            for rule in rules:
                text = rule.apply(text)
            raw = source.text[part.start : part.end]
            if text != part.value and (new := respell(raw, part.value, text)) is not None:
                changes.append(Splice(part.start, part.end, new))
        unique = {change.start: change for change in changes}
        source = msgspec.structs.replace(source, text=splice(source.text, unique.values()))
    return source


def _containers(source: Source) -> Iterator[Finding]:
    """Yield what kustomize's images transformer sees: containers and init containers, at any depth."""
    try:
        documents = parse_documents(source)
    except InputError:
        return
    for document in documents:
        for finding in walk(document.root, source.name, Knowledge(), text=source.text).findings:
            holder, _, field = finding.path.rpartition("].")
            if (
                field == "image"
                and " -> " not in holder
                and any(mark in f".{holder}".rpartition(".")[2] for mark in _TRANSFORMED)
            ):
                yield finding


def _expand(names: Sequence[str], errors: list[InputError]) -> Iterator[str]:
    for name in names:
        if name == STDIN or not _MARKS & set(name) or Path(name).exists():
            yield name
            continue
        anchor = Path(name).anchor
        matches = sorted(map(str, Path(anchor).glob(str(Path(name).relative_to(anchor)))))
        if not matches:
            errors.append(InputError("no file has such a name", file=name))
        yield from matches


def _safely(found: Iterator[Source | InputError]) -> Iterator[Source | InputError]:
    try:
        yield from found
    except InputError as error:
        yield error
