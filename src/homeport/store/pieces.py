"""Files that are read, or written, as one: an archive, or the parts that it was split into."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol, Self

from homeport.errors import InputError, StoreError
from homeport.store.durable import SEND_BYTES, send_to_disk

GZIP: Final = b"\x1f\x8b"
ZSTD: Final = b"\x28\xb5\x2f\xfd"
"""What compressed files begin with (RFC 1952, RFC 8878)."""


class Bytes(Protocol):
    """Bytes of an archive, wherever they come from; any number of threads may read."""

    size: int

    def read_at(self, offset: int, buffer: memoryview, /) -> int:
        """Fill the buffer from its start; return the number of bytes, 0 at the end. Raises ContentError, InputError."""

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes, fewer only at the end. Raises ContentError, InputError."""

    def name(self, start: int, stop: int) -> str:
        """Name the files that hold a range, for a message."""

    def close(self) -> None:
        """Close the files."""


class Pieces:
    """Files in a row with one range of offsets; any number of threads may read and write at once.

    Use it in a with statement, or close it.
    """

    def __init__(self, files: Sequence[Path], handles: Sequence[int], sizes: Sequence[int]) -> None:
        self.files = tuple(files)
        self._handles = tuple(handles)
        self._sizes = tuple(sizes)
        self.size = sum(sizes)

    @classmethod
    def open(cls, files: Sequence[Path]) -> Self:
        """Open files for reading; raises InputError."""
        handles: list[int] = []
        try:
            for file in files:
                handles.append(os.open(file, os.O_RDONLY | os.O_CLOEXEC))  # noqa: PERF401  # those that are open are closed below
            return cls(files, handles, [os.lseek(handle, 0, os.SEEK_END) for handle in handles])
        except OSError as error:
            _close(handles)
            raise InputError(error.strerror or str(error), file=str(files[min(len(handles), len(files) - 1)])) from None

    @classmethod
    def create(cls, files: Sequence[Path], sizes: Sequence[int]) -> Self:
        """Open files for writing and reading, with these sizes; what is in them already stays. Raises StoreError."""
        handles: list[int] = []
        try:
            for file, size in zip(files, sizes, strict=True):
                handles.append(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644))
                take(file, handles[-1])
                os.ftruncate(handles[-1], size)
            return cls(files, handles, sizes)
        except BlockingIOError:
            _close(handles)
            raise StoreError(
                f"{files[len(handles) - 1]} is being written by another run", hint="Let that one end."
            ) from None
        except OSError as error:
            _close(handles)
            raise StoreError(f"cannot write {files[min(len(handles), len(files) - 1)]}: {error.strerror}") from None

    def read_at(self, offset: int, buffer: memoryview, /) -> int:
        """Fill the buffer from its start; return the number of bytes, 0 at the end. Raises InputError."""
        for file, handle, within, length in self._places(offset, len(buffer)):
            try:
                return os.preadv(handle, [buffer[:length]], within)
            except OSError as error:
                raise InputError(error.strerror or str(error), file=str(file)) from None
        return 0

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes, fewer only at the end. Raises InputError."""
        content = bytearray(max(0, min(length, self.size - offset)))
        view = memoryview(content)
        while view and (count := self.read_at(offset, view)):
            view, offset = view[count:], offset + count
        return bytes(content[: len(content) - len(view)])

    def write_at(self, offset: int, data: bytes | memoryview) -> None:
        """Write every byte; raises StoreError."""
        view = memoryview(data)
        for file, handle, place, length in self._places(offset, len(view)):
            part, view = view[:length], view[length:]
            written = 0
            try:
                while written < length:
                    written += os.pwrite(handle, part[written:], place + written)
            except OSError as error:
                raise StoreError(
                    f"cannot write {file}: {error.strerror}", hint="Make room, and run it again."
                ) from None

    def written(self, start: int, stop: int) -> int:
        """Return how many bytes of a range, from its start on, were ever written: up to a hole in a file, if files have any."""
        count = 0
        for _, handle, place, length in self._places(start, stop - start):
            try:
                found = min(os.lseek(handle, place, os.SEEK_HOLE) - place, length)
            except OSError:
                found = 0
            count += found
            if found < length:
                break
        return count

    def send_to_disk(self, sent: int, end: int) -> int:
        """Start writing what a range has gathered, so that the sync finds little to do; return up to where."""
        if end - sent < SEND_BYTES:
            return sent
        for _, handle, place, length in self._places(sent, end - sent):
            send_to_disk(handle, place, place + length)
        return end

    def sync(self) -> None:
        """Make what was written durable; raises StoreError."""
        for file, handle in zip(self.files, self._handles, strict=True):
            try:
                os.fsync(handle)
            except OSError as error:
                raise StoreError(f"cannot write {file}: {error.strerror}") from None

    def name(self, start: int, stop: int) -> str:
        """Name the files that hold a range, for a message."""
        first, *rest = [str(file) for file, *_ in self._places(start, max(1, stop - start))] or [str(self.files[-1])]
        if not rest:
            return first
        return f"{first} and {rest[0]}" if len(rest) == 1 else f"{first} to {rest[-1]}"

    def close(self) -> None:
        """Close the files."""
        _close(self._handles)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _places(self, offset: int, length: int) -> Iterator[tuple[Path, int, int, int]]:
        """Yield file, handle, offset in it and length for each piece of a range."""
        for file, handle, size in zip(self.files, self._handles, self._sizes, strict=True):
            if offset < size and length > 0:
                count = min(length, size - offset)
                yield file, handle, offset, count
                offset, length = offset + count, length - count
            offset -= size
            if offset < 0:
                return


def take(file: Path, handle: int) -> None:
    """Lock a file; raises BlockingIOError where another run has it, or has just finished it and given it another name."""
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if not file.exists() or not os.path.samestat(file.stat(), os.fstat(handle)):
        raise BlockingIOError


def _close(handles: Sequence[int]) -> None:
    for handle in handles:
        with suppress(OSError):
            os.close(handle)
