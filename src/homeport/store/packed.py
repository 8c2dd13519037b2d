"""Archives that are compressed by zstd (RFC 8878), read at any place without unpacking them.

They are cut into frames that stand for stretches of the archive, with a table of them at the end (the Zstandard Seekable
Format of facebook/zstd, contrib/seekable_format): `zstd -d` passes over the table, and frames are packed and unpacked side by side.
"""

import struct
import sys
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from itertools import accumulate
from typing import Final, Self

from homeport.errors import ContentError
from homeport.store.pieces import Pieces

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FRAME: Final = 2 << 20
"""Bytes of an archive in one frame, at most."""

_LEVEL: Final = 3
_MOST_FRAME: Final = 16 << 20
_MOST_FRAMES: Final = 1 << 20
_MOST_WINDOW_LOG: Final = 24
_KEPT_BYTES: Final = 32 << 20
_SKIPPABLE: Final = 0x184D2A5E
_SEEKABLE: Final = 0x8F92EAB1
_HEAD, _ENTRY, _FOOT = struct.Struct("<II"), struct.Struct("<II"), struct.Struct("<IBI")


class Packed:
    """A compressed archive with a table of its frames; any number of threads may read its plain bytes."""

    def __init__(self, pieces: Pieces, places: list[tuple[int, int]], ends: list[int]) -> None:
        self._pieces, self._places, self._ends = pieces, places, ends
        self.size = ends[-1] if ends else 0
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._room = _KEPT_BYTES
        self._lock = threading.Lock()

    @classmethod
    def open(cls, pieces: Pieces) -> Self | None:
        """Read the table; None where there is none, as in archives of others. Raises ContentError."""
        foot = pieces.read(pieces.size - _FOOT.size, _FOOT.size) if pieces.size > _FOOT.size else b""
        if len(foot) < _FOOT.size or foot[-4:] != struct.pack("<I", _SEEKABLE):
            return None
        count, flags, _ = _FOOT.unpack(foot)
        size = count * _ENTRY.size + _FOOT.size
        start = pieces.size - size - _HEAD.size
        if flags or count > _MOST_FRAMES or start < 0 or pieces.read(start, _HEAD.size) != _HEAD.pack(_SKIPPABLE, size):
            raise _damaged(pieces, max(0, start), pieces.size)
        sizes = list(_ENTRY.iter_unpack(pieces.read(start + _HEAD.size, count * _ENTRY.size)))
        if sum(packed for packed, _ in sizes) != start:
            raise _damaged(pieces, start, pieces.size)
        return cls.of(pieces, 0, sizes)

    @classmethod
    def of(cls, pieces: Pieces, start: int, sizes: list[tuple[int, int]]) -> Self:
        """Take frames of these sizes, packed and plain, that stand one behind the other from a place on. Raises ContentError."""
        starts = list(accumulate((packed for packed, _ in sizes), initial=start))
        if any(max(sizes_of) > _MOST_FRAME or min(sizes_of) < 1 for sizes_of in sizes):
            raise _damaged(pieces, start, pieces.size)
        places = [(offset, packed) for offset, (packed, _) in zip(starts, sizes, strict=False)]
        return cls(pieces, places, list(accumulate(plain for _, plain in sizes)))

    def read_at(self, offset: int, buffer: memoryview, /) -> int:
        """Fill the buffer from its start; return the number of bytes, 0 at the end. Raises ContentError, InputError."""
        if offset >= self.size:
            return 0
        number = bisect_right(self._ends, offset)
        within = offset - (self._ends[number - 1] if number else 0)
        part = memoryview(self._frame(number))[within : within + len(buffer)]
        buffer[: len(part)] = part
        return len(part)

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes, fewer only at the end. Raises ContentError, InputError."""
        content = bytearray(max(0, min(length, self.size - offset)))
        view = memoryview(content)
        while view and (count := self.read_at(offset, view)):
            view, offset = view[count:], offset + count
        return bytes(content)

    def name(self, start: int, stop: int) -> str:
        """Name the files that hold a range of the plain bytes, for a message."""
        if not self._places:
            return self._pieces.name(0, 1)
        first, last = (min(bisect_right(self._ends, place), len(self._places) - 1) for place in (start, stop - 1))
        return self._pieces.name(self._places[first][0], sum(self._places[last]))

    def close(self) -> None:
        """Close the files."""
        self._pieces.close()

    def _frame(self, number: int) -> bytes:
        """Return the plain bytes of a frame; those read last are kept."""
        with self._lock:
            if kept := self._kept.get(number):
                self._kept.move_to_end(number)
                return kept
        plain = self._unpacked(number)
        with self._lock:
            if number not in self._kept:
                self._kept[number] = plain
                self._room -= len(plain)
            while self._room < 0 and len(self._kept) > 1:
                self._room += len(self._kept.popitem(last=False)[1])
        return plain

    def _unpacked(self, number: int) -> bytes:
        offset, length = self._places[number]
        size = self._ends[number] - (self._ends[number - 1] if number else 0)
        unpacker = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _MOST_WINDOW_LOG})
        try:
            plain = unpacker.decompress(self._pieces.read(offset, length), size + 1)
        except zstd.ZstdError:
            plain = b""
        if len(plain) != size or not unpacker.eof or unpacker.unused_data:
            raise _damaged(self._pieces, offset, offset + length)
        return plain


def pack(plain: bytes | bytearray) -> bytes:
    """Return one frame; equal bytes give equal frames, by the same version of zstd."""
    options: dict[int, int] = {
        zstd.CompressionParameter.compression_level: _LEVEL,
        zstd.CompressionParameter.checksum_flag: 1,
    }
    return zstd.ZstdCompressor(options=options).compress(plain, zstd.ZstdCompressor.FLUSH_FRAME)


def table_of(frames: list[tuple[int, int]]) -> bytes:
    """Return what stands after the frames: their sizes, packed and plain."""
    body = b"".join(_ENTRY.pack(*sizes) for sizes in frames)
    foot = _FOOT.pack(len(frames), 0, _SEEKABLE)
    return _HEAD.pack(_SKIPPABLE, len(body) + len(foot)) + body + foot


def stretches(size: int) -> Iterator[tuple[int, int]]:
    """Yield where frames of that many bytes begin, and how long they are."""
    return ((start, min(FRAME, size - start)) for start in range(0, size, FRAME))


def _damaged(pieces: Pieces, start: int, stop: int) -> ContentError:
    return ContentError(
        f"{pieces.name(start, stop)}: it is damaged or cut off", hint="Copy the archive here again, or make it again."
    )
