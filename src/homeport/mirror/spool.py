"""What transfers that broke have left, kept on disk: first parts of blobs, and the uploads that were not ended.

A file is locked by whoever uses it, so that two processes never share one, and a process that is killed leaves none locked.
Whatever goes wrong with the folder, content streams from one side to the other as if there were none.
"""

import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from homeport.oci.digest import digest_of, hasher_for, matches
from homeport.oci.manifest import Descriptor
from homeport.oci.transfer import NOTHING, Begun, BlobReader, Upload
from homeport.oci.unreadable import UNREADABLE
from homeport.store.files import Folder
from homeport.store.oci_layout import FileBlob

MOST_BYTES: Final = 8 << 30
LEAST_BYTES: Final = 8 << 20
"""An upload of less than this is not worth a note: it begins again."""

_SPARE_BYTES = 1 << 30
_KEPT_SECONDS = 7 * 86400
"""As long as distribution keeps uploads that nobody ends (docs: uploadpurging)."""
_BLOCK = 1 << 20
_UPLOAD = ".upload"


class _Note(msgspec.Struct):
    location: str
    is_unproven: bool = False


class Spool:
    """A folder of parts and notes that is never larger than `most` bytes, nor takes the last of a disk."""

    def __init__(self, folder: Path, most: int = MOST_BYTES, least: int = LEAST_BYTES) -> None:
        self._folder = folder
        self._most, self._least = most, least

    @classmethod
    def of_user(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Use the user's cache folder (XDG base directory specification)."""
        home = Path(environment.get("HOME") or Path.home())
        return cls(Path(environment.get("XDG_CACHE_HOME") or home / ".cache") / "homeport" / "spool")

    def has_part(self, blob: Descriptor) -> bool:
        """Tell whether a part of a blob was left here."""
        try:
            return self._part_file(blob).stat().st_size > 0
        except OSError:
            return False

    def part(self, blob: Descriptor) -> "Part | None":
        """Take the file of a blob; None where there is no room for it, or another has it."""
        with suppress(OSError):
            file = self._part_file(blob)
            if (file.exists() or self._make_room(blob.size)) and (handle := _take(file)) is not None:
                return Part(file, handle, blob)
        return None

    def trace(self, registry: str, repository: str, blob: Descriptor) -> "Trace":
        """Look up what is known of a blob on its way to a repository, and have it for oneself; a blank one if need be."""
        if blob.size < self._least:
            return Trace()
        key = digest_of(f"{registry}/{repository}@{blob.digest}".encode()).partition(":")[2]
        file = self._folder / f"{key}{_UPLOAD}"
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            was_there = file.exists()
            if (handle := _take(file)) is not None:
                return Trace(file, handle, was_there=was_there)
        return Trace()

    def _part_file(self, blob: Descriptor) -> Path:
        """Name a part by digest and size: so the names tell how large the folder may become."""
        return self._folder / f"{blob.digest.replace(':', '-')}.{blob.size}"

    def sweep(self) -> None:
        """Remove what nobody came back for."""
        with suppress(OSError):
            for used, _, path in self._files():
                if used < time.time() - _KEPT_SECONDS:
                    _remove(path)

    def _make_room(self, size: int) -> bool:
        """Remove what has to give way, the longest unused first; tell whether so many bytes fit."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        disk = os.statvfs(self._folder)
        if size > self._most or disk.f_bavail * disk.f_frsize < size + _SPARE_BYTES:
            return False
        files = sorted(self._files())
        total = sum(length for _, length, _ in files)
        for _, length, path in files:
            if total + size > self._most and length and _remove(path):
                total -= length
        return total + size <= self._most

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        """Yield when each file was written last, how large it may become, and where it is."""
        for entry in os.scandir(self._folder):
            _, _, size = entry.name.rpartition(".")
            with suppress(FileNotFoundError):
                yield entry.stat().st_mtime, int(size) if size.isdigit() else 0, Path(entry.path)


class Part:
    """The first bytes of a blob, in a file of one's own."""

    def __init__(self, path: Path, handle: int, blob: Descriptor) -> None:
        self._path, self._handle, self._blob = path, handle, blob
        self._size = os.fstat(handle).st_size

    def begun(self) -> Begun:
        """Hash what is there; what is whole and wrong, or too much, is dropped."""
        hasher, offset = hasher_for(self._blob.digest), 0
        buffer = memoryview(bytearray(_BLOCK))
        while count := os.preadv(self._handle, [buffer], offset):
            hasher.update(buffer[:count])
            offset += count
        if offset > self._blob.size or (offset == self._blob.size and not matches(hasher, self._blob.digest)):
            self.clear()
            return NOTHING
        return Begun(offset, hasher)

    def append(self, content: memoryview) -> None:
        """Write the next bytes; raises OSError."""
        while content:
            count = os.pwrite(self._handle, content, self._size)
            self._size += count
            content = content[count:]

    def clear(self) -> None:
        """Begin anew."""
        os.ftruncate(self._handle, 0)
        self._size = 0

    def reader(self) -> BlobReader:
        """Read the whole blob, verified."""
        return FileBlob(Folder(self._path.parent), self._path.name, self._blob)

    def drop(self) -> None:
        """Remove the file: it is of no use any more."""
        with suppress(OSError):
            self._path.unlink()

    def close(self) -> None:
        """Leave the file to others."""
        os.close(self._handle)


class Trace:
    """The note of an upload on its way, which outlives a process that is killed; without a file it is blank."""

    def __init__(self, path: Path | None = None, handle: int = -1, *, was_there: bool = False) -> None:
        self._path, self._handle = path, handle
        self.was_there = was_there
        """Whether an earlier upload was begun and not ended."""
        note = self._read() if was_there else None
        self.upload = Upload(note.location) if note else None
        self.is_unproven = bool(note and note.is_unproven)
        """Whether what the target has was never hashed as a whole."""

    def note(self, upload: Upload, *, is_unproven: bool) -> None:
        """Write down where content is about to go."""
        self.is_unproven = self.is_unproven or is_unproven
        if self._path:
            content = msgspec.json.encode(_Note(upload.location, self.is_unproven))
            with suppress(OSError):
                os.ftruncate(self._handle, 0)
                os.pwrite(self._handle, content, 0)

    def forget(self) -> None:
        """Remove the note: the blob is there."""
        if self._path:
            with suppress(OSError):
                self._path.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._path:
            os.close(self._handle)

    def _read(self) -> _Note | None:
        try:
            return msgspec.json.decode(os.pread(self._handle, _BLOCK, 0), type=_Note)
        except (OSError, *UNREADABLE):
            return None


def _take(path: Path) -> int | None:
    """Open a file for oneself, made if need be; None where another process, or thread, has it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(handle), path.stat()):
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass  # in use, or removed by who had it
    except BaseException:
        os.close(handle)
        raise
    os.close(handle)
    return None


def _remove(path: Path) -> bool:
    """Remove a file that nobody uses; tell whether it is gone."""
    handle = _take(path)
    if handle is None:
        return False
    try:
        path.unlink()
    finally:
        os.close(handle)
    return True
