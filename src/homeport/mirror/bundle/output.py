"""Where a bundle is written: one archive, its parts, or a folder. It appears whole or not at all.

All sizes are known before the first blob comes, so blobs are written at once, each at its place; and what an
interrupted run wrote at the same place is found by its digest and kept.
"""

import os
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final, Protocol

from homeport.errors import ContentError, StoreError, UsageError
from homeport.mirror.bundle.contents import SIGNATURE
from homeport.mirror.ports import BlobReader
from homeport.oci.manifest import Descriptor
from homeport.store.durable import remove_file, sync_directory, write_file
from homeport.store.files import Folder
from homeport.store.oci_layout import INDEX, FileBlob, blob_path
from homeport.store.pieces import Pieces
from homeport.store.tar import END, Entry, header, padded

_BUFFER: Final = 1 << 20
_MOST_PARTS: Final = 9_999
SUMS: Final = ".sha256"


class Output(Protocol):
    """A bundle that is being written; several threads may write blobs."""

    def begin(self, small: Mapping[str, bytes], blobs: Iterable[Descriptor]) -> None:
        """Write all that is no blob and make room for the blobs."""

    def holds(self, blob: Descriptor) -> bool:
        """Tell whether a blob is there already, whole."""

    def write(self, blob: Descriptor, content: BlobReader) -> None:
        """Write a blob."""

    def finish(self) -> tuple[Path, ...]:
        """Let the bundle appear; return its files."""

    def close(self) -> None:
        """Be done, finished or not."""


def open_output(path: Path, split_size: int | None) -> Output:
    """Return the output for a path: a folder where it is one or is written with a slash at its end. Raises UsageError."""
    if path.is_dir():
        if split_size:
            raise UsageError("a folder is not split", hint="Name a file: -o bundle.tar --split-size 4GB")
        return FolderOutput(path)
    if not path.parent.is_dir():
        raise UsageError(f"{path}: there is no folder {path.parent}", hint="Make it, or name another file.")
    return ArchiveOutput(path, split_size)


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
        start = b"".join(part for path, body in small.items() for part in (header(path, len(body)), body, _fill(body)))
        offset = len(start)
        headers = []
        for blob in sorted(blobs, key=lambda blob: blob_path(blob.digest)):
            head = header(blob_path(blob.digest), blob.size)
            headers.append((offset, head))
            self._table[blob.digest] = Entry(offset + len(head), blob.size)
            offset += len(head) + padded(blob.size)
        self._pieces = pieces = self._create(offset + len(END))
        if pieces.read(0, len(start)) != start:
            # Left of another bundle, or of nothing: its bytes would be in the gaps.
            pieces.close()
            _remove(pieces.files)
            self._pieces = pieces = self._create(offset + len(END))
            pieces.write_at(0, start)
            self._is_fresh = True
        for place, head in headers:
            pieces.write_at(place, head)

    def holds(self, blob: Descriptor) -> bool:
        """Tell whether an earlier run has written a blob."""
        if self._is_fresh:
            return False
        try:
            FileBlob(self, blob.digest, blob).read_through()
        except ContentError:
            return False
        return True

    def write(self, blob: Descriptor, content: BlobReader) -> None:
        """Write a blob at its place."""
        offset = self._table[blob.digest].offset
        buffer = memoryview(bytearray(_BUFFER))
        while count := content.readinto(buffer):
            self._written.write_at(offset, buffer[:count])
            offset += count

    def finish(self) -> tuple[Path, ...]:
        """Let the archive appear. Of parts, their list appears last: without it they are none."""
        pieces = self._written
        pieces.sync()
        finals = self._names(len(pieces.files))
        sums = self._file.with_name(self._file.name + SUMS)
        lines = _sums(pieces, finals) if self._split else ""
        try:
            sums.unlink(missing_ok=True)
            for temporary, final in zip(pieces.files, finals, strict=True):
                temporary.replace(final)
            self._remove_rest(len(finals))
            sync_directory(self._file.parent)
            if lines:
                write_file(sums, lines.encode(), self._file.parent)
        except OSError as error:
            raise StoreError(f"cannot write {self._file}: {error.strerror}") from None
        return (*finals, sums) if self._split else finals

    def close(self) -> None:
        """Be done; what was written of an unfinished archive is kept for the next run."""
        if self._pieces:
            self._pieces.close()

    def size(self, path: str) -> int | None:
        """Return a blob's size."""
        return self._table[path].size

    def read_at(self, path: str, offset: int, buffer: memoryview, /) -> int:
        """Read a blob."""
        return self._written.read_at(self._table[path].offset + offset, buffer)

    def name(self, path: str = "") -> str:  # noqa: ARG002  # one name for all
        """Name the archive."""
        return str(self._file)

    @property
    def _written(self) -> Pieces:
        assert self._pieces  # noqa: S101  # begin() comes first
        return self._pieces

    def _create(self, size: int) -> Pieces:
        step = self._split or size
        sizes = [min(step, size - start) for start in range(0, size, step)]
        if len(sizes) > _MOST_PARTS:
            raise UsageError(
                f"--split-size {step} makes {len(sizes)} parts of {size} bytes",
                hint=f"At most {_MOST_PARTS} are made; choose a larger size.",
            )
        return Pieces.create([_partial(name) for name in self._names(len(sizes))], sizes)

    def _names(self, count: int) -> tuple[Path, ...]:
        if not self._split:
            return (self._file,)
        return tuple(self._file.with_name(f"{self._file.name}.{number:03}") for number in range(1, count + 1))

    def _remove_rest(self, count: int) -> None:
        """Remove parts of an earlier bundle of this name, so that no glob takes them for parts of this one."""
        if not self._split:
            return
        for file in self._file.parent.glob(f"{_escaped(self._file.name)}.[0-9]*"):
            number = file.name.removesuffix(".partial").rpartition(".")[2]
            if number.isdigit() and len(number) >= 3 and int(number) > count:
                file.unlink()


