"""Compressed blobs that wait for their turn, each in a file of its own beside the bundle that is written."""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from homeport.errors import ContentError, InputError, StoreError
from homeport.mirror.bundle.parts import remove
from homeport.mirror.ports import BlobReader
from homeport.oci.manifest import Descriptor
from homeport.oci.unreadable import UNREADABLE
from homeport.store.oci_layout import FileBlob, blob_path
from homeport.store.packed import FRAME, Packed, pack
from homeport.store.pieces import Pieces, take
from homeport.store.tar import header, padded

_AHEAD: Final = 2
"""Frames of a blob that are packed while the next one comes."""
_LOCK: Final = "lock"
_TABLE: Final = ".frames"

Frames = list[tuple[int, int]]
"""How long each frame is, packed and plain."""


class PackedBlobs:
    """A folder that one run at a time has. A blob has a table of its frames once it is whole, and a file until it is taken."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1)
        self._lock = -1

    def open(self) -> None:
        """Make the folder, or take it over from a run that has ended. Raises StoreError, OSError."""
        self._folder.mkdir(exist_ok=True)
        lock = self._folder / _LOCK
        self._lock = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            take(lock, self._lock)
        except BlockingIOError:
            raise StoreError(f"{self._folder} is being written by another run", hint="Let that one end.") from None

    def keep_only(self, digests: set[str]) -> None:
        """Remove what is of other blobs, and what was not finished. Raises OSError."""
        names = {self.file(digest).name for digest in digests if self.frames(digest)}
        kept = {_LOCK, *names, *(name + _TABLE for name in names)}
        remove(file for file in self._folder.iterdir() if file.name not in kept)

    def write(self, blob: Descriptor, content: BlobReader) -> None:
        """Pack a blob as it comes, with its header and all that it has in an archive. Raises StoreError."""
        file, frames = self.file(blob.digest), Frames()
        try:
            with file.open("wb", buffering=0) as opened:
                for size, frame in self._packed(blob, content):
                    view = memoryview(frame)
                    while view:
                        view = view[opened.write(view) :]
                    frames.append((len(frame), size))
            table = file.with_name(file.name + _TABLE)
            new = table.with_suffix(".new")
            new.write_bytes(msgspec.json.encode(frames))
            new.replace(table)
        except OSError as error:
            raise StoreError(f"cannot write {file}: {error.strerror}", hint="Make room, and run it again.") from None

    def frames(self, digest: str) -> Frames:
        """Return the frames of a blob that was packed, whether it waits or was taken; none where it was not."""
        file = self.file(digest)
        try:
            return msgspec.json.decode(file.with_name(file.name + _TABLE).read_bytes(), type=Frames)
        except (OSError, *UNREADABLE):
            return []

    def waits(self, blob: Descriptor) -> bool:
        """Tell whether a blob waits, and is what it should be."""
        file, frames = self.file(blob.digest), self.frames(blob.digest)
        try:
            with Pieces.open([file]) as pieces:
                return pieces.size == sum(packed for packed, _ in frames) and is_blob(pieces, 0, frames, blob)
        except InputError:
            return False

    def file(self, digest: str) -> Path:
        """Return where a blob waits."""
        return self._folder / digest.replace(":", "-", 1)

    def remove(self) -> None:
        """Remove the folder; the bundle is whole."""
        with suppress(OSError):
            remove(self._folder.iterdir())
            self._folder.rmdir()

    def close(self) -> None:
        """Let another run have it."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        handle, self._lock = self._lock, -1
        if handle >= 0:
            os.close(handle)

    def _packed(self, blob: Descriptor, content: BlobReader) -> Iterator[tuple[int, bytes]]:
        ahead: deque[tuple[int, Future[bytes]]] = deque()
        for stretch in _stretches(blob, content):
            ahead.append((len(stretch), self._pool.submit(pack, stretch)))
            if len(ahead) > _AHEAD:
                yield _first(ahead)
        while ahead:
            yield _first(ahead)


def is_blob(pieces: Pieces, start: int, frames: Frames, blob: Descriptor) -> bool:
    """Tell whether frames that begin at a place are those of a blob, with its header."""
    head = header(blob_path(blob.digest), blob.size)
    if sum(plain for _, plain in frames) != len(head) + padded(blob.size):
        return False
    try:
        packed = Packed.of(pieces, start, frames)
        if packed.read(0, len(head)) != head:
            return False
        FileBlob(_Content(packed, len(head), blob), blob.digest, blob).read_through()
    except (ContentError, InputError):
        return False
    return not any(packed.read(len(head) + blob.size, padded(blob.size) - blob.size))


class _Content:
    """The content of a blob as it stands behind its header."""

    def __init__(self, packed: Packed, start: int, blob: Descriptor) -> None:
        self._packed, self._start, self._blob = packed, start, blob

    def size(self, path: str) -> int | None:  # noqa: ARG002  # there is one
        return self._blob.size

    def read_at(self, path: str, offset: int, buffer: memoryview, /) -> int:  # noqa: ARG002  # there is one
        return self._packed.read_at(self._start + offset, buffer)

    def name(self, path: str = "") -> str:
        return path


def _first(ahead: deque[tuple[int, Future[bytes]]]) -> tuple[int, bytes]:
    size, packed = ahead.popleft()
    return size, packed.result()


def _stretches(blob: Descriptor, content: BlobReader) -> Iterator[bytearray]:
    """Yield header, content and padding in stretches of one frame each."""
    head = header(blob_path(blob.digest), blob.size)
    left = len(head) + padded(blob.size)
    filled, end = len(head), len(head) + blob.size
    stretch = bytearray(min(FRAME, left))
    stretch[:filled] = head
    while left:
        view = memoryview(stretch)
        stop = min(len(stretch), end)
        while filled < stop and (count := content.readinto(view[filled:stop])):
            filled += count
        yield stretch
        left, end = left - len(stretch), end - len(stretch)
        stretch, filled = bytearray(min(FRAME, left)), 0
