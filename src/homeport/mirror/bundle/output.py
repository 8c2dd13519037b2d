"""Where a bundle is written: one archive, its parts, or a folder. It appears whole or not at all."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from homeport.errors import UsageError
from homeport.mirror.bundle.output_archive import ArchiveOutput
from homeport.mirror.bundle.output_folder import FolderOutput
from homeport.mirror.ports import Begun, BlobReader
from homeport.oci.manifest import Descriptor


class Output(Protocol):
    """A bundle that is being written; several threads may write blobs."""

    def begin(self, small: Mapping[str, bytes], blobs: Iterable[Descriptor]) -> None:
        """Write all that is no blob and make room for the blobs."""

    def holds(self, blob: Descriptor) -> bool:
        """Tell whether a blob is there already, whole."""

    def begun(self, blob: Descriptor) -> Begun:
        """Return what is there of a blob that is not whole; it may be wrong."""

    def write(self, blob: Descriptor, content: BlobReader, at: int) -> None:
        """Write a blob from an offset on, where the content begins."""

    def finish(self) -> tuple[Path, ...]:
        """Let the bundle appear; return its files."""

    def close(self) -> None:
        """Be done, finished or not."""


def open_output(path: Path, split_size: int | None, *, packed: bool = False) -> Output:
    """Return the output for a path: a folder where it is one; packed also where its name ends so. Raises UsageError."""
    if path.is_dir():
        if split_size or packed:
            raise UsageError("a folder is neither split nor compressed", hint="Name a file: -o bundle.tar")
        return FolderOutput(path)
    if not path.parent.is_dir():
        raise UsageError(f"{path}: there is no folder {path.parent}", hint="Make it, or name another file.")
    if not packed and path.suffix != ".zst":
        return ArchiveOutput(path, split_size)
    from homeport.mirror.bundle.output_packed import PackedOutput

    return PackedOutput(path, split_size)
