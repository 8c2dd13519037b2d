"""What a live cluster pulls and will pull."""

from collections.abc import Callable, Iterable, Sequence

from homeport.cluster.api import Api
from homeport.cluster.inventory import Inventory, Noted
from homeport.cluster.kinds import is_custom
from homeport.cluster.kubeconfig import load_config
from homeport.cluster.live_secrets import LivePullSecrets
from homeport.discovery.findings import Finding
from homeport.discovery.knowledge import Knowledge
from homeport.discovery.walk import walk
from homeport.reference import DOCKER_HUB
from homeport.workflow.live_running import Running, running_in
from homeport.workflow.pulls import Pulls, pulls_of


def read_live_pulls(
    context: str | None,
    namespaces: Sequence[str],
    learn: Callable[[Iterable[Finding]], Knowledge],
    default_registry: str = DOCKER_HUB,
) -> tuple[Pulls, tuple[Running, ...]]:
    """Read the inventory of a cluster with the pull secrets that it names, and what runs; raises UsageError and ClusterError.

    `learn` makes the rules for custom resources from what runs, the operator's version for one.
    """
    found: list[Pulls] = []
    findings: list[Finding] = []
    custom: list[Noted] = []
    running: list[Running] = []
    plain = learn(())
    with Api(load_config(context)) as api:
        secrets = LivePullSecrets(api)
        inventory = Inventory(api, namespaces, plain, default_registry)
        for noted in inventory:
            if is_custom(noted.value["apiVersion"].rpartition("/")[0]):
                custom += [noted] if noted.names_images else []
            else:
                findings += noted.walk.findings
                running += running_in(noted.value, default_registry) if noted.value["kind"] == "Pod" else ()
                found.append(pulls_of(noted.walk, secrets))
        knowledge = learn(findings) + Knowledge(rules=inventory.taught)
        again = (walk(noted.value, inventory.source, knowledge, default_registry) for noted in custom)
        found.extend(pulls_of(noted, secrets) for noted in again)
        return Pulls.joined((*found, Pulls(errors=tuple(inventory.errors)))), tuple(running)
