"""Which tags of a repository are wanted: by pattern, by range of versions, the latest few. Pure."""

import re
from collections.abc import Callable, Iterable
from itertools import zip_longest
from operator import ge, gt, le, lt
from typing import Self

import msgspec

from homeport.errors import UsageError

_VERSION = re.compile(r"v?([0-9]{1,18}(?:[.+_-][0-9]{1,18})*)")
_NUMBER = re.compile(r"[0-9]+")
_COMPARISON = re.compile(r"(>=|<=|>|<|=|\^|~)?\s*(v?[0-9][0-9.+_-]*)")
_ORDERS: dict[str, Callable[[int, int], bool]] = {">=": ge, "<=": le, ">": gt, "<": lt}


class Version(msgspec.Struct, frozen=True):
    """The numbers of a tag, as in 7.2.4-64 or v1.30; where one has fewer than another, the rest counts as zero."""

    numbers: tuple[int, ...]

    @classmethod
    def of(cls, tag: str) -> Self | None:
        """Read a tag; None where it is no plain version: 1.2-alpine and 2.0-rc1 are variants and previews."""
        match = _VERSION.fullmatch(tag)
        return cls(tuple(map(int, _NUMBER.findall(match[1])))) if match else None

    def compared(self, other: "Version") -> int:
        """Return a number below, at or above zero."""
        pairs = zip_longest(self.numbers, other.numbers, fillvalue=0)
        return next((mine - theirs for mine, theirs in pairs if mine != theirs), 0)


class Range(msgspec.Struct, frozen=True):
    """Versions that fulfil all comparisons, as in ``>=7.2.4 <7.5``, ``^7.2``, ``~7.2.4`` or ``7.2`` for all that begin so."""

    comparisons: tuple[tuple[str, Version], ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a range; raises UsageError."""
        plain = text.replace(",", " ").strip()
        found = [(match[1] or "", Version.of(match[2])) for match in _COMPARISON.finditer(plain)]
        read = tuple((order, version) for order, version in found if version)
        if not read or len(read) < len(found) or _COMPARISON.sub("", plain).strip():
            raise UsageError(
                f"{text!r} is no range of versions", hint="Write it as in '>=7.2.4 <7.5', '^7.2' or '7.2'."
            )
        return cls(read)

    def __contains__(self, version: Version) -> bool:
        return all(_fulfils(version, order, bound) for order, bound in self.comparisons)


class Selection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tags of one repository: all, but for what each wish takes away.

    `tags` and `exclude` are regular expressions for the whole tag, `versions` is a range, `latest` the number of the highest
    versions to take. With either of the last two only plain versions are taken.
    """

    repository: str
    tags: str = ""
    versions: str = ""
    latest: int | None = None
    exclude: tuple[str, ...] = ()

    def choose(self, tags: Iterable[str]) -> list[str]:
        """Return the wanted tags, the highest version first, other tags by name; raises UsageError for what cannot be read."""
        wanted, unwanted = _pattern(self.tags or ".*"), [_pattern(text) for text in self.exclude]
        chosen = sorted(
            tag
            for tag in tags
            if wanted.fullmatch(tag)
            and not any(pattern.fullmatch(tag) for pattern in unwanted)
            and not tag.startswith("sha256-")
        )
        if not self.versions and self.latest is None:
            return chosen
        numbered = [(tag, version) for tag in chosen if (version := Version.of(tag))]
        if self.versions:
            within = Range.parse(self.versions)
            numbered = [(tag, version) for tag, version in numbered if version in within]
        numbered.sort(key=lambda pair: _padded(pair[1]), reverse=True)
        return [tag for tag, _ in numbered[: self.latest]]


def _fulfils(version: Version, order: str, bound: Version) -> bool:
    if order in _ORDERS:
        return _ORDERS[order](version.compared(bound), 0)
    if order == "=":
        return version.compared(bound) == 0
    if order == "":
        return version.numbers[: len(bound.numbers)] == bound.numbers
    # ^ keeps the first number, ~ the first two (node-semver's ranges); both begin at the bound.
    kept = 1 if order == "^" else min(2, len(bound.numbers))
    return version.compared(bound) >= 0 and version.numbers[:kept] == bound.numbers[:kept]


def _padded(version: Version) -> tuple[int, ...]:
    return (*version.numbers, *([0] * (12 - len(version.numbers))))


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise UsageError(f"{text!r} is no regular expression: {error}") from None
