"""What the mirror needs of a source and of a target; registries, layouts and memory fill it alike."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Protocol

from homeport.oci.manifest import Descriptor, ManifestHead, RawManifest
from homeport.oci.transfer import NOTHING, Begun, BlobReader, Upload

__all__ = ["NOTHING", "Begun", "BlobReader", "ManifestHead", "Source", "Target", "Upload"]


class Source(Protocol):
    """Where images come from. `identifier` is a tag or a digest."""

    @property
    def is_local(self) -> bool:
        """Whether it is read from this machine: nobody counts that, and nothing breaks off."""

    def head_manifest(self, repository: str, identifier: str) -> ManifestHead | None:
        """Ask for a manifest without fetching it; None where there is none. Never a counted pull."""

    def get_manifest(self, repository: str, identifier: str) -> RawManifest:
        """Fetch a manifest, verified against the digest asked for; raises NotFoundError."""

    def open_blob(
        self, repository: str, blob: Descriptor, begun: Begun = NOTHING, /
    ) -> AbstractContextManager[BlobReader]:
        """Stream a blob, or what follows its first bytes, resumed after cuts and verified; raises NotFoundError."""

    def referrers(self, repository: str, digest: str) -> tuple[Descriptor, ...] | None:
        """List the manifests that are about another one; None where there is no way to ask. Never a counted pull."""

    def tags(self, repository: str) -> Iterable[str]:
        """List the tags of a repository; raises RegistryError."""


class Target(Protocol):
    """Where images are brought to."""

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine: to look into it closely costs nothing."""

    def head_manifest(self, repository: str, identifier: str) -> ManifestHead | None:
        """Ask for a manifest without fetching it; None where there is none."""

    def get_manifest(self, repository: str, identifier: str) -> RawManifest:
        """Fetch a manifest that is there, verified; raises NotFoundError."""

    def find_manifest(self, repository: str, digest: str) -> RawManifest | None:
        """Fetch a manifest if it is there; raises UnknownNameError where it is known that nothing is in the repository."""

    def referrers(self, repository: str, digest: str) -> tuple[Descriptor, ...] | None:
        """List the manifests that are about another one; None where there is no way to ask."""

    def put_manifest(self, repository: str, identifier: str, manifest: RawManifest) -> None:
        """Store a manifest byte for byte."""

    def has_blob(self, repository: str, digest: str) -> bool:
        """Tell whether a blob is in a repository."""

    def start_blob(self, repository: str, digest: str, *, mount_from: str | None = None) -> Upload | None:
        """Open an upload, or mount the blob from another repository of the target: then None comes back."""

    def find_upload(self, repository: str, upload: Upload) -> Upload | None:
        """Ask how far an upload has come, and where it goes on; None where nobody knows."""

    def put_blob(self, repository: str, blob: Descriptor, content: BlobReader, upload: Upload) -> None:
        """Stream content, which stands at the upload's offset, into an upload and close it."""

    def open_blob(self, repository: str, blob: Descriptor) -> AbstractContextManager[BlobReader]:
        """Stream a blob that is there, verified."""
