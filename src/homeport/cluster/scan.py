"""Scan a live cluster."""

from collections.abc import Sequence

from homeport.cluster.api import Api
from homeport.cluster.inventory import Inventory
from homeport.cluster.kubeconfig import load_config
from homeport.discovery.findings import Scan
from homeport.discovery.knowledge import Knowledge
from homeport.discovery.scan import scan_of
from homeport.reference import DOCKER_HUB


def scan_live(
    context: str | None, namespaces: Sequence[str], knowledge: Knowledge, default_registry: str = DOCKER_HUB
) -> Scan:
    """Find the images of a cluster's objects; without namespaces, of all. Raises UsageError and ClusterError."""
    with Api(load_config(context)) as api:
        inventory = Inventory(api, namespaces, knowledge, default_registry)
        found = Scan.joined(scan_of(noted.walk, inventory.source) for noted in inventory)
        return found + Scan(errors=tuple(inventory.errors))
