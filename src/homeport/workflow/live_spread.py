"""Pull secrets in a live cluster without a change of images: spread, lent, given other credentials, taken away."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from homeport.cluster.api import Api
from homeport.cluster.inventory import Inventory
from homeport.cluster.keyring import Keyring
from homeport.cluster.kinds import NAMESPACES, SECRETS, SERVICE_ACCOUNTS
from homeport.cluster.lease import held as lease_of
from homeport.cluster.live_secrets import LivePullSecrets
from homeport.cluster.owners import owner_of
from homeport.cluster.pull_access import names_in
from homeport.cluster.secret_use import users_of
from homeport.discovery.findings import Finding, ObjectKey
from homeport.discovery.knowledge import Knowledge
from homeport.discovery.walk import SecretPlace, Walk
from homeport.errors import AuthenticationError, ClusterError, HomeportError, RegistryError, UsageError
from homeport.mapping import Mapping as NameMapping
from homeport.mapping import Target
from homeport.reference import DOCKER_HUB
from homeport.registry.credentials import Credential
from homeport.registry.session import Registries
from homeport.workflow.live_apply import LiveApplied
from homeport.workflow.live_changes import BroughtOnly, Left, Rules, Wanted, key_of, lend, unnamed
from homeport.workflow.live_plan import LivePlan, plan_live
from homeport.workflow.live_pull_secrets import is_managed, secret_step
from homeport.workflow.live_rollout import SILENCE, Waiter
from homeport.workflow.live_write import patch_now

Learn = Callable[[Iterable[Finding]], Knowledge]


class Pruned(msgspec.Struct, frozen=True):
    """Pull secrets that Homeport made and nothing uses, and those that are kept, each with the first object that uses it."""

    unused: tuple[dict[str, Any], ...] = ()
    kept: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Pruned({len(self.unused)} unused, {len(self.kept)} kept)"


def check_accepted(registries: Registries, target: Target, credential: Credential) -> None:
    """Ask a registry whether it lets a user in now; raises UsageError where it does not, or cannot be asked."""
    try:
        with registries.seen_by(credential) as seen:
            seen.client(target.registry).ping()
    except AuthenticationError:
        raise UsageError(
            f"{target.registry} does not accept this user and password now: pulls with them would fail",
            hint="Is it to accept them soon? Give them beside the old ones first: --overlap, and again without it afterwards.",
        ) from None
    except RegistryError as error:
        raise UsageError(
            f"it is not known whether {target.registry} accepts this user and password: {error.message}",
            hint="If this machine cannot reach it, but nodes can: --no-check writes them all the same.",
        ) from None


def every_namespace(api: Api) -> tuple[str, ...]:
    """Return the namespaces of a cluster, without those that are being deleted; raises ClusterError."""
    return tuple(
        it["metadata"]["name"] for it in api.objects(NAMESPACES) if not it["metadata"].get("deletionTimestamp")
    )


def plan_spread(
    api: Api,
    target: Target,
    secrets: Sequence[Mapping[str, Any]],
    *,
    accounts: Sequence[str] = (),
    attach: Learn | None = None,
    overlap: bool = False,
) -> LivePlan:
    """Plan a pull secret for the namespaces of its manifests; raises UsageError and ClusterError.

    `accounts` are to lend it. With `attach`, which makes rules from what runs, everything that pulls from the target gets it.
    """
    namespaces = [it["metadata"]["namespace"] for it in secrets]
    if attach:
        plan = plan_live(api, namespaces, NameMapping(target), (), attach, secrets=secrets, overlap=overlap)
        added = f"[{plan.rules.secret}]"
        left = tuple(it for it in plan.left if it.is_secret or it.path.endswith(added))
        plan = msgspec.structs.replace(plan, left=left)
    else:
        rules = Rules(BroughtOnly(target), Knowledge(), secrets[0]["metadata"]["name"])
        steps = tuple(secret_step(api, it, overlap=overlap) for it in secrets)
        plan = LivePlan(rules, steps)
    chosen = {it.key: it for it in plan.accounts}
    for namespace in namespaces:
        for name in accounts:
            step = _lending(api, namespace, name, plan.rules.secret)
            chosen.setdefault(step.key, step)
    return msgspec.structs.replace(plan, accounts=tuple(chosen.values()))


def plan_detach(api: Api, namespaces: Sequence[str], secret: str, learn: Learn) -> tuple[list[Wanted], list[Left]]:
    """Return what has to change so that nothing lists a pull secret any more, and what is left; raises ClusterError.

    It stays where images are pulled with it and the list has no other secret for the same registry.
    """
    steps: list[Wanted] = []
    left: list[Left] = []
    known = LivePullSecrets(api)
    for namespace in namespaces:
        keyring = known.secret(namespace, secret).keyring
        inventory = Inventory(api, [namespace], learn(()), DOCKER_HUB)
        noted = [(each.value, each.walk) for each in inventory]
        if inventory.errors:
            raise ClusterError(f"what uses the secret is not known: {inventory.errors[0]}")
        is_needed = any(keyring.match(it.reference) for _, walk in noted for it in walk.findings)
        accounts = ((it, None) for it in api.objects(SERVICE_ACCOUNTS, namespace))
        for value, walk in (*noted, *accounts):
            for place in _fields(value, walk):
                if secret not in place.names or value["kind"] == "Pod":
                    continue
                others = [known.secret(namespace, it).keyring for it in place.names if it != secret]
                key, where = key_of(value), unnamed(value, place, secret)
                if is_needed and not _covers(others, keyring):
                    serves = ", ".join(entry.key for entry in keyring.entries)
                    reason = f"nothing else here has credentials for {serves}: attach another secret first"
                    left.append(Left(key, where.where, secret, reason))
                elif owner := owner_of(value) if walk else None:
                    left.append(Left(key, where.where, secret, str(owner)))
                else:
                    steps.append(Wanted(value, key, (where,)))
    return steps, left


def detach(
    api: Api, namespace: str, steps: Sequence[Wanted], say: Callable[[str], None], silence: float = SILENCE
) -> LiveApplied:
    """Take a pull secret out of lists, one object after the other, each until it runs; the lease is in `namespace`."""
    done: list[str] = []
    with lease_of(api, namespace) as lease:
        try:
            waiter = Waiter(api, say, lease.renew, silence)
            for step in steps:
                lease.renew()
                if patch_now(api, step):
                    done.append(f"{step.key}: {step.changes[0].where} taken away")
                    say(done[-1])
                if step.key.kind != "ServiceAccount":
                    waiter.wait(step, lambda _: False)
        except HomeportError as error:
            return LiveApplied(tuple(done), error)
    return LiveApplied(tuple(done))


def plan_prune(api: Api, namespaces: Sequence[str], name: str = "") -> Pruned:
    """Find the pull secrets that Homeport made and nothing uses, under one name or any; raises ClusterError."""
    unused: list[dict[str, Any]] = []
    kept: list[str] = []
    for namespace in namespaces:
        made = [it for it in api.objects(SECRETS, namespace) if is_managed(it)]
        made = [it for it in made if not name or it["metadata"]["name"] == name]
        users = users_of(api, namespace, {it["metadata"]["name"] for it in made})
        for secret in made:
            user = users.get(secret["metadata"]["name"])
            if user:
                kept.append(f"Secret/{namespace}/{secret['metadata']['name']}: {user} uses it")
            else:
                unused.append(secret)
    return Pruned(tuple(unused), tuple(kept))


def _lending(api: Api, namespace: str, name: str, secret: str) -> Wanted:
    found = api.get(f"{SERVICE_ACCOUNTS.path('v1', namespace)}/{name}")
    if found is None:
        raise UsageError(
            f"there is no service account {name!r} in namespace {namespace}",
            hint=f"kubectl create serviceaccount {name} -n {namespace}",
        )
    return Wanted(found, ObjectKey("v1", "ServiceAccount", namespace, name), lend(found, secret))


def _fields(value: Mapping[str, Any], walk: Walk | None) -> Sequence[SecretPlace]:
    """Return the fields of an object that name pull secrets; without a walk those of a service account."""
    if walk is None:
        path, names = ("imagePullSecrets",), names_in(value.get("imagePullSecrets"))
        return (SecretPlace(key_of(value), value, path, path[0], names),)
    return [place for place in walk.secrets if not place.inside]


def _covers(others: Iterable[Keyring], keyring: Keyring) -> bool:
    keys = {entry.key for each in others for entry in each.entries}
    return bool(keyring.entries) and all(entry.key in keys for entry in keyring.entries)
