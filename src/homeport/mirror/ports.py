"""What the mirror needs of a source and of a target; registries, layouts and memory fill it alike."""

from contextlib import AbstractContextManager
from typing import Protocol

import msgspec

from homeport.oci.manifest import Descriptor, RawManifest


class ManifestHead(msgspec.Struct, frozen=True):
    """What a HEAD tells of a manifest; size in bytes."""

    digest: str
    media_type: str
    size: int


class BlobReader(Protocol):
    """Verified content as it streams: the last read raises ContentError unless digest and size are as named."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the buffer from its start; return the number of bytes, 0 at the end."""


class Upload(msgspec.Struct, frozen=True):
    """An upload that the target has opened; `location` is the target's own affair."""

    location: str


class Source(Protocol):
    """Where images come from. `identifier` is a tag or a digest."""

    def head_manifest(self, repository: str, identifier: str) -> ManifestHead | None:
        """Ask for a manifest without fetching it; None where there is none. Never a counted pull."""

    def get_manifest(self, repository: str, identifier: str) -> RawManifest:
        """Fetch a manifest, verified against the digest asked for; raises NotFoundError."""

    def open_blob(self, repository: str, blob: Descriptor) -> AbstractContextManager[BlobReader]:
        """Stream a blob, resumed after cuts and verified; raises NotFoundError."""


class Target(Protocol):
    """Where images are brought to."""

    def head_manifest(self, repository: str, identifier: str) -> ManifestHead | None:
        """Ask for a manifest without fetching it; None where there is none."""

    def put_manifest(self, repository: str, identifier: str, manifest: RawManifest) -> None:
        """Store a manifest byte for byte."""

    def has_blob(self, repository: str, digest: str) -> bool:
        """Tell whether a blob is in a repository."""

    def start_blob(self, repository: str, digest: str, *, mount_from: str | None = None) -> Upload | None:
        """Open an upload, or mount the blob from another repository of the target: then None comes back."""

    def put_blob(self, repository: str, blob: Descriptor, content: BlobReader, upload: Upload) -> None:
        """Stream content into an upload and close it."""
