"""A bundle that is written as one archive or its parts.

All sizes are known before the first blob comes, so blobs are written at once, each at its place; and what an
interrupted run wrote at the same place is found by its digest and kept; a blob that it was at is gone on with.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from homeport.errors import ContentError, UsageError
from homeport.mirror.bundle.parts import appear, names_of, partial, remove
from homeport.mirror.ports import Begun, BlobReader
from homeport.oci.digest import hasher_for
from homeport.oci.manifest import Descriptor
from homeport.store.oci_layout import FileBlob, blob_path
from homeport.store.pieces import Pieces
from homeport.store.tar import END, Entry, header, padded

_BUFFER: Final = 1 << 20
_MOST_PARTS: Final = 9_999


class ArchiveOutput:
    """A tar archive, split into parts where a size is given."""

    def __init__(self, file: Path, split_size: int | None) -> None:
        self._file = file
        self._split = split_size
        self._table: dict[str, Entry] = {}
        self._pieces: Pieces | None = None
        self._is_fresh = False

    def begin(self, small: Mapping[str, bytes], blobs: Iterable[Descriptor]) -> None:
        """Write the archive but for the blobs' content. Raises StoreError."""
        start = start_of(small)
        offset = len(start)
        between: list[tuple[int, bytes]] = []
        for blob in sorted(blobs, key=lambda blob: blob_path(blob.digest)):
            head = header(blob_path(blob.digest), blob.size)
            end = offset + len(head) + blob.size
            self._table[blob.digest] = Entry(offset + len(head), blob.size)
            between += [(offset, head), (end, bytes(padded(blob.size) - blob.size))]
            offset += len(head) + padded(blob.size)
        between.append((offset, END))
        self._pieces = pieces = self._create(offset + len(END))
        if pieces.read(0, len(start)) != start:
            # Left of another bundle, or of nothing.
            pieces.close()
            remove(pieces.files)
            self._pieces = pieces = self._create(offset + len(END))
            pieces.write_at(0, start)
            self._is_fresh = True
        # What is between the blobs too: parts of another size had something else there.
        for place, body in between:
            pieces.write_at(place, body)

    def holds(self, blob: Descriptor) -> bool:
        """Tell whether an earlier run has written a blob."""
        if self._is_fresh or self._written(blob) < blob.size:
            return False
        try:
            FileBlob(self, blob.digest, blob).read_through()
        except ContentError:
            return False
        return True

    def begun(self, blob: Descriptor) -> Begun:
        """Return what an earlier run has written of a blob, up to the last buffer: that may be there in part."""
        size = self._written(blob)
        end = 0 if self._is_fresh or size == blob.size else max(0, size - _BUFFER)
        hasher, offset, buffer = hasher_for(blob.digest), 0, memoryview(bytearray(min(_BUFFER, end)))
        while offset < end and (count := self.read_at(blob.digest, offset, buffer[: end - offset])):
            hasher.update(buffer[:count])
            offset += count
        return Begun(offset, hasher)

    def write(self, blob: Descriptor, content: BlobReader, at: int) -> None:
        """Write a blob at its place, from an offset on."""
        sent = offset = self._table[blob.digest].offset + at
        buffer = memoryview(bytearray(_BUFFER))
        while count := content.readinto(buffer):
            self.pieces.write_at(offset, buffer[:count])
            offset += count
            sent = self.pieces.send_to_disk(sent, offset)

    def finish(self) -> tuple[Path, ...]:
        """Let the archive appear."""
        self.pieces.sync()
        return appear(self._file, self.pieces.files, split=bool(self._split))

    def close(self) -> None:
        """Be done; what was written of an unfinished archive is kept for the next run."""
        if self._pieces:
            self._pieces.close()

    def size(self, path: str) -> int | None:
        """Return a blob's size."""
        return self._table[path].size

    def read_at(self, path: str, offset: int, buffer: memoryview, /) -> int:
        """Read a blob."""
        return self.pieces.read_at(self._table[path].offset + offset, buffer)

    def name(self, path: str = "") -> str:  # noqa: ARG002  # one name for all
        """Name the archive."""
        return str(self._file)

    @property
    def pieces(self) -> Pieces:
        """The files as they are written."""
        assert self._pieces  # noqa: S101  # begin() comes first
        return self._pieces

    def _written(self, blob: Descriptor) -> int:
        start = self._table[blob.digest].offset
        return self.pieces.written(start, start + blob.size)

    def _create(self, size: int) -> Pieces:
        step = self._split or size
        sizes = [min(step, size - start) for start in range(0, size, step)]
        check_count(len(sizes), step)
        return Pieces.create(
            [partial(name) for name in names_of(self._file, len(sizes), split=bool(self._split))], sizes
        )


def check_count(count: int, step: int) -> None:
    """Raise UsageError where a size of parts makes too many of them."""
    if count > _MOST_PARTS:
        raise UsageError(f"--split-size {step} makes more than {_MOST_PARTS} parts", hint="Choose a larger size.")


def start_of(small: Mapping[str, bytes]) -> bytes:
    """Return the beginning of an archive: all that is no blob."""
    fills = (bytes(padded(len(body)) - len(body)) for body in small.values())
    return b"".join(
        part
        for (path, body), fill in zip(small.items(), fills, strict=True)
        for part in (header(path, len(body)), body, fill)
    )
