"""A bundle that is compressed as a whole, by zstd.

How large a compressed blob is, is known only when it is compressed. So blobs come at once and are packed as they come, each into a file
of its own; when its turn has come, a blob goes into the bundle and its file goes away. The disk holds nothing twice but the blob that is being moved.
Frames begin anew at each blob: they depend on nothing but its bytes.
"""

import threading
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from homeport.errors import StoreError
from homeport.mirror.bundle.output_archive import start_of
from homeport.mirror.bundle.packed_blobs import Frames, PackedBlobs, is_blob
from homeport.mirror.bundle.packed_row import Row
from homeport.mirror.bundle.parts import appear, partial
from homeport.mirror.ports import NOTHING, Begun, BlobReader
from homeport.oci.manifest import Descriptor
from homeport.store.oci_layout import blob_path
from homeport.store.packed import pack, stretches, table_of
from homeport.store.tar import END

_BUFFER: Final = 1 << 20


class PackedOutput:
    """A compressed tar archive, split into parts where a size is given."""

    def __init__(self, file: Path, split_size: int | None) -> None:
        self._file, self._split = file, split_size
        self._row = Row(file, split_size)
        self._blobs = PackedBlobs(partial(file).with_name(f"{file.name}.blobs.partial"))
        self._frames: Frames = []
        self._order: list[Descriptor] = []
        self._held: set[str] = set()
        self._waiting: set[str] = set()
        self._moved = 0
        self._is_over = False
        self._turn = threading.Lock()

    def begin(self, small: Mapping[str, bytes], blobs: Iterable[Descriptor]) -> None:
        """Write all that is no blob, or go on behind what an earlier run wrote. Raises StoreError."""
        start = start_of(small)
        self._order = sorted(blobs, key=lambda blob: blob_path(blob.digest))
        frames = [(pack(start[place : place + size]), size) for place, size in stretches(len(start))]
        self._frames = [(len(frame), size) for frame, size in frames]
        body = b"".join(frame for frame, _ in frames)
        try:
            self._blobs.open()
            self._blobs.keep_only({blob.digest for blob in self._order})
            self._row.begin(self._kept(body))
            if not self._row.size:
                self._row.write(body)
        except OSError as error:
            raise self._failed(error) from None

    def holds(self, blob: Descriptor) -> bool:
        """Tell whether an earlier run has written a blob."""
        if blob.digest in self._held:
            return True
        if not self._blobs.waits(blob):
            return False
        self._arrived(blob)
        return True

    def begun(self, blob: Descriptor) -> Begun:  # noqa: ARG002  # a blob is there whole, or not at all
        """Return what is there of a blob: nothing."""
        return NOTHING

    def write(self, blob: Descriptor, content: BlobReader, at: int) -> None:  # noqa: ARG002  # see begun()
        """Pack a blob; raises StoreError."""
        self._blobs.write(blob, content)
        self._arrived(blob)

    def finish(self) -> tuple[Path, ...]:
        """Let the archive appear. Raises StoreError."""
        end = pack(END)
        try:
            with self._turn:
                self._move()
                self._row.write(end)
                self._row.write(table_of([*self._frames, (len(end), len(END))]))
                self._row.end()
        except OSError as error:
            raise self._failed(error) from None
        files = appear(self._file, self._row.files, split=bool(self._split))
        self._blobs.remove()
        return files

    def close(self) -> None:
        """Be done; what was written of an unfinished archive is kept for the next run."""
        self._is_over = True
        with self._turn:
            self._row.close()
        self._blobs.close()

    def _kept(self, start: bytes) -> int:
        """Return how much of an earlier run's row is of use: the start, and blobs behind it in their order."""
        pieces = self._row.open()
        if pieces is None:
            return 0
        with closing(pieces):
            if pieces.read(0, len(start)) != start:
                return 0
            size = len(start)
            for blob in self._order:
                frames = self._blobs.frames(blob.digest)
                if not frames or self._blobs.file(blob.digest).exists() or not is_blob(pieces, size, frames, blob):
                    break
                size += sum(packed for packed, _ in frames)
                self._frames += frames
                self._moved += 1
                self._held.add(blob.digest)
            return size

    def _arrived(self, blob: Descriptor) -> None:
        self._waiting.add(blob.digest)
        if self._turn.acquire(blocking=False):  # whoever has it moves this one too, or finish() does
            try:
                self._move()
            finally:
                self._turn.release()

    def _move(self) -> None:
        """Move blobs into the row as far as their turn has come; nothing follows one that was moved in part. Raises StoreError."""
        while not self._is_over and self._moved < len(self._order):
            digest = self._order[self._moved].digest
            if digest not in self._waiting:
                return
            self._is_over = True
            try:
                self._append(self._blobs.file(digest))
                self._frames += self._blobs.frames(digest)
                self._blobs.file(digest).unlink()
            except OSError as error:
                raise self._failed(error) from None
            self._is_over = False
            self._moved += 1

    def _append(self, file: Path) -> None:
        buffer = memoryview(bytearray(_BUFFER))
        with file.open("rb", buffering=0) as opened:
            while count := opened.readinto(buffer):
                self._row.write(buffer[:count])

    def _failed(self, error: OSError) -> StoreError:
        return StoreError(f"cannot write {self._file}: {error.strerror}", hint="Make room, and run it again.")
