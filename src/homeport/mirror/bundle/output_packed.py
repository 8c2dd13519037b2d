"""A bundle that is compressed as a whole, by zstd.

How large a compressed blob will be is known only when it is. So the plain archive is written first, as one without compression
is, blobs at once and kept when the run is cut; then it is packed frame by frame, by all processors.
"""

import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from homeport.errors import StoreError
from homeport.mirror.bundle.output_archive import ArchiveOutput, check_count
from homeport.mirror.bundle.parts import appear, names_of, partial, remove
from homeport.mirror.ports import BlobReader
from homeport.oci.manifest import Descriptor
from homeport.store.packed import pack, stretches, table_of
from homeport.store.pieces import Pieces


class PackedOutput:
    """A compressed tar archive, split into parts where a size is given."""

    def __init__(self, file: Path, split_size: int | None) -> None:
        self._file, self._split = file, split_size
        self._plain = ArchiveOutput(file.with_name(f"{file.name}.plain"), None)

    def begin(self, small: Mapping[str, bytes], blobs: Iterable[Descriptor]) -> None:
        """Write the plain archive but for the blobs' content. Raises StoreError."""
        self._plain.begin(small, blobs)

    def holds(self, blob: Descriptor) -> bool:
        """Tell whether an earlier run has written a blob."""
        return self._plain.holds(blob)

    def write(self, blob: Descriptor, content: BlobReader) -> None:
        """Write a blob at its place."""
        self._plain.write(blob, content)

    def finish(self) -> tuple[Path, ...]:
        """Pack the archive and let it appear; the plain one goes."""
        row = _Row(self._file, self._split)
        try:
            for data in self._packed():
                row.write(data)
            row.close()
        except OSError as error:
            remove(row.files)
            raise StoreError(
                f"cannot write {self._file}: {error.strerror}", hint="Make room, and run it again."
            ) from None
        files = appear(self._file, row.files, split=bool(self._split))
        remove(self._plain.pieces.files)
        return files

    def close(self) -> None:
        """Be done; the plain archive of an unfinished one is kept for the next run."""
        self._plain.close()

    def _packed(self) -> Iterator[bytes]:
        """Yield the frames in order, made side by side, and their table."""
        plain, sizes = self._plain.pieces, list[tuple[int, int]]()
        threads = os.cpu_count() or 1
        ahead: deque[tuple[int, Future[bytes]]] = deque()
        with ThreadPoolExecutor(threads) as pool:
            for start, length in (*stretches(plain.size), (0, 0)):
                if length:
                    ahead.append((length, pool.submit(_frame, plain, start, length)))
                while ahead and (not length or len(ahead) > 2 * threads):
                    size, packed = ahead.popleft()
                    frame = packed.result()
                    sizes.append((len(frame), size))
                    yield frame
        yield table_of(sizes)


def _frame(plain: Pieces, start: int, length: int) -> bytes:
    return pack(plain.read(start, length))


class _Row:
    """Files that are written one after the other, each up to its size, and made durable."""

    def __init__(self, file: Path, step: int | None) -> None:
        self._file, self._step = file, step
        self.files: tuple[Path, ...] = ()
        self._handle, self._left = -1, 0

    def write(self, data: bytes) -> None:
        """Write every byte; raises OSError, UsageError."""
        view = memoryview(data)
        while view:
            if self._handle < 0 or not self._left:
                self._next()
            part = view[: self._left]
            written = os.write(self._handle, part)
            self._left -= written
            view = view[written:]

    def close(self) -> None:
        """Make the last file durable and close it."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def _next(self) -> None:
        self.close()
        number = len(self.files) + 1
        if self._step:
            check_count(number, self._step)
        file = partial(names_of(self._file, number, split=bool(self._step))[-1])
        self._handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        self.files = (*self.files, file)
        self._left = self._step or sys.maxsize
