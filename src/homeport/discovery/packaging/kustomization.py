"""Kustomizations read as files: their resources, patches and images transformers. Nothing is built, nothing remote is fetched."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from homeport.discovery.documents import parse_documents
from homeport.discovery.inputs import Source, read_file
from homeport.discovery.kinds import KUSTOMIZATION_FILES, is_kustomization
from homeport.discovery.packaging.transformer import (
    PATCHES,
    Field,
    ImageRule,
    Override,
    fields_of,
    image_rules,
    overrides_of,
)
from homeport.discovery.tree import is_list, is_map, text_of
from homeport.errors import InputError

_BELOW: Final = ("resources", "bases")
_GENERATORS: Final = {"configMapGenerator": "ConfigMap", "secretGenerator": "Secret"}
_UNREAD: Final = ("helmCharts", "helmChartInflationGenerator", "generators", "transformers", "replacements", "vars")
_MANIFESTS: Final = (".yaml", ".yml", ".json")
_MAX_KUSTOMIZATIONS: Final = 1_000
_HINT: Final = "Scan the output of kustomize build instead."

Step = ImageRule | Override


class Resource(msgspec.Struct, frozen=True):
    """A file of a kustomization, and what its images go through, in this order. `patch` tells that it is none of its own."""

    source: Source
    steps: tuple[Step, ...] = ()
    patch: bool = False

    def then(self, steps: Iterable[Step]) -> "Resource":
        """Return the same with more to go through."""
        return msgspec.structs.replace(self, steps=(*self.steps, *steps))


Found = Resource | InputError


def kustomization_file(path: Path) -> Path | None:
    """Return the file that makes a folder a kustomization."""
    return next((path / name for name in KUSTOMIZATION_FILES if (path / name).is_file()), None)


def read_kustomization(folder: Path, max_size: int, known: Mapping[str, Source] | None = None) -> list[Found]:
    """Return the files of a kustomization and of those it builds upon; what is not read is an error that says so.

    `known` are texts that count in place of the files with these real paths.
    """
    return _Reader(max_size, known or {}).read(folder).found


def roots_of(sources: Iterable[Source]) -> list[Path]:
    """Return the folders of the kustomizations among texts that no other one among them builds upon."""
    folders: dict[str, Path] = {}
    below: set[str] = set()
    for source in sources:
        root = _root(source) if source.path is not None and source.path.name in KUSTOMIZATION_FILES else None
        if source.path is None or root is None or not is_kustomization(root, source.name):
            continue
        folder = source.path.parent
        folders[os.path.realpath(folder)] = folder
        for key in (*_BELOW, "components"):
            below.update(os.path.realpath(folder / entry) for entry in _texts(root.get(key)) if "://" not in entry)
    return [folder for real, folder in folders.items() if real not in below]


class _Read(msgspec.Struct, frozen=True):
    """What is gathered from one entry: files, and for a kustomization its own rules, and what its `configurations` add.

    Those count for whoever builds upon it, too (kustomize ResAccumulator.MergeAccumulator).
    """

    found: list[Found] = []
    rules: tuple[ImageRule, ...] = ()
    fields: tuple[Field, ...] = ()


class _Reader:
    """Reads kustomizations, each once on its way: two may build upon the same one."""

    def __init__(self, max_size: int, known: Mapping[str, Source]) -> None:
        self.max_size, self.known = max_size, known
        self.open: list[str] = []
        self.count = 0

    def read(self, folder: Path, fields: tuple[Field, ...] = ()) -> _Read:
        """Read a kustomization; `fields` are those that count already where it is a component."""
        file = kustomization_file(folder)
        real = os.path.realpath(folder)
        self.count += 1
        if self.count > _MAX_KUSTOMIZATIONS:
            reason = f"more than {_MAX_KUSTOMIZATIONS:,} kustomizations, and is not read"
            return _Read([InputError(reason, file=str(folder))])
        if file is None or real in self.open:
            return _Read()
        self.open.append(real)
        try:
            own = self._file(file, str(file.name))
            documents = parse_documents(own)
        except InputError as error:
            return _Read([error])
        else:
            root = documents[0].root if documents else None
            return self._kustomization(file, root, own, fields) if is_map(root) else _Read()
        finally:
            self.open.pop()

    def _kustomization(self, file: Path, root: Any, own: Source, fields: tuple[Field, ...]) -> _Read:
        folder = file.parent
        found: list[Found] = [
            InputError(f"{key} is not read", file=own.name, hint=_HINT) for key in _UNREAD if root.get(key)
        ]
        for entry in (entry for key in _BELOW for entry in _texts(root.get(key))):
            below = self._entry(folder, entry, own)
            found += below.found
            fields += below.fields
        for entry in _texts(root.get("components")):
            # A component works on all that its kustomization has gathered before it.
            component = self._entry(folder, entry, own, fields)
            found = [*_all_then(found, component.rules), *component.found]
            fields += component.fields
        found += self._generated(folder, root, own)
        patches = [Resource(own, patch=True), *self._patches(folder, root, own)]
        overrides = [it for patch in patches if isinstance(patch, Resource) for it in overrides_of(patch.source)]
        found = [*_all_then(found, overrides), *patches]
        fields += tuple(self._configured(folder, root))
        rules = tuple(image_rules(root, os.path.realpath(file), tuple(dict.fromkeys(fields))))
        return _Read(_all_then(found, rules), rules, fields)

    def _configured(self, folder: Path, root: Any) -> Iterator[Field]:
        """Yield the fields that a kustomization's transformers look at besides the usual ones."""
        for entry in _texts(root.get("configurations")):
            try:
                yield from fields_of(_root(self._file(folder / entry, entry)))
            except InputError:
                continue  # a configuration that is missing is kustomize's to complain about

    def _patches(self, folder: Path, root: Any, own: Source) -> Iterator[Found]:
        for key in PATCHES:
            patches = root.get(key)
            for patch in patches if is_list(patches) else ():
                entry = text_of(patch.get("path")) if is_map(patch) else text_of(patch)
                if entry and "\n" not in entry and entry[:1] not in "{[":
                    for found in self._entry(folder, entry, own).found:
                        yield msgspec.structs.replace(found, patch=True) if isinstance(found, Resource) else found

    def _generated(self, folder: Path, root: Any, own: Source) -> Iterator[Found]:
        """Yield the files that ConfigMaps are made of: manifests as they are, other texts as the ConfigMap that they become."""
        for key, kind in _GENERATORS.items():
            generators = root.get(key)
            for generator in generators if is_list(generators) else ():
                if not is_map(generator):
                    continue
                files = [(entry.rpartition("=")[2], kind) for entry in _texts(generator.get("files"))]
                files += [(entry, kind) for entry in (*_texts(generator.get("envs")), text_of(generator.get("env")))]
                name = text_of(generator.get("name"))
                for entry, made in filter(lambda it: it[0], files):
                    for found in self._entry(folder, entry, own).found:
                        if isinstance(found, Resource):
                            yield _as_data(found, made, name)
                        elif entry.endswith(_MANIFESTS) or not (folder / entry).is_file():
                            yield found  # other files need be no text

    def _entry(self, folder: Path, entry: str, own: Source, fields: tuple[Field, ...] = ()) -> _Read:
        path = folder / entry
        if path.is_dir() and kustomization_file(path) is not None:
            return self.read(path, fields)
        try:
            self._check(folder, entry, own)
            return _Read([Resource(self._file(path, entry))])
        except InputError as error:
            return _Read([error])

    def _check(self, folder: Path, entry: str, own: Source) -> None:
        path = folder / entry
        if "://" in entry or "?ref=" in entry or entry.startswith(("git@", "github.com/")):
            raise InputError(f"{entry} is remote, and is not read", file=own.name, hint=_HINT)
        if path.is_dir():
            raise InputError(f"{entry} is a folder without a kustomization", file=own.name)
        if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
            # kustomize refuses this, too: a kustomization reads no files outside of its folder.
            raise InputError(f"{entry} is outside of the kustomization's folder, and is not read", file=own.name)

    def _file(self, path: Path, name: str) -> Source:
        known = self.known.get(os.path.realpath(path)) if self.known else None
        return known if known is not None else read_file(path, name, self.max_size)


def _all_then(found: list[Found], steps: Iterable[Step]) -> list[Found]:
    more = tuple(steps)
    return [it.then(more) if isinstance(it, Resource) else it for it in found]


def _as_data(resource: Resource, kind: str, name: str) -> Resource:
    """Return a file that is no manifest as the object that is made of it: then its text is looked into like any other string."""
    source = resource.source
    if source.relative.endswith(_MANIFESTS):
        return resource
    made = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}
    made["stringData" if kind == "Secret" else "data"] = {Path(source.relative).name: source.text}
    return Resource(
        Source(source.name, json.dumps(made, ensure_ascii=False), path=source.path, relative=source.relative)
    )


def _root(source: Source) -> Any:
    try:
        documents = parse_documents(source)
    except InputError:
        return None
    return documents[0].root if documents else None


def _texts(value: object) -> Iterator[str]:
    yield from filter(None, map(text_of, value if is_list(value) else ()))
