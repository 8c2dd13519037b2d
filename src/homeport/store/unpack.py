"""Archives that others have compressed as a whole, by gzip (RFC 1952) or zstd (RFC 8878): unpacked to a file that has no name."""

import gzip
import io
import os
import sys
import tempfile
import zlib
from typing import IO, Final, cast

from homeport.errors import ContentError, StoreError
from homeport.store.pieces import GZIP, Pieces

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_BLOCK: Final = 1 << 20
_MOST_TIMES: Final = 100
_FREE: Final = 64 << 20
_MOST_WINDOW_LOG: Final = 27
"""What `zstd -d` takes by itself: 128 MiB of memory."""


def unpack(pieces: Pieces) -> Pieces:
    """Return the plain bytes of a compressed archive, in the folder for temporary files; closes the archive.

    Raises ContentError where it is damaged or becomes more than a hundred times as large, StoreError where there is no room.
    """
    most = _FREE + _MOST_TIMES * pieces.size
    size = 0
    with tempfile.TemporaryFile() as file:
        try:
            plain = _opened(pieces)
            while block := plain.read(_BLOCK):
                size += len(block)
                if size > most:
                    raise ContentError(
                        f"{pieces.name(0, 1)}: it unpacks to more than {_MOST_TIMES} times its size",
                        hint="If that is right, unpack it first, with gzip -d or zstd -d.",
                    )
                _write(file, block, pieces)
        except (EOFError, zlib.error, zstd.ZstdError, gzip.BadGzipFile):
            raise ContentError(
                f"{pieces.name(0, pieces.size)}: it is damaged or cut off", hint="Copy the archive here again."
            ) from None
        file.flush()
        unpacked = Pieces(pieces.files[:1], [os.dup(file.fileno())], [size])
    pieces.close()
    return unpacked


def _opened(pieces: Pieces) -> IO[bytes]:
    stream = io.BufferedReader(_Stream(pieces), _BLOCK)
    if pieces.read(0, 2) == GZIP:
        return cast(IO[bytes], gzip.GzipFile(fileobj=stream))
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _MOST_WINDOW_LOG}
    return cast(IO[bytes], zstd.ZstdFile(stream, options=options))


def _write(file: IO[bytes], block: bytes, pieces: Pieces) -> None:
    try:
        file.write(block)
    except OSError as error:
        raise StoreError(
            f"cannot unpack {pieces.name(0, 1)} in {tempfile.gettempdir()}: {error.strerror}",
            hint="Name a folder with more room by TMPDIR, or unpack it first.",
        ) from None


class _Stream(io.RawIOBase):
    """Files in a row, from begin to end."""

    def __init__(self, pieces: Pieces) -> None:
        self._pieces, self._offset = pieces, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object, /) -> int:
        count = self._pieces.read_at(self._offset, memoryview(cast(bytearray, buffer)).cast("B"))
        self._offset += count
        return count
