"""Versions of charts, and which of them a range means, as Helm has it (github.com/Masterminds/semver v3, semver.org 2.0.0). Pure."""

import re
from collections.abc import Callable, Iterable
from typing import Final, Self

import msgspec

from homeport.errors import UsageError

_NUMBER: Final = r"(?:0|[1-9][0-9]{0,17})"
_REST: Final = r"(?:-([0-9A-Za-z.-]{1,100}))?(?:\+([0-9A-Za-z.-]{1,100}))?"
_VERSION: Final = re.compile(rf"v?({_NUMBER})(?:\.({_NUMBER}))?(?:\.({_NUMBER}))?{_REST}")
_EXACT: Final = re.compile(rf"v?{_NUMBER}\.{_NUMBER}\.{_NUMBER}{_REST}")
_PART: Final = rf"({_NUMBER}|[xX*])"
_BOUND: Final = rf"v?{_PART}(?:\.{_PART})?(?:\.{_PART})?{_REST}"
_COMPARISON: Final = re.compile(rf"\s*(=|!=|>|<|>=|=>|<=|=<|~>|~|\^|)\s*{_BOUND}(?=[\s,]|$)")
_HYPHEN: Final = re.compile(rf"\s*({_BOUND})\s+-\s+({_BOUND})\s*")
_LONGEST: Final = 500

_KNOWN_OF_ANY: Final = {"": 0, "=": 0, "~": 0, "~>": 0, ">=": 0, "=>": 0, "<=": 2, "=<": 2}

Precedence = tuple[int, int, int, tuple[tuple[int, int, str], ...]]


class ChartVersion(msgspec.Struct, frozen=True):
    """A version as its precedence has it: what follows a + is of no account."""

    numbers: tuple[int, int, int]
    preview: str = ""

    @classmethod
    def of(cls, text: str) -> Self | None:
        """Read a version, which may lack its last numbers; None where it is none."""
        match = _VERSION.fullmatch(text)
        if match is None or "" in (match[4] or "-").split("."):
            return None
        return cls((int(match[1]), int(match[2] or 0), int(match[3] or 0)), match[4] or "")

    @property
    def precedence(self) -> Precedence:
        """What versions are compared by."""
        # A preview is below what it is a preview of; its numbers are below its words (semver.org, 11).
        parts = self.preview.split(".") if self.preview else []
        rest = tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts)
        return *self.numbers, rest or ((2, 0, ""),)


class _Comparison(msgspec.Struct, frozen=True):
    """`known` is how many numbers of the bound are given: 1.2 and 1.2.x have two."""

    order: str
    bound: ChartVersion
    known: int

    def holds(self, version: ChartVersion) -> bool:
        """Tell whether a version fulfils it."""
        return _ORDERS[self.order](self, version)

    def same(self, version: ChartVersion, most: int = 3) -> bool:
        """Tell whether the numbers that are given are a version's, of the first `most`."""
        count = min(self.known, most)
        return version.numbers[:count] == self.bound.numbers[:count]


