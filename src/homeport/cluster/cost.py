"""What a roll-out costs: each image once for each node that lacks it. Pure.

Nodes say what they hold in their status, the largest fifty images at most; a node that holds more may hold any image, and counts as
unknown. Pods of a Deployment may all start on one node or each on another, so the cost is a bound. A registry with a pull limit
counts manifests: the image's own, and for an image of several platforms its index as well (docs/rate-limits.md).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from homeport.cluster.nodes import Node
from homeport.mirror.plan import Bound
from homeport.reference import Reference

_MANIFESTS: Final = 2
"""Manifests of one pull at most: an index and an image."""


class Holding(msgspec.Struct, frozen=True):
    """How many nodes hold an image, lack it, or do not say."""

    held: int = 0
    lacking: int = 0
    unknown: int = 0


class Holdings:
    """What all nodes hold: what their status says, and what `running` has on them, as pairs of a node and an image's full name."""

    def __init__(self, nodes: Sequence[Node], running: Iterable[tuple[str, str]] = ()) -> None:
        added: dict[str, set[str]] = {}
        for name, image in running:
            added.setdefault(name, set()).add(image)
        self._number = len(nodes)
        self._silent = sum(not node.complete for node in nodes)
        self._held: Counter[str] = Counter()
        self._held_by_silent: Counter[str] = Counter()
        for node in nodes:
            held = node.names | added.get(node.name, set())
            self._held.update(held)
            if not node.complete:
                self._held_by_silent.update(held)

    def of(self, image: str) -> Holding:
        """Return it for an image's full name."""
        held = self._held[image]
        unknown = self._silent - self._held_by_silent[image]
        return Holding(held, self._number - held - unknown, unknown)


class Start(msgspec.Struct, frozen=True):
    """Pods that start with an image: so many of them, or one on each node."""

    image: Reference
    policy: str = "IfNotPresent"
    pods: int = 1
    everywhere: bool = False


class Cost(msgspec.Struct, frozen=True):
    """Pulls of some images from a registry under a pull policy; `counted` is what a registry with a pull limit would count."""

    registry: str
    policy: str
    images: int
    pulls: Bound
    counted: Bound
    unknown_nodes: int = 0


def cost_of(starts: Iterable[Start], holdings: Holdings) -> tuple[Cost, ...]:
    """Return what starts cost, by registry and pull policy; without nodes nobody is known to hold anything."""
    by_image: dict[tuple[Reference, str], list[Start]] = {}
    for start in starts:
        by_image.setdefault((start.image.pinned, start.policy), []).append(start)
    groups: dict[tuple[str, str], list[tuple[Bound, Holding]]] = {}
    for (image, policy), each in by_image.items():
        holding = holdings.of(str(image))
        groups.setdefault((image.registry, policy), []).append((_pulls(each, holding), holding))
    return tuple(
        _cost(registry, policy, [pulls for pulls, _ in found], max(holding.unknown for _, holding in found))
        for (registry, policy), found in sorted(groups.items())
    )


def _pulls(starts: Sequence[Start], holding: Holding) -> Bound:
    """Bound the pulls of one image."""
    if starts[0].policy == "Never":
        return Bound()
    may_pull = holding.lacking + holding.unknown
    if any(start.everywhere for start in starts):
        return Bound(holding.lacking, may_pull)
    pods = sum(start.pods for start in starts)
    surely = int(pods > 0 and not holding.held and not holding.unknown)
    return Bound(surely, min(pods, may_pull) if may_pull or holding.held else pods)


def _cost(registry: str, policy: str, pulls: Sequence[Bound], unknown: int) -> Cost:
    total = sum(pulls, Bound())
    counted = Bound(total.low, None if total.high is None else total.high * _MANIFESTS)
    return Cost(registry, policy, len(pulls), total, counted, unknown)
