"""What a roll-out costs: each image once for each node that lacks it. Pure.

Nodes say what they hold in their status, the largest fifty images at most; a node that holds more may hold any image, and counts as
unknown. Pods of a Deployment may all start on one node or each on another, so the cost is a bound. A registry with a pull limit
counts manifests: the image's own, and for an image of several platforms its index as well (docs/rate-limits.md).
"""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
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

    def __init__(self, nodes: Sequence[Node] = (), running: Iterable[tuple[str, str]] = ()) -> None:
        added: dict[str, set[str]] = {}
        for name, image in running:
            added.setdefault(name, set()).add(image)
        self.nodes = frozenset(node.name for node in nodes)
        self._silent = frozenset(node.name for node in nodes if not node.complete)
        self._holders: dict[str, set[str]] = {}
        for node in nodes:
            for image in node.names | added.get(node.name, set()):
                self._holders.setdefault(image, set()).add(node.name)

    def of(self, image: str, nodes: AbstractSet[str] | None = None) -> Holding:
        """Return it for an image's full name, on some nodes or on all."""
        asked = self.nodes if nodes is None else nodes & self.nodes
        holders = asked & self._holders.get(image, set())
        unknown = len((self._silent & asked) - holders)
        return Holding(len(holders), len(asked) - len(holders) - unknown, unknown)


class Start(msgspec.Struct, frozen=True):
    """Pods that start with an image: so many of them, or one on this node."""

    image: Reference
    policy: str = "IfNotPresent"
    pods: int = 1
    node: str = ""


class Cost(msgspec.Struct, frozen=True):
    """Pulls of some images from a registry under a pull policy; `counted` is what a registry with a pull limit would count.

    `unknown_nodes` do not say whether they hold all of them.
    """

    registry: str
    policy: str
    images: int
    pulls: Bound
    counted: Bound
    unknown_nodes: int = 0


def cost_of(starts: Iterable[Start], holdings: Holdings) -> tuple[Cost, ...]:
    """Return what starts cost, by registry and pull policy; of nodes that are not known nothing is held."""
    by_image: dict[tuple[Reference, str], list[Start]] = {}
    for start in starts:
        by_image.setdefault((start.image.pinned, start.policy), []).append(start)
    groups: dict[tuple[str, str], list[tuple[Bound, int]]] = {}
    for (image, policy), each in by_image.items():
        groups.setdefault((image.registry, policy), []).append(_pulls(str(image), policy, each, holdings))
    return tuple(
        _cost(registry, policy, [pulls for pulls, _ in found], max(unknown for _, unknown in found))
        for (registry, policy), found in sorted(groups.items())
    )


def counted_at(registry: str, costs: Iterable[Cost]) -> Bound:
    """Return what a registry with a pull limit would count."""
    return sum((cost.counted for cost in costs if cost.registry == registry), Bound())


def _pulls(image: str, policy: str, starts: Sequence[Start], holdings: Holdings) -> tuple[Bound, int]:
    """Bound the pulls of one image; the second number is that of the nodes that do not say whether they hold it."""
    if policy == "Never":
        return Bound(), 0
    bound = {start.node for start in starts if start.node}
    loose = sum(start.pods for start in starts if not start.node)
    fixed, anywhere = holdings.of(image, bound), holdings.of(image)
    strange = len(bound - holdings.nodes)
    most = fixed.lacking + fixed.unknown + strange + loose
    if holdings.nodes:
        most = min(most, anywhere.lacking + anywhere.unknown + strange)
    surely = int(loose > 0 and not anywhere.held and not anywhere.unknown)
    unknown = anywhere.unknown if loose else fixed.unknown
    return Bound(max(fixed.lacking + strange, surely), most), unknown


def _cost(registry: str, policy: str, pulls: Sequence[Bound], unknown: int) -> Cost:
    total = sum(pulls, Bound())
    most = 0 if total.high is None else total.high
    return Cost(registry, policy, len(pulls), total, Bound(total.low, most * _MANIFESTS), unknown)
