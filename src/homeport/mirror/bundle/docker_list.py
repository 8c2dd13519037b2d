"""manifest.json of an archive that `docker load` reads: config, layers and name of each image, for one platform. Pure."""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from homeport.errors import ContentError
from homeport.mirror.platforms import check_one_platform, images_in
from homeport.oci.manifest import Manifest, RawManifest, parse_manifest
from homeport.oci.media_types import DOCKER_CONFIG, OCI_CONFIG
from homeport.reference import DOCKER_HUB
from homeport.store.layout_target import written_name
from homeport.store.oci_layout import blob_path

_OFFICIAL = "library/"


class Listed(msgspec.Struct, frozen=True, rename="pascal"):
    """One image of the list: paths in the archive, and what Docker calls it."""

    config: str
    repo_tags: list[str]
    layers: list[str]


def list_images(entries: Iterable[dict[str, Any]], held: Callable[[str], RawManifest | None]) -> list[Listed]:
    """List the named images of an index; `held` returns the manifests that are there. Raises ContentError for what is no image of one platform."""
    return [
        _listed(name, _image(name, parse_manifest(raw), held))
        for entry in entries
        if (name := written_name(entry)) and (raw := held(entry["digest"]))
    ]


def docker_name(name: str) -> str:
    """Return a name as Docker shows it, without its own registry: ``redis:7``, ``redislabs/redis:7``, ``quay.io/org/app:1``."""
    short = name.removeprefix(f"{DOCKER_HUB}/")
    official = short.removeprefix(_OFFICIAL)
    return official if short != name and "/" not in official else short


def _listed(name: str, image: Manifest) -> Listed:
    if not image.config or image.config.media_type not in (OCI_CONFIG, DOCKER_CONFIG):
        raise ContentError(f"{name} is no image that Docker runs", hint="Bring it to oci-archive:FILE instead.")
    if any(layer.is_foreign for layer in image.layers):
        raise ContentError(f"{name} has layers that stay where they are, and docker load wants them all")
    tags = [] if "@" in name else [docker_name(name)]
    return Listed(blob_path(image.config.digest), tags, [blob_path(layer.digest) for layer in image.layers])


def _image(name: str, manifest: Manifest, held: Callable[[str], RawManifest | None]) -> Manifest:
    """Return the image for the one platform that is there of it."""
    if not manifest.children:
        return manifest
    there = [child for child in images_in(manifest.children) if held(child.digest)]
    check_one_platform(name, there)
    raw = held(there[0].digest) if there else None
    if raw is None:
        raise ContentError(f"{name} holds no image of a platform", hint="Bring it to oci-archive:FILE instead.")
    return _image(name, parse_manifest(raw), held)
