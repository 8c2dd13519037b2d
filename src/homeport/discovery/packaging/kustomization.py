"""Kustomizations read as files: their resources, patches and images transformers. Nothing is built, nothing remote is fetched."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from homeport.discovery.documents import parse_documents
from homeport.discovery.inputs import Source, read_file
from homeport.discovery.tree import is_list, is_map, text_of
from homeport.errors import InputError

KUSTOMIZATION_FILES: Final = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_BELOW: Final = ("resources", "bases", "components")
_PATCHES: Final = ("patches", "patchesStrategicMerge", "patchesJson6902")
_UNREAD: Final = ("helmCharts", "helmChartInflationGenerator", "generators", "transformers", "replacements", "vars")
_MAX_KUSTOMIZATIONS: Final = 1_000


class ImageRule(msgspec.Struct, frozen=True):
    """One entry of an images transformer: the name as it is written in resources, and what replaces its parts."""

    name: str
    new_name: str = ""
    new_tag: str = ""
    digest: str = ""

    def apply(self, text: str) -> str:
        """Return an image's text after this rule (kustomize api/filters/imagetag: a new tag or digest drops the old ones)."""
        name, suffix = cut_name(text)
        if name != self.name:
            return text
        if self.new_tag or self.digest:
            suffix = (f":{self.new_tag}" if self.new_tag else "") + (f"@{self.digest}" if self.digest else "")
        return (self.new_name or name) + suffix


class Resource(msgspec.Struct, frozen=True):
    """A file of a kustomization, and the rules that its images go through, in this order."""

    source: Source
    rules: tuple[tuple[ImageRule, ...], ...] = ()


def kustomization_file(path: Path) -> Path | None:
    """Return the file that makes a folder a kustomization."""
    return next((path / name for name in KUSTOMIZATION_FILES if (path / name).is_file()), None)


def read_kustomization(folder: Path, max_size: int) -> Iterator[Resource | InputError]:
    """Yield the files of a kustomization and of those it builds upon; what is not read is an error that says so."""
    yield from _Reader(max_size).read(folder)


def cut_name(text: str) -> tuple[str, str]:
    """Cut an image's text before its tag or digest."""
    name = text.partition("@")[0]
    colon = name.find(":", name.rfind("/") + 1)
    return (text[:colon], text[colon:]) if colon >= 0 else (name, text[len(name) :])


class _Reader:
    """Reads kustomizations, each once."""

    def __init__(self, max_size: int) -> None:
        self.max_size = max_size
        self.seen: set[str] = set()

    def read(self, folder: Path) -> Iterator[Resource | InputError]:
        file = kustomization_file(folder)
        real = os.path.realpath(folder)
        if file is None or real in self.seen or len(self.seen) >= _MAX_KUSTOMIZATIONS:
            return
        self.seen.add(real)
        try:
            own = read_file(file, str(file.name), self.max_size)
            documents = parse_documents(own)
        except InputError as error:
            yield error
            return
        root = documents[0].root if documents else None
        if not is_map(root):
            return
        rules = tuple(image_rules(root))
        for found in self._below(folder, root, own):
            yield msgspec.structs.replace(found, rules=(*found.rules, rules)) if isinstance(found, Resource) else found

    def _below(self, folder: Path, root: Any, own: Source) -> Iterator[Resource | InputError]:
        for key in _UNREAD:
            if root.get(key):
                yield InputError(
                    f"{key} is not read", file=own.name, hint="Scan the output of kustomize build instead."
                )
        for key in _BELOW:
            for entry in _texts(root.get(key)):
                yield from self._entry(folder, entry, own)
        yield Resource(own)  # patches may be written into it
        for key in _PATCHES:
            patches = root.get(key)
            for patch in patches if is_list(patches) else ():
                entry = text_of(patch.get("path")) if is_map(patch) else text_of(patch)
                if entry and "\n" not in entry:
                    yield from self._entry(folder, entry, own)

    def _entry(self, folder: Path, entry: str, own: Source) -> Iterator[Resource | InputError]:
        path = folder / entry
        if "://" in entry or "?ref=" in entry or entry.startswith(("git@", "github.com/")):
            yield InputError(
                f"{entry} is remote, and is not read", file=own.name, hint="Scan the output of kustomize build instead."
            )
        elif path.is_dir():
            if kustomization_file(path) is None:
                yield InputError(f"{entry} is a folder without a kustomization", file=own.name)
            yield from self.read(path)
        elif not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
            # kustomize refuses this, too: a kustomization reads no files outside of its folder.
            yield InputError(f"{entry} is outside of the kustomization's folder, and is not read", file=own.name)
        else:
            try:
                yield Resource(read_file(path, entry, self.max_size))
            except InputError as error:
                yield error


def image_rules(root: object) -> Iterator[ImageRule]:
    """Yield the entries of a kustomization's images transformer."""
    images = root.get("images") if is_map(root) else None
    for image in images if is_list(images) else ():
        if is_map(image) and (name := text_of(image.get("name"))):
            yield ImageRule(name, *(text_of(image.get(key)) for key in ("newName", "newTag", "digest")))


def _texts(value: object) -> Iterator[str]:
    yield from filter(None, map(text_of, value if is_list(value) else ()))
