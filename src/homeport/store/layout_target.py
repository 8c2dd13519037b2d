"""An OCI image layout (image-spec image-layout.md) in a folder, as a target of images, beside what others put into it."""

import fcntl
import os
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from homeport.errors import ContentError, NotFoundError, StoreError, UsageError
from homeport.oci.digest import digest_of, is_digest
from homeport.oci.manifest import MAX_MANIFEST_BYTES, Descriptor, ManifestHead, RawManifest, parse_manifest
from homeport.oci.transfer import BlobReader, Upload
from homeport.oci.unreadable import UNREADABLE
from homeport.store.durable import write_file
from homeport.store.files import Folder
from homeport.store.oci_layout import IMAGE_NAME, INDEX, LAYOUT, REF_NAME, FileBlob, blob_path

_VERSION: Final = b'{"imageLayoutVersion":"1.0.0"}'
BUNDLE: Final = "homeport-bundle.json"
_KEEPS: Final = "keep-"
_BUFFER: Final = 1 << 20


class LayoutTarget:
    """A folder that images are brought to under their full names; any number of threads and processes may do so.

    A blob or a manifest appears whole or not at all, and the index names an image when all of it is there.
    """

    is_local = True

    def __init__(self, folder: Path, names: Mapping[str, str]) -> None:
        """Name a folder, which is made when something is put into it; `names` has the full names of repositories.

        Raises UsageError for the folder of a bundle, whose table of contents would not hold any more, ContentError for a damaged one.
        """
        self._folder, self._names = folder, names
        self._lock = threading.Lock()
        if (folder / BUNDLE).exists():
            raise UsageError(f"{folder} holds a bundle", hint=f"Write into it: homeport bundle save -o {folder} ...")
        self._index()

    def head_manifest(self, repository: str, identifier: str) -> ManifestHead | None:
        """Look for a manifest; None where there is none."""
        digest = identifier if is_digest(identifier) else self._tagged(repository, identifier)
        if digest is None or not self.holds(digest):
            return None
        raw = self.get_manifest(repository, digest)
        return ManifestHead(digest, raw.media_type, len(raw.body))

    def get_manifest(self, repository: str, identifier: str) -> RawManifest:
        """Read a manifest, verified; raises NotFoundError, ContentError."""
        digest = identifier if is_digest(identifier) else self._tagged(repository, identifier)
        body = self._body(digest) if digest else None
        if not digest or body is None:
            raise NotFoundError(f"{self._folder} does not hold {repository} {identifier}")
        if digest_of(body, digest.partition(":")[0]) != digest:
            raise ContentError(f"{self._folder}: {identifier} is damaged in it", hint="Remove that file; run again.")
        return msgspec.structs.replace(RawManifest.of(body), digest=digest)

    def find_manifest(self, repository: str, digest: str) -> RawManifest | None:
        """Read a manifest if it is there, verified; raises ContentError."""
        return self.get_manifest(repository, digest) if self._path(digest).exists() else None

    def referrers(self, repository: str, digest: str) -> tuple[Descriptor, ...] | None:  # noqa: ARG002  # a layout has one list
        """List the manifests that are about another one; they are in the index without a name."""
        found = []
        for entry in self._index()["manifests"]:
            listed = msgspec.convert(entry, Descriptor)
            if not written_name(entry) and self.holds(listed.digest):
                subject = parse_manifest(self.get_manifest("", listed.digest)).subject
                found += [listed] if subject and subject.digest == digest else []
        return tuple(found)

    def put_manifest(self, repository: str, identifier: str, manifest: RawManifest) -> None:
        """Write a manifest, and name it in the index if it has a tag, or list it there if it is about another one."""
        try:
            self._keep(manifest)
            named = {"mediaType": manifest.media_type, "digest": manifest.digest, "size": len(manifest.body)}
            if not is_digest(identifier):
                name = self._full(repository, identifier, manifest.digest)
                self._enter({**named, "annotations": {IMAGE_NAME: name, REF_NAME: name}})
            elif parse_manifest(manifest).subject:
                self._enter(named)
        except OSError as error:
            raise _failed(self._folder, error) from None

    def has_blob(self, repository: str, digest: str) -> bool:  # noqa: ARG002  # a layout has blobs once
        """Tell whether a blob is there."""
        return self.holds(digest)

    def start_blob(self, repository: str, digest: str, *, mount_from: str | None = None) -> Upload | None:  # noqa: ARG002
        """Say where a blob is to be written; None where it is there, whatever repository it came for."""
        return None if self.holds(digest) else Upload(digest)

    def find_upload(self, repository: str, upload: Upload) -> Upload | None:  # noqa: ARG002  # nothing unfinished is kept
        """Say that nobody knows of an upload."""
        return None

    def put_blob(self, repository: str, blob: Descriptor, content: BlobReader, upload: Upload) -> None:  # noqa: ARG002
        """Write a blob; raises StoreError."""
        temporary = self._folder / "blobs" / f".{uuid.uuid4().hex}"
        try:
            self._make(blob.digest)
            with temporary.open("xb", buffering=0) as file:
                buffer = memoryview(bytearray(_BUFFER))
                while count := content.readinto(buffer):
                    file.write(buffer[:count])
                os.fsync(file.fileno())
            temporary.replace(self._path(blob.digest))
        except OSError as error:
            raise _failed(self._folder, error) from None
        finally:
            with suppress(OSError):
                temporary.unlink()

    @contextmanager
    def open_blob(self, repository: str, blob: Descriptor) -> Iterator[BlobReader]:  # noqa: ARG002  # a layout has blobs once
        """Read a blob that is there, verified."""
        yield FileBlob(Folder(self._folder), blob_path(blob.digest), blob)

    def holds(self, digest: str) -> bool:
        """Tell whether content is there."""
        return self._path(digest).exists()

    def _body(self, digest: str) -> bytes | None:
        """Return a manifest as it is there, None where it is not."""
        try:
            with self._path(digest).open("rb") as file:
                return file.read(MAX_MANIFEST_BYTES + 1)
        except OSError:
            return None

    def _keep(self, manifest: RawManifest) -> None:
        self._make(manifest.digest)
        write_file(self._path(manifest.digest), manifest.body, self._folder / "blobs")

    def _make(self, digest: str) -> None:
        """Make the folder a layout if it is none, with a place for content of this digest."""
        with self._lock:
            self._path(digest).parent.mkdir(parents=True, exist_ok=True)
            if not (self._folder / LAYOUT).exists():
                write_file(self._folder / LAYOUT, _VERSION, self._folder)

    def _full(self, repository: str, tag: str, digest: str) -> str:
        """Return an image's full name: by its digest where the tag is one that only keeps it, made of the digest."""
        name = self._names.get(repository, repository)
        keeps = tag.startswith(_KEEPS) and digest.partition(":")[2].startswith(tag.removeprefix(_KEEPS))
        return f"{name}@{digest}" if keeps else f"{name}:{tag}"

    def _path(self, digest: str) -> Path:
        return self._folder / blob_path(digest)

    def _tagged(self, repository: str, tag: str) -> str | None:
        digests = ((entry["digest"], written_name(entry)) for entry in self._index()["manifests"])
        return next((digest for digest, name in digests if name == self._full(repository, tag, digest)), None)

    def _index(self) -> dict[str, Any]:
        try:
            index = read_index((self._folder / INDEX).read_bytes())
        except FileNotFoundError:
            return {"schemaVersion": 2, "manifests": []}
        except OSError:
            index = None
        if index is None:
            raise ContentError(f"{self._folder}: {INDEX} in it cannot be read", hint="Name another folder.")
        return index

    def _enter(self, entry: dict[str, Any]) -> None:
        """Put an entry into the index, in place of the one with its name; other processes do so too (skopeo 2184)."""
        with self._lock, (self._folder / LAYOUT).open("rb") as locked:
            fcntl.flock(locked, fcntl.LOCK_EX)
            write_file(self._folder / INDEX, msgspec.json.encode(entered(self._index(), entry)), self._folder)


def read_index(body: bytes) -> dict[str, Any] | None:
    """Return index.json with all that is in it; None where it cannot be read."""
    try:
        index = msgspec.json.decode(body)
        msgspec.convert(index["manifests"], list[Descriptor])
    except (*UNREADABLE, msgspec.ValidationError, KeyError, TypeError):
        return None
    return dict(index)


def entered(index: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
    """Return an index with one more entry, in place of the one with its name."""
    name, digest = written_name(entry), entry["digest"]

    def is_replaced(each: dict[str, Any]) -> bool:
        return written_name(each) == name and (bool(name) or each["digest"] == digest)

    return {**index, "manifests": [*(each for each in index["manifests"] if not is_replaced(each)), entry]}


def written_name(entry: dict[str, Any]) -> str:
    """Return what an entry of an index is called, "" for nothing."""
    notes = entry.get("annotations") or {}
    return str(notes.get(IMAGE_NAME) or notes.get(REF_NAME) or "")


def _failed(folder: Path, error: OSError) -> StoreError:
    return StoreError(f"cannot write to {folder}: {error.strerror or error}")
