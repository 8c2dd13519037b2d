"""A bundle that is written to a folder: an OCI layout that keeps what was in it."""

import os
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from homeport.errors import ContentError, StoreError
from homeport.mirror.bundle.contents import SIGNATURE
from homeport.mirror.ports import NOTHING, Begun, BlobReader
from homeport.oci.manifest import Descriptor
from homeport.store.durable import remove_file, write_file
from homeport.store.files import Folder
from homeport.store.oci_layout import INDEX, FileBlob, blob_path

_BUFFER: Final = 1 << 20


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

    def begun(self, blob: Descriptor) -> Begun:  # noqa: ARG002  # a blob is there whole, or not at all
        """Return what is there of a blob: nothing."""
        return NOTHING

    def write(self, blob: Descriptor, content: BlobReader, at: int) -> None:  # noqa: ARG002  # see begun()
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
