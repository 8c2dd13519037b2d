"""Digests: names of content by its hash."""

import hashlib
import hmac
import re
from typing import Protocol, Self

from homeport.errors import InvalidDigestError

_HEX_LENGTHS = {"sha256": 64, "sha512": 128}
_DIGEST = re.compile(r"(sha256|sha512):([0-9a-f]+)")
_ANYWHERE = re.compile(rb"sha(?:256:[0-9a-f]{64}|512:[0-9a-f]{128})")


class Hasher(Protocol):
    """What hashlib's objects offer."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None: ...  # noqa: D102

    def hexdigest(self) -> str: ...  # noqa: D102

    def copy(self) -> Self: ...  # noqa: D102


def is_digest(text: str) -> bool:
    """Tell whether a text is a digest of a registered algorithm (image-spec descriptor.md, Registered algorithms)."""
    match = _DIGEST.fullmatch(text)
    return match is not None and len(match[2]) == _HEX_LENGTHS[match[1]]


def check_digest(text: str) -> str:
    """Return the digest, or raise InvalidDigestError."""
    if not is_digest(text):
        raise InvalidDigestError(
            f"{text[:80]!r} is not a digest",
            hint="A digest is sha256: and 64, or sha512: and 128, characters of 0-9a-f.",
        )
    return text


def digests_in(content: bytes) -> set[str]:
    """Return whatever in some bytes looks like a digest: all that a manifest of any type can name."""
    return {text for text in (match.decode() for match in _ANYWHERE.findall(content)) if is_digest(text)}


def hasher_for(digest: str) -> Hasher:
    """Return a fresh hash object of the digest's algorithm; raises InvalidDigestError."""
    algorithm = check_digest(digest).partition(":")[0]
    return hashlib.new(algorithm)


def digest_of(content: bytes | bytearray | memoryview, algorithm: str = "sha256") -> str:
    """Return the digest of bytes at hand."""
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


def matches(hasher: Hasher, digest: str) -> bool:
    """Tell whether what was hashed is what the digest names."""
    return hmac.compare_digest(hasher.hexdigest(), digest.partition(":")[2])
