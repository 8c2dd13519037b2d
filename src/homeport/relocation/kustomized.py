"""Manifests that kustomizations build upon: what an images transformer matches stays, and its entry leads to the target.

An entry matches names as they are written, and people and pipelines speak of them by these names (``kustomize edit set image``); so
the name stays in resource and entry, and the entry's ``newName`` becomes the target's. A container that some kustomization names in
an entry and another does not gets an entry there, too. All else is rewritten where it stands.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from homeport.discovery.documents import parse_documents
from homeport.discovery.findings import Finding
from homeport.discovery.inputs import MAX_SIZE, Source
from homeport.discovery.kinds import is_kustomization
from homeport.discovery.packaging.kustomization import Found, Resource, read_kustomization, roots_of
from homeport.discovery.packaging.transformer import ImageRule, Override, cut_name, image_rules, seen_in, transform
from homeport.discovery.places import spell
from homeport.discovery.tree import is_map
from homeport.errors import InputError, InvalidReferenceError, UnprovenError
from homeport.mapping import Mapping as Names
from homeport.reference import Reference
from homeport.relocation.splice import Splice, respell, splice

_Entry = tuple[str, int]


class Asked(msgspec.Struct, frozen=True):
    """What kustomizations ask of one text. `kept` are the places of names that entries speak for, and stay.

    `renamed` says by an entry's index what its new name is to lead to, before and after; `added` are entries that are lacking,
    likewise by the name that they match. `unread` says what is not known. `references` are the images that all this is about.
    """

    kept: frozenset[int] = frozenset()
    renamed: dict[int, tuple[Reference, Reference]] = {}
    added: dict[str, tuple[Reference, Reference]] = {}
    unread: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()


NOT_ASKED: Final = Asked()


class Kustomizations:
    """The kustomizations among manifests, as they are built."""

    def __init__(self, sources: Iterable[Source], names: Names, default_registry: str) -> None:
        self.known = {os.path.realpath(it.path): it for it in sources if it.path is not None}
        self.names, self.default_registry = names, default_registry
        self.builds = {folder: self._read(folder) for folder in roots_of(self.known.values())}

    def asked(self, look: Callable[[Source], Iterable[Finding]]) -> dict[str, Asked]:
        """Return what they ask of each text, by the real path of its file; `look` finds all images of one that is not at hand."""
        return _Planned(self, look).settled()

    def root_file(self, folder: Path) -> Source:
        """Return a root's own file."""
        real = Path(os.path.realpath(folder))
        return next(it for path, it in self.known.items() if Path(path).parent == real and _is_one(it))

    def unproven(self, after: Mapping[str, Source]) -> dict[str, UnprovenError]:
        """Build again with what the texts became; return for each file that is to be left as it is why it is not proved.

        Each image must have become the target's, and no other.
        """
        found: dict[str, UnprovenError] = {}
        for folder, build in self.builds.items():
            before, then = _images(build), _images(self._read(folder, after))
            wrong = next((pair for pair in zip(before, then, strict=False) if not self._is_moved(*pair)), None)
            if wrong is None and len(before) == len(then):
                continue
            reason = (
                f"{folder}: kustomize would build {wrong[1][0]} of {wrong[0][0]}"
                if wrong
                else f"{folder}: images are lost"
            )
            for resource in _resources(build):
                found.setdefault(real_path(resource.source), UnprovenError(f"{reason}, so nothing of it is written"))
        return found

    def _is_moved(self, before: tuple[str, bool], after: tuple[str, bool]) -> bool:
        (old, is_image), (new, _) = before, after
        source, target = self.parse(old), self.parse(new)
        if source is None or not is_image:
            return old == new or source is not None
        return self.names.relocate(source) == target

    def swept(self, after: Mapping[str, Source]) -> dict[str, str]:
        """Return the texts as kustomize leaves them, by the real path of their file: what is only matched names no image."""
        texts: dict[str, str] = {}
        matched = {rule.name for it in after.values() for rule in image_rules(_root(it)) if _is_one(it)}
        for folder in self.builds:
            for resource in _resources(self._read(folder, after)):
                texts.setdefault(real_path(resource.source), _without_names(built(resource), matched))
        return texts

    def parse(self, text: str) -> Reference | None:
        """Read a name; None where it is none, a variable for example."""
        try:
            return Reference.parse(text, self.default_registry)
        except InvalidReferenceError:
            return None

    def _read(self, folder: Path, known: Mapping[str, Source] | None = None) -> list[Found]:
        return read_kustomization(folder, MAX_SIZE, known or self.known)


class _Use(msgspec.Struct, frozen=True):
    """One image of one file as one root builds it: what it becomes, and by which entries."""

    root: str
    path: str
    start: int
    text: str
    rules: tuple[ImageRule, ...]

    @property
    def place(self) -> tuple[str, int]:
        """Where it stands."""
        return self.path, self.start


