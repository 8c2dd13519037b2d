"""What has to change in a live cluster, so that it pulls from the target: read, tried by a server-side dry run, not done."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from homeport.cluster.api import Api, ConflictError
from homeport.cluster.inventory import Inventory
from homeport.cluster.kinds import PODS, SERVICE_ACCOUNTS, TEMPLATES, Kind, is_custom
from homeport.cluster.live_secrets import LivePullSecrets
from homeport.cluster.owners import owner_of
from homeport.discovery.findings import Finding, ObjectKey
from homeport.discovery.knowledge import Knowledge
from homeport.errors import ClusterError
from homeport.mapping import Mapping as NameMapping
from homeport.reference import DOCKER_HUB, Reference
from homeport.workflow.live_changes import BroughtOnly, Left, Rules, Serves, Wanted, lend, wanted_of
from homeport.workflow.live_pull_secrets import SecretStep, secret_step
from homeport.workflow.live_write import change, strangers

_ORDER: Final = ("Deployment", "DaemonSet", "StatefulSet", "CronJob")


class LivePlan(msgspec.Struct, frozen=True, eq=False):
    """What would be done, in order: secrets, service accounts, then objects. `restarts` are the pods that are replaced.

    `take_over` names the field managers whose fields are taken, `handed` are the objects that tools are told to change.
    """

    rules: Rules
    secrets: tuple[SecretStep, ...] = ()
    accounts: tuple[Wanted, ...] = ()
    objects: tuple[Wanted, ...] = ()
    restarts: tuple[str, ...] = ()
    left: tuple[Left, ...] = ()
    errors: tuple[str, ...] = ()
    take_over: tuple[str, ...] = ()
    handed: tuple[dict[str, Any], ...] = ()


def plan_live(
    api: Api,
    namespaces: Sequence[str],
    mapping: NameMapping,
    brought: Iterable[Reference],
    learn: Callable[[Iterable[Finding]], Knowledge],
    *,
    secrets: Sequence[Mapping[str, Any]] = (),
    default_registry: str = DOCKER_HUB,
    overlap: bool = False,
    take_over: Collection[str] = (),
    hand_over: bool = False,
) -> LivePlan:
    """Compare live objects with what they should be, and try every change by a dry run; raises UsageError and ClusterError.

    `secrets` are the manifests of the pull secret, one for each namespace; with `overlap` it keeps the credentials that it has.
    """
    inventory = Inventory(api, namespaces, learn(()), default_registry)
    noted = [
        each for each in inventory if each.names_images or not is_custom(each.value["apiVersion"].rpartition("/")[0])
    ]
    findings = [finding for each in noted for finding in each.walk.findings]
    knowledge = learn(findings) + inventory.taught
    name = secrets[0]["metadata"]["name"] if secrets else ""
    only = BroughtOnly(mapping.target, mapping.keep_registry, mapping.redirects, frozenset(brought))
    rules = Rules(only, knowledge, name, default_registry, _serving(api), hand_over)
    wanted = [wanted_of(each.value, rules) for each in noted]
    tried = [_tried(api, _unlooped(it), take_over) for it in sorted(wanted, key=_order) if it.is_at_target]
    objects = tuple(step for step in tried if step.is_at_target)
    lenders = [it for it in wanted if it.account and not it.is_at_target]
    accounts = _accounts(api, (*objects, *lenders), name)
    by_owner = {it.key for it in objects}
    left = [gone for it in (*wanted, *tried) for gone in it.left if not _follows(it, by_owner)]
    for step in objects:
        _check_health(step)
    changed = [it for it in objects if it.changes]
    return LivePlan(
        rules,
        tuple(secret_step(api, secret, overlap=overlap) for secret in secrets),
        accounts,
        objects,
        _restarts(api, namespaces, changed),
        tuple(dict.fromkeys(left)),
        tuple(inventory.errors),
        tuple(take_over),
        tuple(it.value for it in wanted if it.handed),
    )


def _serving(api: Api) -> Serves:
    """Tell of secrets in the cluster whether they have credentials; of one that may not be read it is not known."""
    known = LivePullSecrets(api)

    def serves(namespace: str, name: str, pulled: Iterable[Reference]) -> bool:
        keyring = known.secret(namespace, name).keyring
        return all(keyring.match(it) for it in pulled)

    return serves


def _unlooped(step: Wanted) -> Wanted:
    """Leave what is said of an object to the list of all, so that it is said once."""
    return msgspec.structs.replace(step, left=())


def _order(step: Wanted) -> tuple[int, ObjectKey]:
    """Put what operators run as before the custom resources that they read."""
    kind = step.key.kind
    return _ORDER.index(kind) if kind in _ORDER else len(_ORDER), step.key


def _follows(step: Wanted, changed: set[ObjectKey]) -> bool:
    """Tell whether an object is made from one that is changed: its operator or controller changes it in turn."""
    for owner in step.value["metadata"].get("ownerReferences") or ():
        if ObjectKey(owner["apiVersion"], owner["kind"], step.key.namespace, owner["name"]) in changed:
            return True
        # A pod's ReplicaSet or Job is not in the inventory when a Deployment or CronJob makes it.
        if owner.get("controller") and step.key.kind == "Pod" and owner["kind"] in {it.name for it in TEMPLATES}:
            return True
    return False


def _tried(api: Api, step: Wanted, take_over: Collection[str]) -> Wanted:
    """Try the changes of an object by a dry run; one that another tool owns is left, and it is said where it belongs."""
    if not step.changes:
        return step
    try:
        change(api, step, dry_run=True, take_over=take_over)
    except ConflictError as error:
        others = strangers(error, take_over)
        if not others:
            return step
        names = ", ".join(others)
        reason = f"{names} set this field and goes on setting it: make the change there, or take it over (--take-over {others[0]})"
        left = tuple(Left(step.key, it.where, str(it.old), reason) for it in step.changes)
        return Wanted(step.value, step.key, left=left)
    return step


def _accounts(api: Api, objects: Iterable[Wanted], secret: str) -> tuple[Wanted, ...]:
    """Return the service accounts that have to lend the pull secret."""
    names = dict.fromkeys((it.key.namespace, it.account) for it in objects if it.account)
    steps = []
    for namespace, name in names:
        key = ObjectKey("v1", "ServiceAccount", namespace, name)
        found = api.get(f"{SERVICE_ACCOUNTS.path('v1', namespace)}/{name}")
        if found is None:
            raise ClusterError(
                f"{key} is not there, and pods of {namespace} are to run under it",
                hint=f"Create it: kubectl create serviceaccount {name} -n {namespace}",
            )
        if owner_of(found) is None or lend(found, secret):
            steps.append(Wanted(found, key, lend(found, secret)))
    return tuple(steps)


def _restarts(api: Api, namespaces: Sequence[str], changed: Sequence[Wanted]) -> tuple[str, ...]:
    """Name the pods that the changes replace, in the order of the changes."""
    uids = {it.value["metadata"]["uid"]: number for number, it in enumerate(changed) if it.key.kind != "CronJob"}
    owners: dict[str, str] = {}
    pods: list[tuple[str, str]] = []
    kinds: tuple[Kind, ...] = (*TEMPLATES, PODS)
    for namespace in namespaces or (None,):
        for kind in kinds if uids else ():
            for value in api.objects(kind, namespace):
                metadata = value["metadata"]
                owner = next((it["uid"] for it in metadata.get("ownerReferences") or () if it.get("controller")), "")
                owners[metadata["uid"]] = owner
                if kind is PODS and not metadata.get("deletionTimestamp"):
                    pods.append((metadata["uid"], f"{metadata['namespace']}/{metadata['name']}"))
    found = []
    for uid, name in pods:
        at = uid
        while at and at not in uids:
            at = owners.get(at, "")
        if at:
            found.append((uids[at], name))
    return tuple(name for _, name in sorted(found))


def _check_health(step: Wanted) -> None:
    """Refuse to touch a Redis cluster that is not healthy: its operator replaces pods one by one and counts on the others."""
    state = (step.value.get("status") or {}).get("state", "Running")
    if step.key.kind == "RedisEnterpriseCluster" and step.changes and state != "Running":
        raise ClusterError(
            f"{step.key} is {state}, not Running: its pods are replaced one by one, which needs the others",
            hint=f"kubectl describe rec {step.key.name} -n {step.key.namespace} tells what it waits for.",
        )
