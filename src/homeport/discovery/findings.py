"""What a scan finds: places where images are named, and what could not be read there.

How a place is edited. A finding's `parts` are the pieces that its name is made of, in the order of the name:
``registry/repository/name:tag@digest``, or one `reference`. A part may belong to several findings (a registry that many images
inherit). Each says where its characters stand in the source's text:

- `encodings` is empty: `start` to `end` is a whole scalar of the source, with its quotes, anchor and tag.
- otherwise `start` to `end` are exactly the characters that spell `value`: a piece of a scalar (``--image=VALUE``), a scalar of a
  document that is the value of another scalar, or both. `encodings` tells from the inside out what the characters stand in, and
  ``places.spell(new, part.encodings)`` spells another value for that place. As long as only these characters are replaced every
  enclosing text stays what it is, at any depth: block strings their indentation, JSON strings their escapes.

`start` is -1 where nothing can be edited: live objects, and spellings that cannot be followed.
"""

from collections.abc import Iterable
from itertools import chain
from typing import Literal

import msgspec

from homeport.reference import Reference

Role = Literal["reference", "registry", "repository", "name", "tag", "digest"]
Encoding = Literal["plain", "single", "double", "block"]


class ObjectKey(msgspec.Struct, frozen=True, order=True, rename="camel"):
    """Which object a place is in; empty strings where the document does not say."""

    api_version: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""

    @property
    def group(self) -> str:
        """The API group, empty for the core group."""
        return self.api_version.rpartition("/")[0]

    def __str__(self) -> str:
        return "/".join(part for part in (self.kind, self.namespace, self.name) if part)


class Part(msgspec.Struct, frozen=True):
    """A reference or a piece of one: its value, and where it stands in the source's text (see the module).

    `start` and `end` count characters of the text without its byte order mark. `encodings`: inside a plain scalar, one in single or
    double quotes (JSON's too), a block scalar.
    """

    role: Role
    value: str
    start: int = -1
    end: int = -1
    encodings: tuple[Encoding, ...] = ()


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
    sure: Literal["certain", "likely", "uncertain"] = "certain"


class Unresolved(msgspec.Struct, frozen=True):
    """A place that should name an image, with the reason why none could be read there."""

    source: str
    line: int
    object: ObjectKey
    path: str
    text: str
    reason: str


class Scan(msgspec.Struct, frozen=True):
    """All that a scan found; `errors` are the inputs that could not be read, each in one sentence.

    `uncertain` are places that may name an image; they count for nothing unless a person asks.
    """

    findings: tuple[Finding, ...] = ()
    unresolved: tuple[Unresolved, ...] = ()
    errors: tuple[str, ...] = ()
    uncertain: tuple[Finding, ...] = ()

    def __add__(self, other: "Scan") -> "Scan":
        return Scan.joined((self, other))

    @classmethod
    def joined(cls, scans: Iterable["Scan"]) -> "Scan":
        """Return many scans as one, each copied once."""
        parts = [(scan.findings, scan.unresolved, scan.errors, scan.uncertain) for scan in scans]
        return cls(*(tuple(chain.from_iterable(part)) for part in zip(*parts, strict=True)))
