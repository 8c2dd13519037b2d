"""Named files to read: a folder, or an archive that stays packed."""

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from homeport.errors import ContentError, InputError
from homeport.store.pieces import GZIP, ZSTD, Bytes, Pieces

if TYPE_CHECKING:
    from homeport.store.tar import Entry


class Reading(Protocol):
    """Files by their paths within; any number of threads may read."""

    def size(self, path: str) -> int | None:
        """Return a file's size in bytes, None where there is none."""

    def read_at(self, path: str, offset: int, buffer: memoryview, /) -> int:
        """Fill the buffer from its start; return the number of bytes, 0 at the end. Raises InputError."""

    def name(self, path: str = "") -> str:
        """Name what holds a file, for a message."""


class Files(Reading, Protocol):
    """Files that are open until they are closed."""

    def close(self) -> None:
        """Be done."""


class Folder:
    """The files of a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def size(self, path: str) -> int | None:
        """Return a file's size in bytes, None where there is none."""
        try:
            status = (self._root / path).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._failed(path, error) from None
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def read_at(self, path: str, offset: int, buffer: memoryview, /) -> int:
        """Fill the buffer from its start; return the number of bytes, 0 at the end. Raises InputError."""
        try:
            with (self._root / path).open("rb", buffering=0) as file:
                return os.preadv(file.fileno(), [buffer], offset)
        except OSError as error:
            raise self._failed(path, error) from None

    def name(self, path: str = "") -> str:
        """Name what holds a file, for a message."""
        return str(self._root / path)

    def close(self) -> None:
        """Be done."""

    def _failed(self, path: str, error: OSError) -> InputError:
        return InputError(error.strerror or str(error), file=str(self._root / path))


class Held:
    """Files at hand, by path."""

    def __init__(self, files: Mapping[str, bytes], name: str) -> None:
        self._files, self._name = files, name

    def size(self, path: str) -> int | None:
        """Return a file's size in bytes, None where there is none."""
        body = self._files.get(path)
        return None if body is None else len(body)

    def read_at(self, path: str, offset: int, buffer: memoryview, /) -> int:
        """Fill the buffer from its start; return the number of bytes, 0 at the end."""
        part = self._files[path][offset : offset + len(buffer)]
        buffer[: len(part)] = part
        return len(part)

    def name(self, path: str = "") -> str:  # noqa: ARG002  # one name for all
        """Name what holds a file, for a message."""
        return self._name

    def close(self) -> None:
        """Be done."""


class Archive:
    """The files of a tar archive, in one piece or several, read where they lie; one that is compressed as a whole too."""

    def __init__(self, files: Sequence[Path]) -> None:
        from homeport.store.tar import read_table  # tarfile is large, and a folder needs none

        self.pieces = _plain(Pieces.open(files))
        try:
            self.table: dict[str, Entry] = read_table(self.pieces)
        except BaseException:
            self.pieces.close()
            raise

    def size(self, path: str) -> int | None:
        """Return a file's size in bytes, None where there is none."""
        entry = self.table.get(path)
        return entry.size if entry else None

    def read_at(self, path: str, offset: int, buffer: memoryview, /) -> int:
        """Fill the buffer from its start; return the number of bytes, 0 at the end. Raises InputError."""
        entry = self.table[path]
        wanted = max(0, min(len(buffer), entry.size - offset))
        return self.pieces.read_at(entry.offset + offset, buffer[:wanted]) if wanted else 0

    def name(self, path: str = "") -> str:
        """Name what holds a file, for a message."""
        entry = self.table.get(path)
        return (
            self.pieces.name(entry.offset, entry.offset + entry.size)
            if entry
            else self.pieces.name(0, self.pieces.size)
        )

    def close(self) -> None:
        """Be done."""
        self.pieces.close()


def _plain(pieces: Pieces) -> Bytes:
    """Return the plain bytes of an archive that may be compressed; raises ContentError, StoreError."""
    try:
        start = pieces.read(0, len(ZSTD))
        if start != ZSTD and not start.startswith(GZIP):
            return pieces
        from homeport.store.packed import Packed
        from homeport.store.unpack import unpack

        return (Packed.open(pieces) if start == ZSTD else None) or unpack(pieces)
    except BaseException:
        pieces.close()
        raise


def read_whole(files: Reading, path: str, most: int) -> bytes:
    """Return a small file's content; raises ContentError where it is missing or larger than `most` bytes, InputError."""
    size = files.size(path)
    if size is None:
        raise ContentError(f"{files.name()}: {path} is missing in it")
    if size > most:
        raise ContentError(f"{files.name(path)}: {path} has {size} bytes, more than {most}")
    return read_start(files, path, size)


def read_start(files: Reading, path: str, count: int) -> bytes:
    """Return the first bytes of a file, fewer only where it has no more. Raises InputError."""
    content = memoryview(bytearray(count))
    rest = content
    while rest and (read := files.read_at(path, count - len(rest), rest)):
        rest = rest[read:]
    return bytes(content[: count - len(rest)])