class FolderOutput:
    """A folder with an OCI layout; what was in it already stays."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = Folder(folder)
        self._small: dict[str, bytes] = {}

    def begin(self, small: Mapping[str, bytes], blobs: Iterable[Descriptor]) -> None:
        """Make the folders."""
        self._small = dict(small)
        paths = (*small, *(blob_path(blob.digest) for blob in blobs))
        try:
            for parent in {(self._folder / path).parent for path in paths}:
                parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._failed(error) from None

    def holds(self, blob: Descriptor) -> bool:
        """Tell whether a blob is there already."""
        path = blob_path(blob.digest)
        if self._files.size(path) != blob.size:
            return False
        try:
            FileBlob(self._files, path, blob).read_through()
        except ContentError:
            return False
        return True

    def write(self, blob: Descriptor, content: BlobReader) -> None:
        """Write a blob to a file of its own."""
        final = self._folder / blob_path(blob.digest)
        temporary = final.with_name(f".{uuid.uuid4().hex}")
        try:
            with temporary.open("xb", buffering=0) as file:
                buffer = memoryview(bytearray(_BUFFER))
                while count := content.readinto(buffer):
                    file.write(buffer[:count])
                os.fsync(file.fileno())
            temporary.replace(final)
        except OSError as error:
            raise self._failed(error) from None
        finally:
            with suppress(OSError):
                temporary.unlink()

    def finish(self) -> tuple[Path, ...]:
        """Write the small files, the index last; of an earlier bundle in the folder no signature stays."""
        order = sorted(self._small, key=lambda path: path == INDEX)
        try:
            for path in order:
                write_file(self._folder / path, self._small[path], (self._folder / path).parent)
            if SIGNATURE not in self._small:
                remove_file(self._folder / SIGNATURE)
        except OSError as error:
            raise self._failed(error) from None
        return (self._folder,)

    def close(self) -> None:
        """Be done."""

    def _failed(self, error: OSError) -> StoreError:
        return StoreError(f"cannot write to {self._folder}: {error.strerror}", hint="Make room, and run it again.")


def _partial(file: Path) -> Path:
    return file.with_name(file.name + ".partial")


def _fill(body: bytes) -> bytes:
    return bytes(padded(len(body)) - len(body))


def _remove(files: Iterable[Path]) -> None:
    for file in files:
        with suppress(OSError):
            file.unlink()


def _sums(pieces: Pieces, names: Iterable[Path]) -> str:
    """Return the checksums of all parts, as sha256sum writes and checks them."""
    lines = []
    for part, name in zip(pieces.files, names, strict=True):
        with part.open("rb") as file:
            hasher = sha256()
            while block := file.read(_BUFFER):
                hasher.update(block)
        lines.append(f"{hasher.hexdigest()}  {name.name}\n")
    return "".join(lines)


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
