"""Manifests: bytes with a type, and what they name."""

import msgspec

from homeport.errors import ContentError
from homeport.oci.digest import digest_of, is_digest
from homeport.oci.media_types import INDEX_TYPES, OCI_INDEX, OCI_MANIFEST, SCHEMA1, SCHEMA1_SIGNED, is_foreign_layer
from homeport.oci.unreadable import UNREADABLE

MAX_MANIFEST_BYTES = 4 << 20
"""distribution-spec, Pushing Manifests: registries should take at least 4 megabytes; clients stop near it."""

_DIGEST = "sha256:" + 64 * "0"
_SMALLEST_CHILD = len(f'{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{_DIGEST}","size":100}}')


class Platform(msgspec.Struct, frozen=True, omit_defaults=True, rename={"os_version": "os.version"}):
    """Where an image runs."""

    architecture: str = ""
    os: str = ""
    variant: str = ""
    os_version: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


class Descriptor(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """A pointer to content: type, digest and size in bytes (image-spec descriptor.md)."""

    media_type: str
    digest: str
    size: int
    platform: Platform | None = None
    urls: list[str] = []
    annotations: dict[str, str] = {}
    artifact_type: str = ""

    @property
    def is_foreign(self) -> bool:
        """Whether the content stays outside registries."""
        return is_foreign_layer(self.media_type)


class _Wire(msgspec.Struct, rename="camel"):
    """The fields of indexes and images in one; what else a manifest holds is kept in its bytes."""

    schema_version: int = 0
    media_type: str = ""
    artifact_type: str = ""
    manifests: list[Descriptor] | None = None
    config: Descriptor | None = None
    layers: list[Descriptor] | None = None
    subject: Descriptor | None = None
    annotations: dict[str, str] | None = None


class RawManifest(msgspec.Struct, frozen=True):
    """The bytes of a manifest as they came, with type and digest. The bytes are never made anew."""

    body: bytes
    media_type: str
    digest: str

    @classmethod
    def of(cls, body: bytes, media_type: str = "") -> "RawManifest":
        """Name bytes by their sha256; an absent type is read from the content."""
        return cls(body, media_type or media_type_in(body), digest_of(body))


class ManifestHead(msgspec.Struct, frozen=True):
    """What a HEAD tells of a manifest; size in bytes."""

    digest: str
    media_type: str
    size: int


class Manifest(msgspec.Struct, frozen=True):
    """What a manifest names: children (of an index), config and layers (of an image)."""

    media_type: str
    children: tuple[Descriptor, ...] = ()
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] = ()
    subject: Descriptor | None = None
    artifact_type: str = ""
    annotations: dict[str, str] = {}

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Config and layers, foreign layers left out, each digest once."""
        own = (self.config, *self.layers) if self.config else self.layers
        return tuple({blob.digest: blob for blob in own if not blob.is_foreign}.values())


def parse_manifest(raw: RawManifest) -> Manifest:
    """Read what a manifest names; raises ContentError. A type that is not known is opaque: it names nothing."""
    try:
        wire = msgspec.json.decode(raw.body, type=_Wire)
    except UNREADABLE as error:
        raise ContentError(f"manifest {raw.digest} cannot be read: {error}") from None
    if raw.media_type in (SCHEMA1, SCHEMA1_SIGNED) or wire.schema_version == 1:
        raise ContentError(
            f"manifest {raw.digest} is of Docker schema 1, which was retired",
            hint="Push the image again with a current client, or ask its publisher to.",
        )
    named = [*(wire.manifests or ()), *(wire.layers or ()), *filter(None, (wire.config, wire.subject))]
    for descriptor in named:
        if not is_digest(descriptor.digest) or descriptor.size < 0:
            raise ContentError(
                f"manifest {raw.digest} names content by {descriptor.digest[:80]!r}, size {descriptor.size}"
            )
    return Manifest(
        media_type=raw.media_type,
        children=tuple(wire.manifests or ()),
        config=wire.config,
        layers=tuple(wire.layers or ()),
        subject=wire.subject,
        artifact_type=wire.artifact_type or (wire.config.media_type if wire.config else ""),
        annotations=wire.annotations or {},
    )


def media_type_in(body: bytes) -> str:
    """Return the type that a manifest states or shows by its fields; "" where it does neither."""
    try:
        wire = msgspec.json.decode(body, type=_Wire)
    except UNREADABLE:
        return ""
    if wire.media_type:
        return wire.media_type
    if wire.manifests is not None:
        return OCI_INDEX
    return OCI_MANIFEST if wire.config is not None else ""


def most_children(size: int) -> int:
    """Return how many manifests an index of so many bytes can name at most."""
    return size // _SMALLEST_CHILD


def is_index(media_type: str) -> bool:
    """Tell whether a manifest of this type names other manifests."""
    return media_type in INDEX_TYPES
