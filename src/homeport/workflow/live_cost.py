"""What nodes will pull: when what runs starts again, when nodes are new, and when an apply replaces pods."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from homeport.cluster.api import Api
from homeport.cluster.cost import Cost, Holdings, Start, cost_of
from homeport.cluster.kinds import PODS
from homeport.cluster.kubeconfig import load_config
from homeport.cluster.owners import controller
from homeport.cluster.pods import LISTS
from homeport.cluster.scan import read_nodes
from homeport.errors import InvalidReferenceError
from homeport.mapping import Mapping as NameMapping
from homeport.reference import DOCKER_HUB, Reference


class ClusterCost(msgspec.Struct, frozen=True):
    """Pulls where every pod that runs now starts once more: `again` on the nodes as they are, `anew` on nodes that hold nothing."""

    context: str
    nodes: int
    pods: int
    again: tuple[Cost, ...]
    anew: tuple[Cost, ...]
    unknown: tuple[str, ...]


class _Use(msgspec.Struct, frozen=True):
    image: Reference
    policy: str
    node: str


def cost_of_cluster(context: str | None, namespaces: Sequence[str], default_registry: str = DOCKER_HUB) -> ClusterCost:
    """Read what runs and what nodes hold; raises UsageError and ClusterError."""
    with Api(load_config(context)) as api:
        nodes, unknown = read_nodes(api)
        uses, pods = list[_Use](), 0
        for pod in _living(api, namespaces):
            pods += 1
            uses += _uses(pod, default_registry)
        running = {(use.node, str(use.image)) for use in uses if use.node}
        return ClusterCost(
            api.context,
            len(nodes),
            pods,
            cost_of((Start(use.image, use.policy) for use in uses), Holdings(nodes, running)),
            cost_of((Start(use.image, use.policy, node=use.node) for use in uses if use.node), Holdings()),
            unknown,
        )


def cost_of_restarts(
    api: Api,
    namespaces: Sequence[str],
    restarts: Iterable[str],
    mapping: NameMapping,
    default_registry: str = DOCKER_HUB,
) -> tuple[tuple[Cost, ...], tuple[str, ...]]:
    """Return what nodes pull when pods (NAMESPACE/NAME) start again under the names of a target, and what is unknown of it.

    A pod of a DaemonSet starts on its node again, any other on any node. Raises ClusterError.
    """
    again = frozenset(restarts)
    if not again:
        return (), ()
    nodes, unknown = read_nodes(api)
    starts = []
    for pod in _living(api, namespaces):
        if f"{pod['metadata']['namespace']}/{pod['metadata']['name']}" in again:
            stays = (controller(pod) or {}).get("kind") == "DaemonSet"
            starts += [
                Start(mapping.relocate(use.image), use.policy, node=use.node if stays else "")
                for use in _uses(pod, default_registry)
            ]
    return cost_of(starts, Holdings(nodes)), unknown


def _living(api: Api, namespaces: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the pods that run or are about to."""
    for namespace in namespaces or (None,):
        for pod in api.objects(PODS, namespace):
            if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed"):
                yield pod


def _uses(pod: Mapping[str, Any], default_registry: str) -> Iterator[_Use]:
    """Yield each image of a pod once; a name that cannot be read is never pulled."""
    spec, seen = pod["spec"], set[str]()
    images = [(it.get("image"), it.get("imagePullPolicy")) for key, _ in LISTS for it in spec.get(key) or ()]
    volumes = [volume["image"] for volume in spec.get("volumes") or () if volume.get("image")]
    images += [(it.get("reference"), it.get("pullPolicy")) for it in volumes]
    for name, policy in images:
        if not name or name in seen:
            continue
        seen.add(name)
        try:
            image = Reference.parse(name, default_registry)
        except InvalidReferenceError:
            continue
        yield _Use(image.pinned, policy or "IfNotPresent", spec.get("nodeName", ""))
