"""OCI image layouts (image-spec image-layout.md), in a folder or an archive, as a source of images."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, Self, TypeVar

import msgspec

from homeport.errors import ContentError, InvalidReferenceError, NotFoundError, UsageError
from homeport.oci.digest import digest_of, hasher_for, is_digest, matches
from homeport.oci.manifest import MAX_MANIFEST_BYTES, Descriptor, ManifestHead, RawManifest, parse_manifest
from homeport.oci.transfer import NOTHING, Begun, BlobReader
from homeport.oci.unreadable import UNREADABLE
from homeport.reference import Reference
from homeport.store.files import Files, Reading, read_whole

T = TypeVar("T")

INDEX: Final = "index.json"
LAYOUT: Final = "oci-layout"
REF_NAME: Final = "org.opencontainers.image.ref.name"
IMAGE_NAME: Final = "io.containerd.image.name"
"""containerd's annotation: the whole name, where ref.name may hold a tag alone."""

MOST_INDEX_BYTES: Final = 64 << 20


class Index(msgspec.Struct, rename="camel"):
    """index.json: what a layout holds."""

    manifests: list[Descriptor] = []


class LayoutVersion(msgspec.Struct, rename="camel"):
    """oci-layout: that it is one."""

    image_layout_version: str


class Named(msgspec.Struct, frozen=True):
    """An image of a layout: what it is called in full, if it is; what is written of it, which may be a tag alone."""

    manifest: Descriptor
    reference: Reference | None = None
    written: str = ""


class Layout:
    """The images of a layout, and all content by digest.

    What `paths` knows by digest lies elsewhere in the files than layouts have it; `made` are manifests that are not in the
    files; `missing` is what to do about content that is not there.
    """

    def __init__(
        self,
        files: Files,
        images: tuple[Named, ...],
        *,
        paths: Mapping[str, str] | None = None,
        made: Mapping[str, RawManifest] | None = None,
        missing: str = "",
    ) -> None:
        self.files = files
        self.images = images
        self.referrers: dict[str, tuple[Descriptor, ...]] = {}
        self.missing = missing
        self._paths = paths or {}
        self._made = made or {}
        self._types: dict[str, str] = {named.manifest.digest: named.manifest.media_type for named in images}

    @property
    def references(self) -> tuple[Reference, ...]:
        """The names of the images that have one."""
        return tuple(dict.fromkeys(named.reference for named in self.images if named.reference))

    def name_the_only_one(self, reference: Reference) -> None:
        """Give the image of a layout that holds one alone its name; raises UsageError."""
        if len({named.manifest.digest for named in self.images}) != 1:
            raise UsageError(
                f"{self.files.name()} holds {len(self.images)} images: {reference} can be the name of one only",
                hint="Load it without --name; images without a full name are reported.",
            )
        self.images = (Named(self.images[0].manifest, reference, self.images[0].written),)

    def path(self, digest: str) -> str:
        """Return where content lies in the files, if it is there."""
        return self._paths.get(digest) or blob_path(digest)

    def holds(self, digest: str) -> bool:
        """Tell whether content is there."""
        return digest in self._made or self.files.size(self.path(digest)) is not None

    def at(self, registry: str) -> "LayoutSource":
        """Return the images of one registry as a source."""
        return LayoutSource(self, registry)

    def manifest(self, digest: str) -> RawManifest:
        """Return a manifest, verified; raises NotFoundError, ContentError."""
        if made := self._made.get(digest):
            return made
        self._check_there(digest)
        path = self.path(digest)
        body = read_whole(self.files, path, MAX_MANIFEST_BYTES)
        if digest_of(body, digest.partition(":")[0]) != digest:
            raise damaged(self.files, path, digest)
        raw = RawManifest.of(body)
        media_type = raw.media_type or self._types.get(digest, "")
        return RawManifest(body, media_type, digest)

    def blob(self, blob: Descriptor) -> "FileBlob":
        """Open a blob; raises NotFoundError, ContentError."""
        self._check_there(blob.digest)
        return FileBlob(self.files, self.path(blob.digest), blob)

    def close(self) -> None:
        """Be done."""
        self.files.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_there(self, digest: str) -> None:
        if not self.holds(digest):
            raise NotFoundError(f"{self.files.name()} does not hold {digest}", hint=self.missing)


class LayoutSource:
    """The images of a layout that are of one registry, as a source: any of its repositories has all content by digest."""

    is_local = True
    """Nobody counts what is read from it."""

    def __init__(self, layout: Layout, registry: str) -> None:
        self._layout = layout
        self._digests = {
            (named.reference.repository, named.reference.tag): named.manifest.digest
            for named in layout.images
            if named.reference and named.reference.registry == registry
        }

    def head_manifest(self, repository: str, identifier: str) -> ManifestHead | None:
        """Look for a manifest; None where there is none."""
        digest = identifier if is_digest(identifier) else self._digests.get((repository, identifier))
        if digest is None or not self._layout.holds(digest):
            return None
        raw = self._layout.manifest(digest)
        return ManifestHead(digest, raw.media_type, len(raw.body))

    def get_manifest(self, repository: str, identifier: str) -> RawManifest:
        """Read a manifest, verified; raises NotFoundError, ContentError."""
        digest = identifier if is_digest(identifier) else self._digests.get((repository, identifier))
        if digest is None:
            raise NotFoundError(f"{self._layout.files.name()} does not hold {repository}:{identifier}")
        return self._layout.manifest(digest)

    @contextmanager
    def open_blob(self, repository: str, blob: Descriptor, begun: Begun = NOTHING, /) -> Iterator[BlobReader]:  # noqa: ARG002  # a layout has blobs once
        """Read a blob, or what follows its first bytes, verified; raises NotFoundError, ContentError."""
        reader = self._layout.blob(blob)
        reader.seek(begun.offset)
        yield reader

    def referrers(self, repository: str, digest: str) -> tuple[Descriptor, ...] | None:  # noqa: ARG002  # a layout has one list
        """List the manifests of the layout that are about another one."""
        return self._layout.referrers.get(digest, ())

    def tags(self, repository: str) -> Iterable[str]:
        """List the tags of a repository."""
        return [tag for name, tag in self._digests if name == repository and tag]


