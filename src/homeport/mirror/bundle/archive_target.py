"""An archive that images are brought to: an OCI layout in one tar file, on wish with what `docker load` reads beside it."""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from homeport.errors import ContentError, StoreError, UsageError
from homeport.mirror.bundle.contents import CONTENTS, LAYOUT_BODY
from homeport.mirror.bundle.docker_list import list_images
from homeport.mirror.bundle.output_archive import ArchiveOutput
from homeport.oci.manifest import MAX_MANIFEST_BYTES, Descriptor, RawManifest, parse_manifest
from homeport.oci.media_types import IMAGE_TYPES, INDEX_TYPES
from homeport.oci.transfer import BlobReader
from homeport.store.docker_archive import MANIFEST
from homeport.store.files import Archive, read_whole
from homeport.store.layout_target import LayoutTarget, entered, read_index, written_name
from homeport.store.oci_layout import INDEX, LAYOUT, MOST_INDEX_BYTES, FileBlob, blob_path

_UNFINISHED: Final = ".unfinished"
_THREADS: Final = 4


class ArchiveTarget(LayoutTarget):
    """A file that images are brought to under their full names; what is in it already stays.

    Blobs are gathered in a folder beside it, where the next run finds them if this one is cut; `finish` writes the file, which appears
    whole or not at all. Use it in a with statement.
    """

    def __init__(self, file: Path, names: Mapping[str, str], *, is_docker: bool = False) -> None:
        """Name a file; with `is_docker` it is as `docker load` reads it, each image for one platform.

        Raises UsageError for a file of another form, ContentError for a damaged one.
        """
        if not file.parent.is_dir():
            raise UsageError(f"{file}: there is no folder {file.parent}", hint="Make it, or name another file.")
        self._file, self._is_docker = file, is_docker
        self._manifests: dict[str, RawManifest] = {}
        self._taken, self._closed = -1, False
        self._seen = _identity(file)
        self._before = _open(file, is_docker=is_docker) if self._seen and self._seen.size else None
        try:
            self._there = self._entries = _index_in(self._before) if self._before else _NOTHING
            super().__init__(file.with_name(file.name + _UNFINISHED), names)
        except BaseException:
            if self._before:
                self._before.close()
            raise

    @property
    def unfinished(self) -> Path:
        """The folder of what has come and is not in the file."""
        return self._folder

    @contextmanager
    def open_blob(self, repository: str, blob: Descriptor) -> Iterator[BlobReader]:
        """Read a blob that is there, verified."""
        if self._path(blob.digest).exists() or not self._before:
            with super().open_blob(repository, blob) as content:
                yield content
        else:
            yield FileBlob(self._before, blob_path(blob.digest), blob)

    def holds(self, digest: str) -> bool:
        """Tell whether content has come, or is in the file."""
        return digest in self._manifests or self._is_in_file(digest) or super().holds(digest)

    def finish(self) -> None:
        """Write the file, unless it holds all of it already. Raises StoreError, ContentError."""
        if self._entries is self._there:
            return
        self._entries = _in_order(self._entries, self._there)
        manifests, blobs = self._reached()
        small = {LAYOUT: LAYOUT_BODY, INDEX: msgspec.json.encode(self._entries)}
        if self._is_docker:
            small[MANIFEST] = msgspec.json.encode(list_images(self._entries["manifests"], self._held))
        small |= {blob_path(digest): raw.body for digest, raw in sorted(manifests.items())}
        output = ArchiveOutput(self._file, None)
        try:
            output.begin(small, blobs)
            with ThreadPoolExecutor(_THREADS) as threads:
                list(threads.map(lambda blob: self._pack(blob, output), blobs))
            output.finish()
        finally:
            output.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def close(self) -> None:
        """Be done; what has come of an unfinished archive is kept for the next run."""
        with self._lock:
            self._closed = True
            if self._before:
                self._before.close()
            if self._taken >= 0:
                os.close(self._taken)
                self._taken = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _pack(self, blob: Descriptor, output: ArchiveOutput) -> None:
        if not output.holds(blob):
            with self.open_blob("", blob) as content:
                output.write(blob, content, 0)

    def _reached(self) -> tuple[dict[str, RawManifest], list[Descriptor]]:
        """Return the manifests and the blobs that images name and that are there: an index may lack platforms."""
        manifests: dict[str, RawManifest] = {}
        blobs: dict[str, Descriptor] = {}
        left = [msgspec.convert(entry, Descriptor) for entry in self._entries["manifests"]]
        while left:
            each = left.pop()
            if each.digest in manifests or each.digest in blobs or not self.holds(each.digest):
                continue
            if each.media_type not in IMAGE_TYPES | INDEX_TYPES:
                blobs[each.digest] = each
                continue
            manifests[each.digest] = raw = self.get_manifest("", each.digest)
            named = parse_manifest(raw)
            left += named.children
            blobs |= {blob.digest: blob for blob in named.blobs if self.holds(blob.digest)}
        return manifests, list(blobs.values())

    def _held(self, digest: str) -> RawManifest | None:
        return self.get_manifest("", digest) if self.holds(digest) else None

    def _is_in_file(self, digest: str) -> bool:
        return self._before is not None and self._before.size(blob_path(digest)) is not None

    def _body(self, digest: str) -> bytes | None:
        if kept := self._manifests.get(digest):
            return kept.body
        return (
            read_whole(self._before, blob_path(digest), MAX_MANIFEST_BYTES)
            if self._before and self._is_in_file(digest)
            else None
        )

    def _keep(self, manifest: RawManifest) -> None:
        self._manifests[manifest.digest] = manifest

    def _index(self) -> dict[str, Any]:
        return self._entries

    def _enter(self, entry: dict[str, Any]) -> None:
        if self._is_docker:
            list_images([entry], self._held)  # what docker load could not read is refused
        with self._lock:
            self._entries = entered(self._entries, entry)

    def _make(self, digest: str) -> None:
        if self._closed:
            # A thread of a job that has failed is still at it.
            raise StoreError(f"{self._file} is not written any more")
        super()._make(digest)
        with self._lock:
            if self._taken < 0 and not self._closed:
                self._take()

    def _take(self) -> None:
        """Keep other runs away from the folder, and notice one that has written the file since it was read."""
        self._taken = os.open(self._folder / LAYOUT, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._taken, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if (
                os.path.samestat(os.fstat(self._taken), (self._folder / LAYOUT).stat())
                and _identity(self._file) == self._seen
            ):
                return
        except OSError:
            pass
        os.close(self._taken)
        self._taken = -1
        raise StoreError(f"{self._file} is being written by another run", hint="Let that one end; then run it again.")


_NOTHING: Final[dict[str, Any]] = {"schemaVersion": 2, "manifests": []}


def _in_order(index: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """Return an index whose new entries follow those of before, by name: threads enter them in any order."""
    known = [each for each in index["manifests"] if each in before["manifests"]]
    new = [each for each in index["manifests"] if each not in before["manifests"]]
    new.sort(key=lambda each: (not written_name(each), written_name(each), each["digest"]))
    return {**index, "manifests": [*known, *new]}


class _Identity(msgspec.Struct, frozen=True):
    """What tells a file from the one that another run has put in its place."""

    number: int
    size: int
    written: int


def _identity(file: Path) -> _Identity | None:
    try:
        status = file.stat()
    except FileNotFoundError:
        return None
    return _Identity(status.st_ino, status.st_size, status.st_mtime_ns)


def _open(file: Path, *, is_docker: bool) -> Archive:
    """Open a file that is there; raises UsageError where it is no archive of the form that is wanted."""
    try:
        archive = Archive([file])
    except (ContentError, OSError) as error:
        raise _strange(file, f"is there, and is no archive: {error}") from None
    reason = ""
    if archive.size(CONTENTS) is not None:
        reason = "is a bundle, which homeport bundle save writes"
    elif archive.size(INDEX) is None or archive.size(LAYOUT) is None:
        reason = "is there, and holds no OCI layout"
    elif is_docker is (archive.size(MANIFEST) is None):
        reason = "is an OCI archive" if is_docker else "is an archive that docker load reads"
    if reason:
        archive.close()
        raise _strange(file, reason)
    return archive


def _strange(file: Path, reason: str) -> UsageError:
    return UsageError(f"{file} {reason}", hint="It is left as it is. Name another file, or remove this one.")


def _index_in(archive: Archive) -> dict[str, Any]:
    index = read_index(read_whole(archive, INDEX, MOST_INDEX_BYTES))
    if index is None:
        raise ContentError(f"{archive.name(INDEX)}: {INDEX} in it cannot be read", hint="Name another file.")
    return index
