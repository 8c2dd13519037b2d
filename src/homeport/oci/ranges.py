"""Parts of a blob, as a client asks for them (RFC 9110, section 14)."""

import re
from collections.abc import Sequence

import msgspec

_UNIT = re.compile(r"\s*bytes\s*=(.*)", re.IGNORECASE | re.DOTALL)
_RANGE = re.compile(r"[ \t]*(?:([0-9]+)-([0-9]*)|-([0-9]+))[ \t]*")
_BEYOND = 1 << 63
"""Larger than any file: a longer number means the end."""


class ByteRange(msgspec.Struct, frozen=True):
    """Bytes from start up to, not including, stop."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        """The number of bytes; 0 where nothing of what was asked for exists."""
        return self.stop - self.start

    def content_range(self, size: int) -> str:
        """Write the Content-Range header of a part of `size` bytes, or of the refusal of an empty one."""
        return f"bytes {self.start}-{self.stop - 1}/{size}" if self.length else f"bytes */{size}"


def parse_ranges(header: str, size: int) -> tuple[ByteRange, ...] | None:
    """Read a Range header for content of a size in bytes; the parts come in the order in which they were asked for.

    None: serve the whole (another unit, no range at all, or more bytes than there are, which section 14.2 lets a server
    ignore). No part: nothing can be served (416), which includes a last byte before the first one, as that section allows.
    """
    unit = _UNIT.fullmatch(header)
    matches = [_RANGE.fullmatch(text) for text in unit[1].split(",")] if unit else []
    known = [match for match in matches if match]
    if not known or len(known) < len(matches):
        return None
    parts = tuple(part for part in (_part(match, size) for match in known) if part.length)
    return parts if sum(part.length for part in parts) <= size else None


def multipart(parts: Sequence[ByteRange], size: int, media_type: str, boundary: str) -> tuple[bytes | ByteRange, ...]:
    """Lay out several parts as multipart/byteranges (section 14.6): texts to be sent, and parts to be put between them."""
    pieces: list[bytes | ByteRange] = []
    for part in parts:
        head = f"\r\n--{boundary}\r\ncontent-type: {media_type}\r\ncontent-range: {part.content_range(size)}\r\n\r\n"
        pieces += [head.encode("ascii"), part]
    return (*pieces, f"\r\n--{boundary}--\r\n".encode("ascii"))


def _part(match: re.Match[str], size: int) -> ByteRange:
    if match[3] is not None:
        return _clamped(size - _number(match[3]), size, size)
    stop = _number(match[2]) + 1 if match[2] else size
    return _clamped(_number(match[1]), stop, size)


def _clamped(start: int, stop: int, size: int) -> ByteRange:
    start, stop = max(start, 0), min(stop, size)
    return ByteRange(start, stop) if start < stop else ByteRange(size, size)


def _number(digits: str) -> int:
    return int(digits) if len(digits) < 19 else _BEYOND
