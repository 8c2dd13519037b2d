"""Apply rules to an object, before the general look takes the rest."""

from collections.abc import Mapping
from typing import Any

import msgspec

from homeport.discovery.findings import Role
from homeport.discovery.general import General, Note, Path
from homeport.discovery.joins import Entry, Piece, Scope, assemble, suffix_of
from homeport.discovery.looks import NOTHING, host_of, looks, trimmed
from homeport.discovery.naming import Named, read_whole
from homeport.discovery.rules import ImageRule, Rule, filled, select
from homeport.discovery.tree import dig, is_map, text_of
from homeport.errors import InvalidReferenceError
from homeport.reference import Reference


class Ruled(msgspec.Struct, frozen=True, eq=False):
    """The rules about one object. `path` leads to it in its document."""

    rule: Rule
    root: Mapping[str, Any]
    path: Path
    scope: Scope
    note: Note
    general: General

    def apply(self) -> None:
        """Note what the rule names, and leave out what it says is none."""
        for template in self.rule.not_images:
            for steps, _ in select(self.root, template):
                self.general.take(dig(self.root, steps[:-1]), steps[-1])
        for image in self.rule.images:
            holders = select(self.root, image.at) if image.at else [((), self.root)]
            for steps, holder in holders:
                if is_map(holder):
                    self._image(image, steps, holder)
        for implied in self.rule.implied:
            if implied.unless and any(text_of(value) for _, value in select(self.root, implied.unless)):
                continue
            text = filled(implied.image, self.root)
            read = read_whole(text, self.scope.default_registry) if text else None
            if isinstance(read, Named):
                named = msgspec.structs.replace(read, parts=())
                how = f"{self.rule.how}, not named"
                self.note(named, self.root, self.path, how, sure="uncertain", scope=self.scope)

    def _image(self, image: ImageRule, steps: Path, holder: Mapping[str, Any]) -> None:
        main = self._part(image.image or image.repository, holder, steps)
        if main is None or (id(holder), main.key) in self.general.taken:
            return
        name = self._part(image.name, holder, steps)
        if name is not None and (host_of(name.value) or ":" in name.value):
            main, name = name, None
        start, end = trimmed(main.value, artifact=True)
        if looks(main.value[start:end], named=True) == NOTHING:
            return
        if image.image or _has_tag(main.value):
            self._whole(main, holder)
            return
        registry = None if host_of(main.value) else self._part(image.registry, holder, steps)
        digest, tag = self._part(image.digest, holder, steps), self._part(image.tag, holder, steps)
        suffix: tuple[Role, Piece] | None = (
            ("digest", digest.piece) if digest else suffix_of(tag.piece) if tag else None
        )
        if suffix is None and not image.open:
            self._whole(main, holder)
            return
        roles: list[tuple[Role, Entry | None]] = [("registry", registry), ("repository", main), ("name", name)]
        used = [it for it in (main, name, registry, tag, digest) if it is not None]
        meant = tag.value if tag else ""
        for old, new in image.replace.items():
            meant = meant.replace(old, new)
        pieces = [(role, entry.piece) for role, entry in roles if entry is not None]
        joined = assemble(pieces, suffix, used, self.scope, "certain", meant=meant)
        if joined is not None:
            self._take(used, holder)
            where = (*self.path, *steps)
            self.note(joined.named, joined.first.scalar, where, self.rule.how, sure="certain", scope=self.scope)

    def _whole(self, entry: Entry, holder: Mapping[str, Any]) -> None:
        start, end = trimmed(entry.value, artifact=True)
        piece = entry.piece.cut(start, end)
        read = read_whole(piece.value, self.scope.default_registry)
        if isinstance(read, Named):
            part = piece.text.part("reference", piece.scalar, piece.start, piece.end)
            named = msgspec.structs.replace(read, parts=(part,))
            self._take([entry], holder)
            self.note(named, piece.scalar, entry.path, self.rule.how, sure="certain", scope=self.scope)

    def _take(self, used: list[Entry], holder: Mapping[str, Any]) -> None:
        for entry in used:
            if entry.key in holder:
                self.general.take(holder, entry.key)

    def _part(self, written: str, holder: Mapping[str, Any], steps: Path) -> Entry | None:
        """Return the first of the alternatives that is there."""
        for way in filter(None, map(str.strip, written.split("|"))):
            places = select(self.root, way[2:]) if way.startswith("$.") else [((*steps, way), holder.get(way))]
            for where, value in places:
                if text_of(value):
                    return Entry(str(where[-1]), Piece(value, self.scope.text), (*self.path, *where))
        return None


def _has_tag(text: str) -> bool:
    try:
        reference = Reference.parse(text)
    except InvalidReferenceError:
        return False
    return bool(reference.tag or reference.digest)
