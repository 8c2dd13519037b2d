"""Take back what apply has changed in a live cluster: registry names at unchanged versions, secrets' references, accounts."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import msgspec

from homeport.cluster.api import Api
from homeport.cluster.changes import Change, state_of, value_at
from homeport.cluster.lease import held
from homeport.cluster.record import Journal, Record
from homeport.discovery.findings import ObjectKey
from homeport.discovery.knowledge import Knowledge
from homeport.discovery.walk import walk
from homeport.errors import ClusterError, HomeportError
from homeport.mapping import Target
from homeport.workflow.live_changes import Wanted
from homeport.workflow.live_rollout import SILENCE, Waiter
from homeport.workflow.live_write import patch_now


class Refused(msgspec.Struct, frozen=True):
    """A field that somebody else has changed since: what it was before apply, what apply made it, and what it is now."""

    object: ObjectKey
    change: Change
    now: Any


class Restored(msgspec.Struct, frozen=True):
    """An object of the cluster with the changes that are to be taken back."""

    value: dict[str, Any]
    object: ObjectKey
    changes: tuple[Change, ...]


class RollbackPlan(msgspec.Struct, frozen=True):
    """What would be taken back, in order; `gone` are objects that are not there any more.

    `needed` are service accounts that go on lending the pull secret, because what is refused pulls with it.
    """

    restored: tuple[Restored, ...] = ()
    refused: tuple[Refused, ...] = ()
    gone: tuple[ObjectKey, ...] = ()
    needed: tuple[ObjectKey, ...] = ()


class RolledBack(msgspec.Struct, frozen=True):
    """What was taken back, a line each; `failed` is why it stopped."""

    done: tuple[str, ...]
    failed: HomeportError | None = None


def plan_rollback(api: Api, record: Record) -> RollbackPlan:
    """Compare a record with what is there now; raises ClusterError, also where Redis Enterprise is being upgraded.

    Where one field of an object was changed by somebody else, none of the object is touched.
    """
    restored, refused, gone = [], [], []
    still = set[str]()
    for each in reversed(record.objects):
        found = api.get(api.path(_stub(each.object)))
        if found is None:
            gone.append(each.object)
            continue
        others = [change for change in each.changes if state_of(found, change) == "other"]
        refused += [Refused(each.object, change, value_at(found, change.path)) for change in others]
        pending = tuple(change for change in each.changes if state_of(found, change) == "new")
        if pending or others:
            _check_upgrade(found, each.object)
        if others and _pulls_from(found, record.target):
            still.add(each.object.namespace)
        if pending and not others:
            restored.append(Restored(found, each.object, pending))
    needed = [it for it in restored if it.object.kind == "ServiceAccount" and it.object.namespace in still]
    return RollbackPlan(
        tuple(it for it in restored if it not in needed),
        tuple(refused),
        tuple(gone),
        tuple(it.object for it in needed),
    )


def _pulls_from(value: Mapping[str, Any], target: str) -> bool:
    place = Target.parse(target)
    return any(place.holds(it.reference) for it in walk(value, "cluster", Knowledge()).findings)


def _check_upgrade(found: Mapping[str, Any], key: ObjectKey) -> None:
    """Refuse while Redis Enterprise is being upgraded: there is no way back to an older version, and pods change already."""
    state = (found.get("status") or {}).get("state", "")
    if key.kind == "RedisEnterpriseCluster" and state in ("Upgrade", "InvalidUpgrade"):
        raise ClusterError(
            f"{key} is in state {state}: its names are not taken back while an upgrade is under way",
            hint="Wait for the state Running, or mend what `homeport redis-enterprise check --cluster` names.",
        )


def roll_back(
    api: Api,
    plan: RollbackPlan,
    journal: Journal,
    *,
    namespace: str,
    say: Callable[[str], None] = lambda _: None,
    silence: float = SILENCE,
) -> RolledBack:
    """Take back what is planned, and wait for each roll-out; a second run goes on from there. Raises ClusterError."""
    done: list[str] = []
    with held(api, namespace) as lease:
        try:
            waiter = Waiter(api, say, lease.renew, silence)
            for step in plan.restored:
                lease.renew()
                back = Wanted(step.value, step.object, step.changes)
                if patch_now(api, back, undo=True):
                    done.append(f"{step.object}: restored")
                    say(done[-1])
                if step.object.kind != "ServiceAccount":
                    waiter.wait(back, partial(_still_named, step.changes))
            _forget(journal, plan)
        except HomeportError as error:
            return RolledBack(tuple(done), error)
    return RolledBack(tuple(done))


def _still_named(changes: tuple[Change, ...], value: Mapping[str, Any]) -> bool:
    """Tell whether an object still names an image that apply has put into what it is made from."""
    names = [text for change in changes for text in _texts(change.new)]
    found = [finding.text for finding in walk(value, "cluster", Knowledge()).findings]
    return any(text == name or text.startswith((f"{name}:", f"{name}@")) for text in found for name in names)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, str):
        yield value


def _forget(journal: Journal, plan: RollbackPlan) -> None:
    """Keep of the record what was refused, and what that needs; it is still to be decided."""
    kept = {*plan.needed, *(refused.object for refused in plan.refused)}
    record = journal.read()
    rest = tuple(each for each in record.objects if each.object in kept)
    if rest:
        journal.write(Record(record.target, rest))
    else:
        journal.clear()


def _stub(key: ObjectKey) -> dict[str, Any]:
    return {
        "apiVersion": key.api_version,
        "kind": key.kind,
        "metadata": {"namespace": key.namespace, "name": key.name},
    }
