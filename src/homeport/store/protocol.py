"""What a registry needs of a content store; memory, file system and object storage fill it alike.

Content is addressed by digest and shared by all repositories, but seen only through one that holds it. Whatever
changes something returns when the change would survive a power cut, and shows it whole or not at all. Methods block;
`Blob.read_into`, `Blob.at_hand` and `manifest_now` do not. They may be called from several threads. Names are checked: InvalidReferenceError and
InvalidDigestError keep anything else out. StoreError: the storage failed; StoreFullError: it has no room.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from homeport.oci.manifest import RawManifest


def never(_tag: str) -> bool:
    """Say of no tag that it is fixed."""
    return False


def always(_repository: str) -> bool:
    """Say of every repository that it is to be listed."""
    return True


class Blob(Protocol):
    """A blob that is open for reading, until `close`."""

    @property
    def size(self) -> int:
        """Its length in bytes."""

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes, fewer only at the end."""

    def read_into(self, buffer: memoryview, offset: int) -> bool:
        """Fill a buffer with what is there; False, and anything in it, if that could mean waiting or there is less."""

    def at_hand(self) -> bytes | None:
        """Return all of it where it is small and in memory; does not wait."""

    def close(self) -> None:
        """Let go of it."""


class Upload(Protocol):
    """An upload that is open for one writer, until `close`; a second `open_upload` takes it over."""

    @property
    def offset(self) -> int:
        """The number of bytes received so far."""

    def write(self, *data: bytes) -> None:
        """Append all of it; raises UploadTakenError. An upload that fails for want of room is given up, so that the room is free again."""

    def sync(self) -> None:
        """Return when what was received would survive a power cut; raises UploadTakenError. An upload that fails here is given up."""

    def commit(self, digest: str) -> None:
        """Make it a blob of its repository, and end it; raises ContentError where the digest is another, UploadTakenError."""

    def close(self) -> None:
        """Let go of it; an upload that was not committed stays and can be opened again."""


class Store(Protocol):
    """Blobs, uploads, manifests and tags of repositories. `identifier` is a tag or a digest."""

    def open_blob(self, repository: str, digest: str) -> Blob | None:
        """Open a blob that the repository holds."""

    def link_blob(self, repository: str, digest: str, source: str) -> bool:
        """Let a repository hold a blob of another one too; False if the other one does not hold it."""

    def holders(self, digest: str) -> Iterator[str]:
        """Yield the repositories that hold a blob, in no order."""

    def delete_blob(self, repository: str, digest: str) -> bool:
        """Take a blob from one repository; False if it did not hold it."""

    def start_upload(self, repository: str) -> str:
        """Open an upload and return its id, which nobody can guess."""

    def open_upload(self, repository: str, session: str) -> Upload | None:
        """Go on with an upload of this repository."""

    def upload_size(self, repository: str, session: str) -> int | None:
        """Return how many bytes an upload has received."""

    def cancel_upload(self, repository: str, session: str) -> bool:
        """End an upload and drop its bytes; False if there was none."""

    def put_manifest(
        self,
        repository: str,
        manifest: RawManifest,
        *,
        tags: Iterable[str] = (),
        needs: Iterable[str] = (),
        subject: str | None = None,
        fixed: Callable[[str], bool] = never,
    ) -> Sequence[str]:
        """Store a manifest, then point tags at it; it refers to `subject`, if to any.

        Raises TagFixedError where one of the tags is fixed and names another manifest. Returns those of the blobs in `needs` that the repository does not hold; then nothing was stored.
        """

    def get_manifest(self, repository: str, identifier: str) -> RawManifest | None:
        """Return a manifest, checked against its digest; raises ContentError where the storage spoilt it."""

    def manifest_now(self, repository: str, identifier: str) -> RawManifest | None:
        """Return what `get_manifest` would, or None if that could mean waiting."""

    def delete_manifest(self, repository: str, digest: str, *, fixed: Callable[[str], bool] = never) -> bool:
        """Delete a manifest and with it all its tags; False if there was none; raises TagFixedError."""

    def delete_tag(self, repository: str, tag: str) -> bool:
        """Delete a tag and leave its manifest; False if there was none."""

    def tags(self, repository: str, *, after: str = "", limit: int) -> list[str] | None:
        """Return up to `limit` tags that sort after a text, sorted; None if the repository holds no manifest."""

    def repositories(self, *, after: str = "", limit: int, keep: Callable[[str], bool] = always) -> list[str]:
        """Return up to `limit` of the repositories to keep that hold a manifest and sort after a text, sorted."""

    def referrers(self, repository: str, subject: str) -> list[str]:
        """Return the digests of what refers to a digest in a repository, sorted; the digest need not exist."""