class FileBlob:
    """A blob as it is read: the bytes that complete it are handed out only if its digest is right."""

    def __init__(self, files: Reading, path: str, blob: Descriptor) -> None:
        self._files, self._path, self._blob = files, path, blob
        size = files.size(path)
        if size != blob.size:
            raise ContentError(f"{files.name(path)}: {blob.digest} has {size} bytes in it, {blob.size} are named")
        self._hasher, self._offset = hasher_for(blob.digest), 0
        if blob.size == 0 and not matches(self._hasher, blob.digest):
            raise damaged(files, path, blob.digest)

    def seek(self, offset: int, /) -> None:
        """Go to an offset; what is before it is read again, for the digest's sake."""
        self._hasher, self._offset = hasher_for(self._blob.digest), 0
        before = memoryview(bytearray(min(offset, 1 << 20)))
        while self._offset < offset:
            self.readinto(before[: offset - self._offset])

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the buffer from its start; return the number of bytes, 0 at the end. Raises ContentError."""
        wanted = min(len(buffer), self._blob.size - self._offset)
        if wanted == 0:
            return 0
        count = self._files.read_at(self._path, self._offset, buffer[:wanted])
        self._hasher.update(buffer[:count])
        self._offset += count
        if count == 0 or (self._offset == self._blob.size and not matches(self._hasher, self._blob.digest)):
            raise damaged(self._files, self._path, self._blob.digest)
        return count

    def read_through(self) -> None:
        """Read to the end, for the sake of the check alone; raises ContentError."""
        buffer = memoryview(bytearray(1 << 20))
        while self.readinto(buffer):
            pass


def read_layout(files: Files) -> Layout:
    """Open a layout; raises ContentError."""
    read_json(files, LAYOUT, LayoutVersion)
    index = read_json(files, INDEX, Index)
    for manifest in index.manifests:
        if not is_digest(manifest.digest) or manifest.size < 0:
            raise ContentError(f"{files.name(INDEX)}: {manifest.digest[:80]!r} in {INDEX} is not a digest")
    layout = Layout(files, tuple(map(_named, index.manifests)))
    nameless = {named.manifest.digest: named.manifest for named in layout.images if not named.written}
    about = {digest for digest, manifest in nameless.items() if _is_referrer(layout, manifest)}
    layout.images = tuple(named for named in layout.images if named.written or named.manifest.digest not in about)
    return layout


def blob_path(digest: str) -> str:
    """Return where a layout has content."""
    return "blobs/" + digest.replace(":", "/", 1)


def digest_in(path: str) -> str:
    """Return the digest that a path of a layout states; "" where it is no blob's."""
    digest = path.removeprefix("blobs/").replace("/", ":", 1)
    return digest if is_digest(digest) else ""


def damaged(files: Reading, path: str, digest: str) -> ContentError:
    """Return the error for content that is not what its name says."""
    return ContentError(
        f"{files.name(path)}: {digest} is damaged in it", hint="Copy the file here again, or make it again."
    )


def parse_name(text: str) -> Reference | None:
    """Read an image's name; None for a tag alone (``1.27``), which does not say of what."""
    if not set(text) & set("/:@"):
        return None
    try:
        return Reference.parse(text)
    except InvalidReferenceError:
        return None


def shown_name(text: str) -> str:
    """Return what is written of an image, nothing where it could not be shown: it would steer a terminal."""
    return text if text.isprintable() else ""


def _is_referrer(layout: Layout, manifest: Descriptor) -> bool:
    """Tell whether a manifest without a name is about another one, and note that."""
    if not layout.holds(manifest.digest):
        return False
    subject = parse_manifest(layout.manifest(manifest.digest)).subject
    if subject is None:
        return False
    layout.referrers[subject.digest] = (*layout.referrers.get(subject.digest, ()), manifest)
    return True


def _named(manifest: Descriptor) -> Named:
    written = shown_name(manifest.annotations.get(IMAGE_NAME) or manifest.annotations.get(REF_NAME) or "")
    reference = parse_name(written)
    return Named(manifest, reference.pinned if reference else None, written)


def read_json(files: Files, path: str, kind: type[T]) -> T:
    """Read a small file of JSON; raises ContentError."""
    try:
        return msgspec.json.decode(read_whole(files, path, MOST_INDEX_BYTES), type=kind)
    except UNREADABLE as error:
        raise ContentError(f"{files.name(path)}: {path} in it cannot be read: {error}") from None
