"""What a live cluster pulls and will pull."""

from collections.abc import Sequence

from homeport.cluster.api import Api
from homeport.cluster.inventory import Inventory
from homeport.cluster.kubeconfig import load_config
from homeport.cluster.live_secrets import LivePullSecrets
from homeport.discovery.knowledge import Knowledge
from homeport.reference import DOCKER_HUB
from homeport.workflow.pulls import Pulls, pulls_of


def read_live_pulls(
    context: str | None, namespaces: Sequence[str], knowledge: Knowledge, default_registry: str = DOCKER_HUB
) -> Pulls:
    """Read the inventory of a cluster with the pull secrets that it names; raises UsageError and ClusterError."""
    with Api(load_config(context)) as api:
        secrets = LivePullSecrets(api)
        inventory = Inventory(api, namespaces, knowledge, default_registry)
        found = [pulls_of(noted.walk, secrets, knowledge) for noted in inventory]
        return Pulls.joined((*found, Pulls(errors=tuple(inventory.errors))))
