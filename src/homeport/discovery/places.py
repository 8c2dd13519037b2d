"""Where a piece of text stands in a source, however deep it is embedded.

A ConfigMap's block string may hold YAML, an annotation JSON, that JSON a string with YAML again. Each of these texts is the
value of a scalar in the text around it. Values and raw texts correspond in runs of equal characters, apart from escapes, so a
place in the innermost text can be followed outward to characters of the source, and those be spliced: nothing is written again.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import Final

from homeport.discovery.findings import Encoding, Part, Role
from homeport.discovery.tree import NOWHERE, Scalar, line_of

_PROPERTIES: Final = re.compile(r"(?:[&!][^\s]*\s+)*")
_TOKEN: Final = re.compile(r"\S+")
_DOUBLE: Final = re.compile(
    r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|(?:\r\n|\r|\n)[ \t]*|.)|\s+|[^\\\s]+", re.DOTALL
)
_SINGLE: Final = re.compile(r"''|\s+|[^'\s]+")
_BREAK: Final = re.compile(r"\r\n|\r|\n")
_ENCODINGS: Final[dict[str | None, Encoding]] = {"'": "single", '"': "double", "|": "block", ">": "block"}

_FAR: Final = 1 << 62

_Run = tuple[int, int, int]


class Text:
    """A text that scalars stand in: a source's own, or a scalar's value in another text.

    The text of a live object's string has no place: its `parent` is None and it is not `placed`.
    """

    def __init__(self, text: str, *, placed: bool = True) -> None:
        self.text, self.placed = text, placed
        self.encodings: tuple[Encoding, ...] = ()
        self._outer: tuple[Text, Scalar] | None = None
        self._runs: list[_Run] | None = None
        self._breaks: list[int] | None = None
        self._skipped = 0
        self._inner: dict[int, Text] = {}

    def within(self, scalar: str, start: int = 0, end: int | None = None) -> "Text":
        """Return a scalar's value, or characters `start` to `end` of it, as a text of its own."""
        inner = Text(str(scalar)[start:end], placed=self.placed and isinstance(scalar, Scalar))
        if inner.placed and isinstance(scalar, Scalar):
            inner._outer, inner._skipped = (self, scalar), start
            inner.encodings = (_ENCODINGS.get(scalar.style, "plain"), *self.encodings)
        return inner

    def span(self, start: int, end: int) -> tuple[int, int] | None:
        """Return where characters `start` to `end` of this text stand in the source; None where that cannot be told."""
        if not self.placed or not 0 <= start < end <= len(self.text):
            return None
        if self._outer is None:
            return start, end
        outer, scalar = self._outer
        if self._runs is None:
            raw = outer.text[scalar.start : scalar.end]
            self._runs = list(_runs(raw, scalar.style, str(scalar)) or ())
        first, last = self._raw(start + self._skipped), self._raw(end - 1 + self._skipped)
        if first is None or last is None:
            return None
        return outer.span(scalar.start + first[0], scalar.start + last[1])

    def part(self, role: Role, scalar: object, start: int = 0, end: int | None = None) -> Part:
        """Return characters `start` to `end` of a scalar in this text as a part, the whole scalar by default."""
        text = scalar if isinstance(scalar, str) else str(scalar)
        value = text[start:end]
        if not self.placed or not isinstance(scalar, Scalar):
            return Part(role, value)
        if self._outer is None and len(value) == len(text):
            return Part(role, value, scalar.start, scalar.end)
        inner = self._inner.get(scalar.start)
        if inner is None:
            inner = self._inner[scalar.start] = self.within(scalar)
        place = inner.span(start, start + len(value))
        return Part(role, value, *(place or (NOWHERE, NOWHERE)), inner.encodings)

    def line(self, value: object) -> int:
        """Return the source's line that a value of this text begins in."""
        if self._outer is None:
            return line_of(value) if self.placed else NOWHERE
        outer, scalar = self._outer
        start: int = getattr(value, "start", NOWHERE)
        place = self.span(start, start + 1) if start >= 0 else None
        return outer.line(scalar) if place is None else self._root.line_at(place[0])

    def line_at(self, offset: int) -> int:
        """Return the line of a character of a source's own text."""
        if self._breaks is None:
            self._breaks = [match.end() for match in _BREAK.finditer(self.text)]
        return bisect_right(self._breaks, offset) + 1

    @property
    def _root(self) -> "Text":
        text = self
        while text._outer is not None:
            text = text._outer[0]
        return text

    def _raw(self, index: int) -> tuple[int, int] | None:
        """Return start and end of what spells one character in the raw text; None between words, where text is folded."""
        runs = self._runs or []
        at = bisect_right(runs, (index, _FAR, 0)) - 1
        if at < 0:
            return None
        start, raw, width = runs[at]
        if width < 0:  # an escape: one character, -width characters of raw text
            return (raw, raw - width) if index == start else None
        return (raw + index - start, raw + index - start + 1) if index < start + width else None


def spell(text: str, encodings: tuple[Encoding, ...]) -> str | None:
    """Spell a text without line breaks for a place with these encodings; None where it cannot stand there as it is."""
    for encoding in encodings:
        if encoding == "plain" and text.startswith("["):
            return None
        if encoding == "single":
            text = text.replace("'", "''")
        elif encoding == "double":
            text = text.replace("\\", "\\\\").replace('"', '\\"')
    return text


def _runs(raw: str, style: str | None, value: str) -> list[_Run] | None:
    """Return what corresponds in a scalar's raw text and its value; None where it is spelled in a way not understood here.

    A run is (start in the value, start in the raw text, length); an escape's length is that of its raw text, negative.
    """
    properties = _PROPERTIES.match(raw)
    begin = properties.end() if properties else 0
    if style in ("|", ">"):
        header = _BREAK.search(raw, begin)
        return _words(raw, header.end(), value) if header else None
    if style in ("'", '"'):
        return _quoted(raw[: len(raw) - 1], begin + 1, value, double=style == '"')
    return _words(raw, begin, value)


def _words(raw: str, begin: int, value: str) -> list[_Run] | None:
    """Match word by word: only blanks and line ends differ."""
    runs = []
    words = _TOKEN.finditer(raw, begin)
    for mine in _TOKEN.finditer(value):
        theirs = next(words, None)
        if theirs is None or theirs.group() != mine.group():
            return None
        runs.append((mine.start(), theirs.start(), len(mine.group())))
    return runs


def _quoted(raw: str, begin: int, value: str, *, double: bool) -> list[_Run] | None:
    runs, at = [], 0
    for run in _pieces(raw, begin, double=double):
        length, start, width, text = run
        if text is not None and not value.startswith(text, at):
            return None
        if width:
            runs.append((at, start, width))
        at += length
    return runs if at == len(value) else None


def _pieces(raw: str, begin: int, *, double: bool) -> Iterator[tuple[int, int, int, str | None]]:
    """Yield for each piece its length in the value, its start, the run's width and the text that it must be."""
    for match in (_DOUBLE if double else _SINGLE).finditer(raw, begin):
        piece, start = match.group(), match.start()
        if piece[0] == "\\" and double:
            is_break = piece[1:2] in ("\r", "\n")
            yield (0, start, 0, None) if is_break else (1, start, -len(piece), None)
        elif piece == "''" and not double:
            yield 1, start, -2, "'"
        elif piece.isspace():
            breaks = len(_BREAK.findall(piece))
            yield (max(1, breaks - 1), start, 0, None) if breaks else (len(piece), start, len(piece), piece)
        else:
            yield len(piece), start, len(piece), piece
