"""What the nodes of a cluster are, and which images they hold."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import Any, Final, Self

import msgspec

from homeport.errors import InvalidReferenceError
from homeport.reference import DOCKER_HUB, Reference

STATUS_LIMIT: Final = 50
"""Images that a kubelet reports at most, the largest first (nodeStatusMaxImages), and"""

NAMES_LIMIT: Final = 5
"""names of each (kubelet, nodestatus.MaxNamesPerImageInNodeStatus)."""

_REACHED_FROM: Final = ("InternalIP", "ExternalIP")


class Node(msgspec.Struct, frozen=True):
    """A node: `images` are the names of each image that it holds; not `complete` where it may hold more than it reports.

    `addresses` are those from which it may reach a registry, since it was `created`.
    """

    name: str
    platform: str = ""
    runtime: str = ""
    images: tuple[tuple[str, ...], ...] = ()
    complete: bool = True
    labels: dict[str, str] = {}
    addresses: tuple[str, ...] = ()
    created: str = ""

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Self:
        """Read a live Node."""
        status = value.get("status") or {}
        info, images = status.get("nodeInfo") or {}, status.get("images") or ()
        names = [image.get("names") or () for image in images]
        platform = "/".join(filter(None, (info.get("operatingSystem"), info.get("architecture"))))
        return cls(
            value["metadata"]["name"],
            platform,
            info.get("containerRuntimeVersion", ""),
            tuple(tuple(filter(None, map(full_name, each))) for each in names),
            # A node that runs pods holds something: one that reports nothing has not reported yet.
            0 < len(images) < STATUS_LIMIT and all(len(each) < NAMES_LIMIT for each in names),
            value["metadata"].get("labels") or {},
            tuple(it["address"] for it in status.get("addresses") or () if it.get("type") in _REACHED_FROM),
            value["metadata"].get("creationTimestamp") or "",
        )

    @property
    def names(self) -> frozenset[str]:
        """All names of all images that it holds."""
        return frozenset(name for each in self.images for name in each)

    def shown(self, named: AbstractSet[str] = frozenset()) -> tuple[str, ...]:
        """Name each image that it holds once, without those that have a name among some."""
        left = [each for each in self.images if each and named.isdisjoint(each)]
        return tuple(sorted(min(each, key=lambda name: ("@" in name, name)) for each in left))


@lru_cache(maxsize=10_000)
def full_name(name: str, default_registry: str = DOCKER_HUB) -> str:
    """Write a name in full, as all nodes share it; empty for what is none, such as ``<none>:<none>``."""
    try:
        return str(Reference.parse(name, default_registry).pinned)
    except InvalidReferenceError:
        return ""
