"""Named files to read: a folder, or an archive that stays packed."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from homeport.errors import ContentError, InputError
from homeport.store.pieces import Pieces

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
            return (self._root / path).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._failed(path, error) from None

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


class Archive:
    """The files of a tar archive, in one piece or several, read where they lie."""

    def __init__(self, files: Sequence[Path]) -> None:
        from homeport.store.tar import read_table  # tarfile is large, and a folder needs none

        self.pieces = Pieces.open(files)
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


def read_whole(files: Reading, path: str, most: int) -> bytes:
    """Return a small file's content; raises ContentError where it is missing or larger than `most` bytes, InputError."""
    size = files.size(path)
    if size is None:
        raise ContentError(f"{files.name()}: {path} is missing in it")
    if size > most:
        raise ContentError(f"{files.name(path)}: {path} has {size} bytes, more than {most}")
    content = memoryview(bytearray(size))
    rest = content
    while rest and (count := files.read_at(path, size - len(rest), rest)):
        rest = rest[count:]
    return bytes(content[: size - len(rest)])
