"""Small deterministic images as values, and how they get into a registry."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from homeport.mirror.ports import BlobReader, Upload
from homeport.oci.digest import digest_of
from homeport.oci.manifest import Descriptor, Platform, RawManifest
from homeport.oci.media_types import DOCKER_CONFIG, DOCKER_LIST, DOCKER_MANIFEST, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST
from homeport.store.packed import pack

OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
AMD64 = Platform(architecture="amd64", os="linux")
ARM64 = Platform(architecture="arm64", os="linux")
S390X = Platform(architecture="s390x", os="linux")
ARM_V7 = Platform(architecture="arm", os="linux", variant="v7")
UNKNOWN = Platform(architecture="unknown", os="unknown")


class Pushable(Protocol):
    """What `put` needs of a registry; a part of the mirror's target."""

    def start_blob(self, repository: str, digest: str, *, mount_from: str | None = None) -> Upload | None: ...

    def put_blob(self, repository: str, blob: Descriptor, content: BlobReader, upload: Upload) -> None: ...

    def put_manifest(self, repository: str, identifier: str, manifest: RawManifest) -> None: ...


class Content(msgspec.Struct, frozen=True):
    """A manifest with all that it names: an image with its blobs, or an index with its children."""

    manifest: RawManifest
    blobs: tuple[tuple[Descriptor, bytes], ...] = ()
    children: tuple["Content", ...] = ()
    platform: Platform | None = None

    @property
    def digest(self) -> str:
        return self.manifest.digest

    @property
    def all_blobs(self) -> dict[str, bytes]:
        """Every blob below this manifest by digest, children's included."""
        return {blob.digest: data for content in self.walk() for blob, data in content.blobs}

    @property
    def size(self) -> int:
        """Bytes of all blobs, each once."""
        return sum(map(len, self.all_blobs.values()))

    def walk(self) -> Iterator["Content"]:
        """Yield what this manifest names before itself: the order in which a registry takes it."""
        for child in self.children:
            yield from child.walk()
        yield self

    def descriptor(self, annotations: dict[str, str] | None = None) -> Descriptor:
        return Descriptor(
            self.manifest.media_type, self.digest, len(self.manifest.body), self.platform, annotations=annotations or {}
        )


def layer(name: str, size: int = 1000) -> bytes:
    """Make an uncompressed tar of one file; its content comes from its name, `size` in bytes is the file's."""
    data = hashlib.shake_128(name.encode()).digest(size)
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        entry = tarfile.TarInfo(name.replace("/", "-") + ".txt")
        entry.size = size
        archive.addfile(entry, io.BytesIO(data))
    return held.getvalue()


def image(
    *layers: bytes, platform: Platform = AMD64, docker: bool = False, label: str = "", packed: str = ""
) -> Content:
    """Make an image of one platform; images with other labels have other configs and digests. Layers are `packed` by gzip or zstd."""
    config = encoded(
        {
            "architecture": platform.architecture,
            "os": platform.os,
            **({"variant": platform.variant} if platform.variant else {}),
            "config": {"Labels": {"label": label}, "Cmd": ["/none"]},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(data) for data in layers]},
        }
    )
    blobs = (
        _blob(config, DOCKER_CONFIG if docker else OCI_CONFIG),
        *(_packed(data, DOCKER_LAYER if docker else OCI_LAYER, packed) for data in layers),
    )
    return _image(blobs, DOCKER_MANIFEST if docker else OCI_MANIFEST, platform)


def attestation(subject: Content) -> Content:
    """Make what BuildKit puts beside an image: a manifest of an unknown platform with a statement about it."""
    statement = encoded({"_type": "https://in-toto.io/Statement/v0.1", "subject": [{"digest": subject.digest}]})
    config = encoded({"architecture": "unknown", "os": "unknown", "rootfs": {"diff_ids": [digest_of(statement)]}})
    blobs = (_blob(config, OCI_CONFIG), _blob(statement, "application/vnd.in-toto+json"))
    return _image(blobs, OCI_MANIFEST, UNKNOWN)


def about(subject: Content, text: str = "signed") -> Content:
    """Make an artifact that refers to an image: its subject, with a text about it."""
    blobs = (_blob(b"{}", "application/vnd.oci.empty.v1+json"), _blob(text.encode(), "text/plain"))
    config, statement = (blob for blob, _ in blobs)
    body = encoded(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": "application/vnd.example.signature",
            "config": config,
            "layers": [statement],
            "subject": subject.descriptor(),
        }
    )
    return Content(RawManifest.of(body, OCI_MANIFEST), blobs)


def index(*images: Content, attested: bool = False, docker: bool = False) -> Content:
    """Make an index of images or of further indexes, with an attestation manifest for each if wanted."""
    described = [child.descriptor() for child in images]
    extra = [attestation(child) for child in images] if attested else []
    for about, child in zip(extra, images, strict=False):
        notes = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": child.digest}
        described.append(about.descriptor(notes))
    media_type = DOCKER_LIST if docker else OCI_INDEX
    body = encoded({"schemaVersion": 2, "mediaType": media_type, "manifests": described})
    return Content(RawManifest.of(body, media_type), children=(*images, *extra))


def multi_arch(
    name: str, platforms: Sequence[Platform] = (AMD64, ARM64), *, size: int = 1000, attested: bool = True
) -> Content:
    """Make an index of one image for each platform: a layer of its own each, and one that all share."""
    shared = layer("shared by all platforms", size)
    return index(
        *(image(shared, layer(f"{name} {on}", size), platform=on, label=name) for on in platforms), attested=attested
    )


def put(content: Content, target: Pushable, repository: str, tag: str | None = None) -> RawManifest:
    """Push a content under a tag (or by digest alone), what it names first."""
    for part in content.walk():
        for blob, data in part.blobs:
            upload = target.start_blob(repository, blob.digest)
            if upload:
                target.put_blob(repository, blob, BytesReader(data), upload)
        identifier = tag if part is content and tag else part.digest
        target.put_manifest(repository, identifier, part.manifest)
    return content.manifest


class BytesReader:
    """Bytes at hand, read as a blob."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.seek(0)

    def seek(self, offset: int, /) -> None:
        self._rest = memoryview(self._data)[offset:]

    def readinto(self, buffer: memoryview, /) -> int:
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _image(blobs: tuple[tuple[Descriptor, bytes], ...], media_type: str, platform: Platform) -> Content:
    config, *layers = (blob for blob, _ in blobs)
    body = encoded({"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers})
    return Content(RawManifest.of(body, media_type), blobs, platform=platform)


def _packed(data: bytes, media_type: str, packed: str) -> tuple[Descriptor, bytes]:
    if packed == "gzip":
        return _blob(gzip.compress(data, mtime=0), f"{media_type}{'.gzip' if 'docker' in media_type else '+gzip'}")
    return _blob(pack(data), f"{media_type}+zstd") if packed else _blob(data, media_type)


def _blob(data: bytes, media_type: str) -> tuple[Descriptor, bytes]:
    return Descriptor(media_type, digest_of(data), len(data)), data


def encoded(value: object) -> bytes:
    """Write JSON as manifests have it."""
    return msgspec.json.encode(value)
