"""What a pod's status tells of its images: where it runs, and what its node really has."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

LISTS: Final = (
    ("initContainers", "initContainerStatuses"),
    ("containers", "containerStatuses"),
    ("ephemeralContainers", "ephemeralContainerStatuses"),
)


class Use(msgspec.Struct, frozen=True):
    """One image of a pod specification: its place in the object, its pull policy, and what the node reports as pulled."""

    path: str
    policy: str = ""
    pulled: str = ""


def uses_of(spec: Mapping[str, Any], path: str, status: Mapping[str, Any]) -> Iterator[Use]:
    """Yield the images of a pod specification that stands under a path; a template has no status."""
    for containers, statuses in LISTS:
        reported = {it["name"]: it.get("imageID", "") for it in status.get(statuses) or ()}
        for index, container in enumerate(spec.get(containers) or ()):
            place = f"{path}.{containers}[{index}].image"
            pulled = reported.get(container.get("name"), "")
            yield Use(place, container.get("imagePullPolicy", ""), pulled.partition("://")[2] or pulled)
    mounted: dict[str, str] = {}
    for index, volume in enumerate(spec.get("volumes") or ()):
        if image := volume.get("image"):
            mounted = mounted or dict(_mounted(status))
            place = f"{path}.volumes[{index}].image.reference"
            yield Use(place, image.get("pullPolicy", ""), mounted.get(volume.get("name", ""), ""))


def _mounted(status: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what nodes report of image volumes (Kubernetes 1.35 and newer, ImageVolumeWithDigest)."""
    for _, statuses in LISTS:
        for container in status.get(statuses) or ():
            for mount in container.get("volumeMounts") or ():
                image = (mount.get("volumeStatus") or {}).get("image") or {}
                if image.get("imageRef"):
                    yield mount["name"], image["imageRef"]