class ChartRange(msgspec.Struct, frozen=True):
    """Versions that fulfil all comparisons of one alternative: ``^1.2``, ``~1.2.0``, ``>=1 <2``, ``1.2.x || 3``, ``1.2 - 1.4``."""

    alternatives: tuple[tuple[_Comparison, ...], ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a range; raises UsageError."""
        found = [_alternative(part) for part in text[:_LONGEST].split("||")]
        if len(text) > _LONGEST or not all(found):
            raise UsageError(
                f"{text[:100]!r} is no version of a chart, and no range of versions",
                hint="Write it as in 1.2.3, '^1.2', '~1.2.0' or '>=1 <2'; without one the latest is taken.",
            )
        return cls(tuple(found))

    def __contains__(self, version: ChartVersion) -> bool:
        return any(_is_within(version, alternative) for alternative in self.alternatives)


def is_exact(text: str) -> bool:
    """Tell whether a text names one version, rather than a range or a part of one."""
    return _EXACT.fullmatch(text) is not None


def highest(versions: Iterable[str], wanted: str) -> str | None:
    """Return the version that is wanted if it is there to the letter, else the highest within the range, "" for any.

    Raises UsageError where it is no range.
    """
    there = set(versions)
    if wanted in there:
        return wanted
    within = ChartRange.parse(wanted or "*")
    read = ((version, text) for text in there if (version := ChartVersion.of(text)))
    found = [(version.precedence, text) for version, text in read if version in within]
    return max(found)[1] if found else None


def _is_within(version: ChartVersion, comparisons: tuple[_Comparison, ...]) -> bool:
    """Tell whether all comparisons hold; a preview is within only where one of the bounds is one."""
    takes_previews = any(each.bound.preview for each in comparisons)
    return (takes_previews or not version.preview) and all(each.holds(version) for each in comparisons)


def _alternative(text: str) -> tuple[_Comparison, ...]:
    """Read comparisons that are to hold together; none where one cannot be read."""
    if match := _HYPHEN.fullmatch(text):
        return _comparison(">=", *match.group(2, 3, 4, 5)), _comparison("<=", *match.group(8, 9, 10, 11))
    found, rest = [], text.rstrip()
    while rest:
        match = _COMPARISON.match(rest)
        if match is None:
            return ()
        found.append(_comparison(*match.group(1, 2, 3, 4, 5)))
        rest = rest[match.end() :].lstrip().removeprefix(",")
    return tuple(found)


def _comparison(order: str, *parts: str | None) -> _Comparison:
    *numbers, preview = parts
    known = next((place for place, part in enumerate(numbers) if not part or part in "xX*"), 3)
    given = [int(part or 0) for part in numbers[:known]]
    major, minor, patch = (*given, 0, 0, 0)[:3]
    # * is any version to some, and 0.0 or 0.0.0 to the others.
    known = known or _KNOWN_OF_ANY.get(order, 3)
    return _Comparison(order, ChartVersion((major, minor, patch), preview or ""), known)


def _is_tilde(range_: _Comparison, version: ChartVersion) -> bool:
    """Keep the first two numbers, or the one that is given; ~0.0.0 is any (its own special case)."""
    if version.precedence < range_.bound.precedence:
        return False
    return (range_.bound.numbers == (0, 0, 0) and range_.known in (0, 3)) or range_.same(version, 2)


def _is_caret(range_: _Comparison, version: ChartVersion) -> bool:
    """Keep the first number that is not zero, and what is before it."""
    if version.precedence < range_.bound.precedence:
        return False
    kept = next((place + 1 for place, number in enumerate(range_.bound.numbers) if number), 3)
    return range_.same(version, kept)


def _is_above(range_: _Comparison, version: ChartVersion) -> bool:
    """Of >1 no 1.x is part, of >1.2 no 1.2.x."""
    is_above = version.precedence > range_.bound.precedence
    return is_above and (range_.known == 3 or not range_.same(version))


def _is_at_most(range_: _Comparison, version: ChartVersion) -> bool:
    """Of <=1 any 1.x is part, of <=1.2 any 1.2.x."""
    is_within = range_.known < 3 and range_.same(version)
    return version.precedence <= range_.bound.precedence or is_within


def _equals(range_: _Comparison, version: ChartVersion) -> bool:
    if range_.known < 3:
        return _is_tilde(range_, version)
    return version.precedence == range_.bound.precedence


_ORDERS: Final[dict[str, Callable[[_Comparison, ChartVersion], bool]]] = {
    "": _equals,
    "=": _equals,
    "!=": lambda range_, version: not _equals(range_, version),
    ">": _is_above,
    ">=": lambda range_, version: version.precedence >= range_.bound.precedence,
    "=>": lambda range_, version: version.precedence >= range_.bound.precedence,
    "<": lambda range_, version: version.precedence < range_.bound.precedence,
    "<=": _is_at_most,
    "=<": _is_at_most,
    "~": _is_tilde,
    "~>": _is_tilde,
    "^": _is_caret,
}
