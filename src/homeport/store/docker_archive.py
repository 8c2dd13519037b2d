"""What `docker save` and `crane pull` write: manifest.json, configs and layers, with no manifest of a registry.

The layers' digests are named by the config where they are plain (its diff_ids), and are reckoned where they are packed.
"""

import msgspec

from homeport.errors import ContentError
from homeport.oci.digest import digest_of, hasher_for, is_digest
from homeport.oci.manifest import MAX_MANIFEST_BYTES, Descriptor, RawManifest
from homeport.oci.media_types import DOCKER_CONFIG, DOCKER_LAYER, DOCKER_MANIFEST
from homeport.oci.unreadable import UNREADABLE
from homeport.store.files import Files, read_start, read_whole
from homeport.store.oci_layout import Layout, Named, parse_name, read_json, shown_name
from homeport.store.pieces import GZIP, ZSTD

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
    read = _Reader(files, paths)
    for image in read_json(files, MANIFEST, list[_Image]):
        raw = read.manifest(image.config, tuple(image.layers))
        made[raw.digest] = raw
        descriptor = Descriptor(raw.media_type, raw.digest, len(raw.body))
        for name in map(shown_name, image.repo_tags or [""]):
            reference = parse_name(name)
            images.append(Named(descriptor, reference.pinned if reference else None, name))
    return Layout(files, tuple(images), paths=paths, made=made)


class _Reader:
    """Reads each config and each layer once, however often a list names it."""

    def __init__(self, files: Files, paths: dict[str, str]) -> None:
        self._files, self._paths = files, paths
        self._made: dict[tuple[str, tuple[str, ...]], RawManifest] = {}
        self._layers: dict[tuple[str, str], Descriptor] = {}
        self._packed: dict[str, Descriptor] = {}

    def manifest(self, config: str, layers: tuple[str, ...]) -> RawManifest:
        """Make the manifest of an image; raises ContentError."""
        if (config, layers) not in self._made:
            if strange := next((path for path in (config, *layers) if not path.isprintable()), ""):
                raise ContentError(
                    f"{self._files.name()}: {MANIFEST} in it names {strange[:200]!r}, which cannot be shown"
                )
            self._made[config, layers] = self._manifest(config, layers)
        return self._made[config, layers]

    def _manifest(self, path: str, layers: tuple[str, ...]) -> RawManifest:
        body = read_whole(self._files, path, MAX_MANIFEST_BYTES)
        try:
            plain = msgspec.json.decode(body, type=_Config).rootfs.diff_ids
        except UNREADABLE as error:
            raise ContentError(f"{self._files.name(path)}: {path} in it is no image's config: {error}") from None
        if len(plain) != len(layers) or not all(map(is_digest, plain)):
            raise ContentError(f"{self._files.name(path)}: {path} in it names other layers than {MANIFEST}")
        config = Descriptor(DOCKER_CONFIG, digest_of(body), len(body))
        self._paths[config.digest] = path
        described = [self._layer(*layer) for layer in zip(layers, plain, strict=True)]
        manifest = {"schemaVersion": 2, "mediaType": DOCKER_MANIFEST, "config": config, "layers": described}
        return RawManifest.of(msgspec.json.encode(manifest), DOCKER_MANIFEST)

    def _layer(self, path: str, plain: str) -> Descriptor:
        found = self._packed.get(path) or self._layers.get((path, plain))
        return found or self._looked_at(path, plain)

    def _looked_at(self, path: str, plain: str) -> Descriptor:
        size = self._files.size(path)
        if size is None:
            raise ContentError(f"{self._files.name()}: {path} is missing in it")
        start = read_start(self._files, path, len(ZSTD))
        if start == ZSTD:
            raise ContentError(
                f"{self._files.name(path)}: layer {path} in it is packed by zstd, which Docker's manifests do not know",
                hint="Save it as an OCI archive: skopeo copy ... oci-archive:FILE",
            )
        if start.startswith(GZIP):
            found = self._packed[path] = Descriptor(DOCKER_LAYER, _hashed(self._files, path), size)
        else:
            found = self._layers[path, plain] = Descriptor(_PLAIN_LAYER, plain, size)
        self._paths[found.digest] = path
        return found


def _hashed(files: Files, path: str) -> str:
    hasher = hasher_for("sha256:" + 64 * "0")
    buffer = memoryview(bytearray(_BLOCK))
    offset = 0
    while count := files.read_at(path, offset, buffer):
        hasher.update(buffer[:count])
        offset += count
    return f"sha256:{hasher.hexdigest()}"
