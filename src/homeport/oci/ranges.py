"""Parts of a blob, as a client asks for them (RFC 9110, section 14)."""

import re

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


def parse_range(header: str, size: int) -> ByteRange | None:
    """Read a Range header for content of a size in bytes.

    None: serve the whole (another unit, several ranges, no range at all: a server may ignore those). An empty range: nothing
    can be served (416), which includes a last byte before the first one, as section 14.2 allows.
    """
    unit = _UNIT.fullmatch(header)
    match = _RANGE.fullmatch(unit[1]) if unit else None
    if match is None:
        return None
    if match[3] is not None:
        return _clamped(size - _number(match[3]), size, size)
    stop = _number(match[2]) + 1 if match[2] else size
    return _clamped(_number(match[1]), stop, size)


def _clamped(start: int, stop: int, size: int) -> ByteRange:
    start, stop = max(start, 0), min(stop, size)
    return ByteRange(start, stop) if start < stop else ByteRange(size, size)


def _number(digits: str) -> int:
    return int(digits) if len(digits) < 19 else _BEYOND
