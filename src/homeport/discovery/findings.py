"""What a scan finds: places where images are named, and what could not be read there."""

from collections.abc import Iterable
from itertools import chain
from typing import Literal

import msgspec

from homeport.reference import Reference

Role = Literal["reference", "registry", "repository", "tag", "digest"]


class ObjectKey(msgspec.Struct, frozen=True, order=True, rename="camel"):
    """Which object a place is in; empty strings where the document does not say."""

    api_version: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.kind, self.namespace, self.name) if part)


class Part(msgspec.Struct, frozen=True):
    """One scalar that holds a reference or a piece of one: its value, and where it stands in the source's text.

    `start` and `end` count characters of the text without its byte order mark, quotes included; -1 in live objects.
    """

    role: Role
    value: str
    start: int = -1
    end: int = -1


class Finding(msgspec.Struct, frozen=True):
    """One place where an image is named. `text` is the name as written, split fields joined; lines count from 1.

    `open` means that the tag comes from elsewhere; the reference then has none, and none is guessed.
    """

    source: str
    line: int
    object: ObjectKey
    path: str
    how: str
    text: str
    reference: Reference
    open: bool = False
    parts: tuple[Part, ...] = ()


class Unresolved(msgspec.Struct, frozen=True):
    """A place that should name an image, with the reason why none could be read there."""

    source: str
    line: int
    object: ObjectKey
    path: str
    text: str
    reason: str


class Scan(msgspec.Struct, frozen=True):
    """All that a scan found; `errors` are the inputs that could not be read, each in one sentence."""

    findings: tuple[Finding, ...] = ()
    unresolved: tuple[Unresolved, ...] = ()
    errors: tuple[str, ...] = ()

    def __add__(self, other: "Scan") -> "Scan":
        return Scan.joined((self, other))

    @classmethod
    def joined(cls, scans: Iterable["Scan"]) -> "Scan":
        """Return many scans as one, each copied once."""
        parts = [(scan.findings, scan.unresolved, scan.errors) for scan in scans]
        return cls(*(tuple(chain.from_iterable(part)) for part in zip(*parts, strict=True)))
