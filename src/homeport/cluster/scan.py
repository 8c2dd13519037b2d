"""Scan a live cluster: where its images are named, and what each pod's node really has."""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from homeport.cluster.api import Api
from homeport.cluster.helm_hooks import scan_helm_hooks
from homeport.cluster.inventory import ALL, Inventory, Noted, View
from homeport.cluster.kinds import NODES
from homeport.cluster.kubeconfig import load_config
from homeport.cluster.nodes import Node, full_name
from homeport.cluster.owners import Link
from homeport.cluster.pods import Use, uses_of
from homeport.discovery.findings import Finding, ObjectKey, Scan
from homeport.discovery.kinds import pod_spec_path
from homeport.discovery.knowledge import Knowledge
from homeport.discovery.scan import scan_of
from homeport.discovery.tree import dig, write_path
from homeport.errors import ClusterError
from homeport.reference import DOCKER_HUB

Where = tuple[str, ObjectKey]
"""A cluster's name, and an object in it."""


class Facts(msgspec.Struct, frozen=True):
    """What a cluster knows of an object that names images; a template has neither node nor phase.

    `owners` goes from the nearest to the tool that decides.
    """

    owners: tuple[str, ...] = ()
    node: str = ""
    phase: str = ""
    schedule: str = ""
    uses: tuple[Use, ...] = ()


class LiveScan(msgspec.Struct, frozen=True):
    """What a scan of clusters found. `unknown` are the things that could not be read and that are not its subject.

    `named` are the images that what makes pods names, by cluster and object.
    """

    scan: Scan = Scan()
    facts: dict[Where, Facts] = {}
    named: dict[tuple[str, str], frozenset[str]] = {}
    nodes: dict[str, tuple[Node, ...]] = {}
    unknown: tuple[str, ...] = ()

    @classmethod
    def joined(cls, parts: Iterable["LiveScan"]) -> "LiveScan":
        """Return the scans of several clusters as one."""
        every = list(parts)
        return cls(
            Scan.joined(part.scan for part in every),
            {where: facts for part in every for where, facts in part.facts.items()},
            {maker: names for part in every for maker, names in part.named.items()},
            {source: nodes for part in every for source, nodes in part.nodes.items()},
            tuple(sentence for part in every for sentence in part.unknown),
        )


def scan_live(
    context: str | None,
    namespaces: Sequence[str],
    knowledge: Knowledge,
    *,
    default_registry: str = DOCKER_HUB,
    view: View = ALL,
    learn: Callable[[Iterable[Finding]], Knowledge] | None = None,
    helm_hooks: bool = False,
) -> LiveScan:
    """Find the images of a cluster's objects; without namespaces, of all. Raises UsageError and ClusterError."""
    with Api(load_config(context)) as api:
        inventory = Inventory(api, namespaces, knowledge, default_registry, view=view, learn=learn)
        found: list[Scan] = []
        facts: dict[Where, tuple[Link, Facts]] = {}
        named: dict[tuple[str, str], frozenset[str]] = {}
        for noted in inventory:
            key = _key(noted)
            if key.kind != "Pod" and pod_spec_path(key):
                names = frozenset(full_name(name, default_registry) for name in noted.names)
                named[inventory.source, str(key)] = names
            part = scan_of(noted.walk, inventory.source)
            if part != _NOTHING:
                found.append(part)
                facts[inventory.source, key] = Link.of(noted.value), _facts(noted, key)
        if helm_hooks:
            found.append(scan_helm_hooks(api, namespaces, inventory.knowledge, default_registry))
        errors = Scan(errors=tuple(inventory.errors))
        nodes, unknown = read_nodes(api)
        linked = {
            where: msgspec.structs.replace(each, owners=inventory.links.chain(link))
            for where, (link, each) in facts.items()
        }
        return LiveScan(Scan.joined((*found, errors)), linked, named, {inventory.source: nodes}, unknown)


_NOTHING = Scan()


def read_nodes(api: Api) -> tuple[tuple[Node, ...], tuple[str, ...]]:
    """Read the nodes; without the right to it none, and a sentence that says so. Raises ClusterError."""
    try:
        return tuple(map(Node.of, api.objects(NODES))), ()
    except ClusterError as error:
        if error.status not in (403, 404):
            raise
        return (), (f"{error}: what nodes hold is not known",)


def _key(noted: Noted) -> ObjectKey:
    value = noted.value
    return ObjectKey(
        value["apiVersion"], value["kind"], value["metadata"].get("namespace", ""), value["metadata"]["name"]
    )


def _facts(noted: Noted, key: ObjectKey) -> Facts:
    value, path = noted.value, pod_spec_path(key)
    spec = dig(value, path) if path else None
    if path is None or spec is None:
        return Facts()
    if key.kind == "Pod":
        status = value.get("status") or {}
        return Facts((), spec.get("nodeName", ""), status.get("phase", ""), uses=tuple(uses_of(spec, "spec", status)))
    written = {found.path for found in noted.walk.findings}
    return Facts(
        schedule=value["spec"].get("schedule", "") if key.kind == "CronJob" else "",
        uses=tuple(use for use in uses_of(spec, write_path(path), {}) if use.path in written),
    )
