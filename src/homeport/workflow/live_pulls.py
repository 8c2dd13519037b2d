"""What a live cluster pulls and will pull."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from homeport.cluster.api import Api
from homeport.cluster.inventory import Inventory, Noted, View
from homeport.cluster.live_secrets import LivePullSecrets
from homeport.cluster.nodes import Node
from homeport.cluster.pulled import Key, Pulled, read_pulled
from homeport.cluster.scan import read_nodes
from homeport.discovery.findings import Finding, ObjectKey
from homeport.discovery.kinds import pod_spec_path
from homeport.discovery.knowledge import Knowledge
from homeport.discovery.tree import dig
from homeport.reference import DOCKER_HUB, Reference
from homeport.workflow.live_running import Fleet, Running, running_in
from homeport.workflow.pulls import Pulls, pulls_of

_ARCHITECTURE: Final = "kubernetes.io/arch"


class Live(msgspec.Struct, frozen=True, eq=False):
    """A cluster as it is now: what is and will be pulled, what runs, and what nodes say of themselves and of their pulls.

    `chosen` are the architectures that all pods of an image choose; `unknown` are things that could not be read.
    """

    pulls: Pulls
    running: tuple[Running, ...] = ()
    nodes: tuple[Node, ...] = ()
    events: dict[Key, Pulled] = {}
    chosen: dict[Reference, frozenset[str]] = {}
    unknown: tuple[str, ...] = ()

    @property
    def fleet(self) -> Fleet:
        """The platforms of the nodes."""
        platforms: dict[str, list[str]] = {}
        for node in self.nodes:
            platforms.setdefault(node.platform, []).append(node.name)
        return Fleet({name: tuple(sorted(nodes)) for name, nodes in platforms.items() if name}, self.chosen)


def read_live(
    api: Api,
    namespaces: Sequence[str],
    learn: Callable[[Iterable[Finding]], Knowledge],
    default_registry: str = DOCKER_HUB,
) -> Live:
    """Read the inventory of a cluster with the pull secrets that it names, and what runs; raises UsageError and ClusterError.

    `learn` makes the rules for custom resources from what runs, the operator's version for one. What makes pods counts with all
    its images: a pod has the secrets that its service account lent when it was made, and the next one may get others.
    """
    found: list[Pulls] = []
    running: list[Running] = []
    chosen: dict[Reference, frozenset[str] | None] = {}
    plain, secrets = learn(()), LivePullSecrets(api)
    inventory = Inventory(api, namespaces, plain, default_registry, view=View(whole=True), learn=learn)
    for noted in inventory:
        running += running_in(noted.value, default_registry) if noted.value["kind"] == "Pod" else ()
        found.append(pulls_of(noted.walk, secrets))
        _choose(chosen, noted)
    nodes, no_nodes = read_nodes(api)
    events, no_events = read_pulled(api, namespaces)
    return Live(
        Pulls.joined((*found, Pulls(errors=tuple(inventory.errors)))),
        tuple(running),
        nodes,
        events,
        {image: architectures for image, architectures in chosen.items() if architectures is not None},
        (*no_nodes, *no_events),
    )


def _choose(chosen: dict[Reference, frozenset[str] | None], noted: Noted) -> None:
    """Note the architectures that an object's pods choose; None where one of an image's objects chooses none."""
    value = noted.value
    path = pod_spec_path(ObjectKey(value["apiVersion"], value["kind"]))
    wanted = _architectures(dig(value, path) or {}) if path else None
    for finding in noted.walk.findings:
        before = chosen.get(finding.reference.pinned, frozenset())
        chosen[finding.reference.pinned] = None if wanted is None or before is None else before | wanted


def _architectures(spec: Mapping[str, Any]) -> frozenset[str] | None:
    """Return the architectures that a pod specification asks for; None where it takes any."""
    if named := (spec.get("nodeSelector") or {}).get(_ARCHITECTURE):
        return frozenset({named})
    required = dig(spec, ("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"))
    terms = (required or {}).get("nodeSelectorTerms") or ()
    found: set[str] = set()
    for term in terms:
        values = [
            it.get("values") or ()
            for it in term.get("matchExpressions") or ()
            if it.get("key") == _ARCHITECTURE and it.get("operator") == "In"
        ]
        if not values:
            return None
        found.update(*values)
    return frozenset(found) if terms else None
