"""The new spellings of one document's names, each place once, and what an anchor shares only where all of its uses agree."""

from collections.abc import Iterator

import msgspec

from homeport.discovery.documents import Document
from homeport.discovery.findings import Finding, Part
from homeport.discovery.places import spell
from homeport.discovery.tree import Map, Scalar, Seq, write_path
from homeport.errors import UnprovenError
from homeport.reference import Reference
from homeport.relocation.renaming import rename
from homeport.relocation.splice import Splice, respell

_HINT = "Write the name out where it stands, without anchor or alias."


Path = tuple[str | int, ...]


class _Place(msgspec.Struct, frozen=True, eq=False):
    """One place in the text: its change, the finding that it was first needed for, and all that need it."""

    change: Splice
    value: str
    finding: Finding
    paths: set[str]
    scalars: set[int]


class _Anchored(msgspec.Struct, frozen=True, eq=False):
    """A scalar with an anchor that is used again in `lines`, and the paths of each use: several where merge keys bring it in."""

    start: int
    end: int
    lines: list[int]
    uses: dict[int, list[Path]]


class Edits:
    """Gathers what is to be written where; nothing is refused before all names of the document are known."""

    def __init__(self, text: str, document: Document) -> None:
        self.text, self.document = text, document
        self._places: dict[int, _Place] = {}

    def add(self, finding: Finding, scalar: object, target: Reference) -> list[tuple[Part, str]]:
        """Note a finding's new name; return its parts with their new values. Raises UnprovenError where it cannot be written.

        `scalar` is the value that the finding's name or repository was read from. A name that does not change is noted, too: an
        anchor may serve it together with one that does.
        """
        renamed = rename(finding.parts, target)
        if renamed is None:
            raise _refuse(finding, f"{target.name} has too few parts for the fields that spell {finding.text}")
        if target == finding.reference:
            renamed = [(part, part.value) for part, _ in renamed]
        for part, value in renamed:
            self._place(finding, part, value, scalar)
        return renamed

    def splices(self) -> Iterator[Splice]:
        """Yield the changes of the text; raises UnprovenError where one would change something else, too."""
        changed = [it for it in self._places.values() if it.change.text != self.text[it.change.start : it.change.end]]
        shared = self._anchored() if changed and self.document.aliases else []
        for place in changed:
            for anchored in shared:
                if anchored.start <= place.change.start and place.change.end <= anchored.end:
                    self._check(place, anchored)
            yield place.change

    def _place(self, finding: Finding, part: Part, value: str, scalar: object) -> None:
        known = self._places.get(part.start)
        if known is None:
            change = Splice(part.start, part.end, self._spelled(finding, part, value))
            known = self._places[part.start] = _Place(change, value, finding, set(), set())
        elif known.value != value:
            reason = (
                f"{part.value} is shared with line {known.finding.line}, and would have to become {known.value} for it"
            )
            raise _refuse(finding, f"{reason} and {value} for {finding.text}")
        known.paths.add(finding.path)
        known.scalars.add(id(scalar))

    def _spelled(self, finding: Finding, part: Part, value: str) -> str:
        raw = self.text[part.start : part.end]
        if part.start < 0:
            raise _refuse(finding, f"{part.value} is spelled in a way that cannot be followed to its characters")
        if value == part.value:
            return raw
        text = spell(value, part.encodings) if part.encodings else respell(raw, part.value, value)
        if text is None:
            raise _refuse(finding, f"{part.value} is written in a way that cannot be edited in place")
        return text

    def _check(self, place: _Place, anchored: _Anchored) -> None:
        """Refuse a change of an anchored scalar unless every use of it is one that was planned."""
        whole = (place.change.start, place.change.end) == (anchored.start, anchored.end)
        number = len(anchored.lines) + 1
        if whole and len(place.scalars) == number:
            return
        keys = {path[-1] if isinstance(path[-1], str) else "" for paths in anchored.uses.values() for path in paths}
        inherited = whole and len(keys) == 1 and place.finding.parts[0].role != "reference"
        planned = all(any(_serves(path, place) for path in paths) for paths in anchored.uses.values())
        if (inherited or not whole) and planned and len(anchored.uses) == number:
            return
        lines = ", ".join(map(str, anchored.lines))
        raise _refuse(place.finding, f"{place.finding.text} has an anchor that is used elsewhere, too (line {lines})")

    def _anchored(self) -> list[_Anchored]:
        """Find the anchored scalars that are used again, and all their uses."""
        found: dict[int, _Anchored] = {}
        pending: list[tuple[object, Path]] = [(self.document.root, ())]
        seen: set[int] = set()
        while pending:
            node, path = pending.pop()
            if isinstance(node, Scalar) and node.start in self.document.aliases:
                lines = self.document.aliases[node.start]
                found.setdefault(node.start, _Anchored(node.start, node.end, lines, {})).uses.setdefault(
                    id(node), []
                ).append(path)
            elif isinstance(node, Map | Seq) and id(node) not in seen:
                seen.add(id(node))
                items = node.items() if isinstance(node, Map) else enumerate(node)
                pending += [(child, (*path, step)) for step, child in items]
        return list(found.values())


def _serves(use: Path, place: _Place) -> bool:
    """Tell whether a use belongs to a finding of this place: it is its item, or stands beside or above its fields."""
    field = write_path(use if isinstance(use[-1], int) else use[:-1])
    return any(path.startswith(field) for path in place.paths)


def _refuse(finding: Finding, reason: str) -> UnprovenError:
    return UnprovenError(f"{finding.source}:{finding.line}: {reason}", hint=_HINT)