class _Planned:
    """Decides for all images at once: an entry may serve many, and lead on to another entry in some of the builds alone."""

    def __init__(self, around: Kustomizations, look: Callable[[Source], Iterable[Finding]]) -> None:
        self.around, self.look = around, look
        self.uses = [use for folder, found in around.builds.items() for use in _uses(around.root_file(folder), found)]
        self.renamed: dict[_Entry, tuple[Reference, Reference]] = {}
        self.added: dict[str, dict[str, tuple[Reference, Reference]]] = {}
        self.references: dict[str, set[Reference]] = {}

    def settled(self) -> dict[str, Asked]:
        """Return what is asked of each text."""
        kept = {use.place for use in self.uses if use.rules and use.path in self.around.known}
        leading_on = {_entry(rule) for use in self.uses for rule in use.rules[:-1]}
        for use in self.uses:
            if use.place in kept or use.path not in self.around.known:
                self._lead(use, leading_on)
        unread = self._unread()
        used = {_entry(rule) for use in self.uses for rule in use.rules}
        self._unused(used, anything_unread=bool(unread))
        return {
            path: Asked(
                frozenset(start for where, start in kept if where == path),
                {index: names for (file, index), names in self.renamed.items() if file == path},
                self.added.get(path, {}),
                tuple(unread.get(path, ())),
                tuple(self.references.get(path, ())),
            )
            for path in self.around.known
        }

    def _lead(self, use: _Use, leading_on: set[_Entry]) -> None:
        """Make the last entry lead to the target, or add one to the root where none can."""
        names = self._names(use.text)
        if names is None:
            return
        self.references.setdefault(use.root, set()).add(names[0])
        if names[0] == names[1]:
            return
        last = _entry(use.rules[-1]) if use.rules else None
        if last is not None and last not in leading_on and last[0] in self.around.known:
            self.renamed[last] = names
        else:
            self.added.setdefault(use.root, {})[cut_name(use.text)[0]] = names

    def _unused(self, used: set[_Entry], *, anything_unread: bool) -> None:
        """Make entries that match nothing here lead to the target, too: what they are for may stand where nothing was read."""
        for path, source in self.around.known.items():
            for rule in image_rules(_root(source), path) if _is_one(source) else ():
                names = self._names(rule.apply(rule.name))
                if _entry(rule) not in used and names and names[0] != names[1] and (rule.new_name or anything_unread):
                    self.renamed[_entry(rule)] = names
                    self.references.setdefault(path, set()).add(names[0])

    def _names(self, text: str) -> tuple[Reference, Reference] | None:
        reference = self.around.parse(text)
        return (reference, self.around.names.relocate(reference)) if reference else None

    def _unread(self) -> dict[str, list[str]]:
        unread: dict[str, list[str]] = {}
        paths = {source.name: path for path, source in self.around.known.items()}
        for folder, found in self.around.builds.items():
            for error in found:
                if isinstance(error, InputError):
                    path = paths.get(error.file or "", real_path(self.around.root_file(folder)))
                    reasons = unread.setdefault(path, [])
                    if error.message not in reasons:
                        reasons.append(error.message)
            for resource in _resources(found):
                if real_path(resource.source) not in self.around.known:
                    root = real_path(self.around.root_file(folder))
                    unread.setdefault(root, []).extend(self._out_of_reach(resource))
        return unread

    def _out_of_reach(self, resource: Resource) -> Iterator[str]:
        """Name the images of a file that is not among the manifests, and that no entry can reach."""
        reached = {seen.part.start for seen in seen_in(resource.source, resource.steps)}
        for finding in self.look(resource.source):
            starts = {part.start for part in finding.parts}
            if not starts & reached and not self.around.names.holds(finding.reference):
                yield f"{finding.source}:{finding.line}: {finding.text} is in a file that is not among these; name it, too"


def built(resource: Resource) -> Source:
    """Return a kustomization's file as its patches and images transformers leave it."""
    source = resource.source
    changes: dict[int, Splice] = {}
    for seen in seen_in(source, resource.steps):
        part = seen.part
        text, _ = transform(seen, resource.steps)
        raw = source.text[part.start : part.end]
        new = spell(text, part.encodings) if part.encodings else respell(raw, part.value, text)
        if part.start >= 0 and text != part.value and new is not None:
            changes[part.start] = Splice(part.start, part.end, new)
    return msgspec.structs.replace(source, text=splice(source.text, changes.values()))


def _uses(root: Source, found: Iterable[Found]) -> Iterable[_Use]:
    for resource in _resources(found):
        for seen in seen_in(resource.source, resource.steps):
            # What a patch replaces is not pulled; the patch is looked at where it stands.
            if not any(isinstance(it, Override) and it.is_about(seen) for it in resource.steps):
                text, rules = transform(seen, resource.steps)
                if rules or seen.field is None:
                    yield _Use(real_path(root), real_path(resource.source), seen.part.start, text, tuple(rules))


def _images(found: Iterable[Found]) -> list[tuple[str, bool]]:
    """Return the texts that the transformer leaves, and whether each is an image: a further field may hold anything else."""
    images = []
    for resource in _resources(found):
        for seen in seen_in(resource.source, resource.steps):
            text, rules = transform(seen, resource.steps)
            images.append((text, bool(rules) or seen.field is None))
    return images


def _without_names(source: Source, matched: set[str]) -> str:
    """Return a kustomization's text without the names that entries match."""
    root = _root(source)
    images = root.get("images") if is_map(root) and is_kustomization(root, source.name) else None
    names = [it[key] for it in images or () if is_map(it) for key in ("name", "newName") if it.get(key) in matched]
    return splice(source.text, {it.start: Splice(it.start, it.end, " " * (it.end - it.start)) for it in names}.values())


def _resources(found: Iterable[Found]) -> list[Resource]:
    return [it for it in found if isinstance(it, Resource)]


def real_path(source: Source) -> str:
    """Return what a text is known by here: its file's real path, or its name where it has no file."""
    return os.path.realpath(source.path) if source.path is not None else source.name


def _entry(rule: ImageRule) -> _Entry:
    return rule.file, rule.index


def _root(source: Source) -> object:
    try:
        documents = parse_documents(source)
    except InputError:
        return None
    return documents[0].root if documents else None


def _is_one(source: Source) -> bool:
    return is_kustomization(_root(source), source.name)
