"""Files that appear whole or not at all, and that a power cut cannot take back.

A name is only as durable as its directory: after a file is written or renamed, its directory is synced too.
"""

import ctypes
import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from homeport.errors import StoreError, StoreFullError

SEND_BYTES: Final = 8 << 20

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_IOV_MAX = 1024
_SYNC_FILE_RANGE_WRITE = 2
_sync_file_range = getattr(ctypes.CDLL(None), "sync_file_range", None)
"""Linux only, and not in Python; it promises nothing, so its result does not matter."""


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn an OSError into StoreFullError or StoreError; `doing` continues "cannot"."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        if error.errno in _FULL:
            raise StoreFullError(
                f"cannot {doing}: {reason}",
                hint="Free some room on the disk of the registry; nothing stored before is affected.",
            ) from error
        raise StoreError(
            f"cannot {doing}: {reason}",
            hint="Look at the disk of the registry and at the rights of its data directory.",
        ) from error


def write_all(handle: int, *data: bytes) -> None:
    """Write every byte, however many calls that takes."""
    for start in range(0, len(data), _IOV_MAX):
        batch = data[start : start + _IOV_MAX]
        written = os.writev(handle, batch)
        for chunk in batch:
            view = memoryview(chunk)[min(written, len(chunk)) :]
            written -= len(chunk) - len(view)
            while view:
                view = view[os.write(handle, view) :]


def send_to_disk(handle: int, sent: int, size: int) -> int:
    """Start writing what a growing file has gathered, so that its sync finds little to do; returns up to where."""
    if size - sent < SEND_BYTES or _sync_file_range is None:
        return sent
    _sync_file_range(handle, ctypes.c_int64(sent), ctypes.c_int64(size - sent), _SYNC_FILE_RANGE_WRITE)
    return size


def write_file(path: Path, content: bytes, staging: Path) -> None:
    """Put a file in place of whatever was there, durably; `staging` is a directory of the same file system."""
    temporary = staging / uuid.uuid4().hex
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            write_all(handle, content)
            os.fsync(handle)
        finally:
            os.close(handle)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    sync_directory(path.parent)


def write_mark(path: Path) -> None:
    """Create an empty file, durably; one that is there already is fine."""
    path.touch(0o644)
    sync_directory(path.parent)


def remove_file(path: Path) -> bool:
    """Remove a file, durably; False if there was none."""
    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return False
    sync_directory(path.parent)
    return True


def make_directory(path: Path, known: set[Path]) -> None:
    """Create a directory and its parents, durably and for their owner only; `known` are those that need no second look.

    A directory that is there may have been made by a process that was killed before it synced the parent.
    """
    if path in known:
        return
    make_directory(path.parent, known)
    path.mkdir(0o700, exist_ok=True)
    sync_directory(path.parent)
    known.add(path)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_file(path: str) -> bytes | None:
    """Return a small file's content, or None where there is none."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        size = os.fstat(handle).st_size
        content = os.read(handle, size + 1)
        while len(content) < size and (more := os.read(handle, size - len(content))):
            content += more
        return content
    finally:
        os.close(handle)
