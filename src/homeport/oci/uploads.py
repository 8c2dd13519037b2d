"""Upload sessions: what a chunk says of itself and what a registry says back (distribution-spec, Pushing blobs in chunks)."""

import re

from homeport.errors import ContentError
from homeport.oci.ranges import ByteRange

_CHUNK = re.compile(r"(?:bytes[ =])?([0-9]{1,18})-([0-9]{1,18})(?:/(?:[0-9]{1,18}|\*))?", re.IGNORECASE)


def parse_chunk_range(header: str) -> ByteRange:
    """Read a chunk's Content-Range, ``first-last``; RFC 9110's ``bytes first-last/size`` passes. Raises ContentError."""
    match = _CHUNK.fullmatch(header.strip())
    chunk = ByteRange(int(match[1]), int(match[2]) + 1) if match else None
    if chunk is None or chunk.length < 1:
        raise ContentError(
            f"{header[:80]!r} is not the range of a chunk", hint="Write it as first-last, in bytes from 0."
        )
    return chunk


def range_received(size: int) -> str:
    """Write the Range header of an upload that holds `size` bytes.

    Docker's client parses ``0-last`` without a unit and fails where it is absent, so an empty upload is ``0-0`` as in distribution.
    """
    return f"0-{max(size - 1, 0)}"
