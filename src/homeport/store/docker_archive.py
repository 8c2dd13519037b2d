"""What `docker save` and `crane pull` write: manifest.json, configs and layers, with no manifest of a registry.

The layers' digests are named by the config where they are plain (its diff_ids), and are reckoned where they are packed.
"""

import msgspec

from homeport.errors import ContentError
from homeport.oci.digest import digest_of, hasher_for, is_digest
from homeport.oci.manifest import MAX_MANIFEST_BYTES, Descriptor, RawManifest
from homeport.oci.media_types import DOCKER_CONFIG, DOCKER_LAYER, DOCKER_MANIFEST
from homeport.store.files import Files, read_start, read_whole
from homeport.store.oci_layout import Layout, Named, parse_name, read_json
from homeport.store.unpack import GZIP, ZSTD

MANIFEST = "manifest.json"
_PLAIN_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
_BLOCK = 1 << 20


class _Image(msgspec.Struct, rename="pascal"):
    config: str
    repo_tags: list[str] | None = None
    layers: list[str] = []


class _RootFS(msgspec.Struct):
    diff_ids: list[str] = []


class _Config(msgspec.Struct):
    rootfs: _RootFS


def read_docker_archive(files: Files) -> Layout:
    """Open an archive and make the manifests that it lacks, always the same ones; raises ContentError."""
    images: list[Named] = []
    paths: dict[str, str] = {}
    made: dict[str, RawManifest] = {}
    for image in read_json(files, MANIFEST, list[_Image]):
        raw = _manifest(files, image, paths)
        made[raw.digest] = raw
        descriptor = Descriptor(raw.media_type, raw.digest, len(raw.body))
        for name in image.repo_tags or [""]:
            reference = parse_name(name)
            images.append(Named(descriptor, reference.pinned if reference else None, name))
    return Layout(files, tuple(images), paths=paths, made=made)


def _manifest(files: Files, image: _Image, paths: dict[str, str]) -> RawManifest:
    body = read_whole(files, image.config, MAX_MANIFEST_BYTES)
    try:
        plain = msgspec.json.decode(body, type=_Config).rootfs.diff_ids
    except msgspec.DecodeError as error:
        raise ContentError(f"{files.name(image.config)}: {image.config} in it is no image's config: {error}") from None
    if len(plain) != len(image.layers) or not all(map(is_digest, plain)):
        raise ContentError(f"{files.name(image.config)}: {image.config} in it names other layers than {MANIFEST}")
    config = Descriptor(DOCKER_CONFIG, digest_of(body), len(body))
    paths[config.digest] = image.config
    layers = [_layer(files, path, digest) for path, digest in zip(image.layers, plain, strict=True)]
    paths.update(zip((layer.digest for layer in layers), image.layers, strict=True))
    manifest = {"schemaVersion": 2, "mediaType": DOCKER_MANIFEST, "config": config, "layers": layers}
    return RawManifest.of(msgspec.json.encode(manifest), DOCKER_MANIFEST)


def _layer(files: Files, path: str, plain: str) -> Descriptor:
    size = files.size(path)
    if size is None:
        raise ContentError(f"{files.name()}: {path} is missing in it")
    start = read_start(files, path, len(ZSTD))
    if start.startswith(GZIP):
        return Descriptor(DOCKER_LAYER, _hashed(files, path), size)
    if start == ZSTD:
        raise ContentError(
            f"{files.name(path)}: layer {path} in it is packed by zstd, which Docker's manifests do not know",
            hint="Save it as an OCI archive: skopeo copy ... oci-archive:FILE",
        )
    return Descriptor(_PLAIN_LAYER, plain, size)


def _hashed(files: Files, path: str) -> str:
    hasher = hasher_for("sha256:" + 64 * "0")
    buffer = memoryview(bytearray(_BLOCK))
    offset = 0
    while count := files.read_at(path, offset, buffer):
        hasher.update(buffer[:count])
        offset += count
    return f"sha256:{hasher.hexdigest()}"
