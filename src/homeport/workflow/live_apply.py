"""Change a live cluster as planned, so that it pulls from the target: one object after the other, each until it runs."""

from collections.abc import Callable, Mapping

import msgspec

from homeport.cluster.api import Api, shown
from homeport.cluster.changes import operations
from homeport.cluster.lease import held
from homeport.cluster.record import Changed, Journal
from homeport.errors import HomeportError
from homeport.workflow.live_changes import Wanted
from homeport.workflow.live_plan import LivePlan, change
from homeport.workflow.live_rollout import SILENCE, Waiter


class LiveApplied(msgspec.Struct, frozen=True):
    """What was done, a line each; `failed` is why it stopped."""

    done: tuple[str, ...]
    failed: HomeportError | None = None


def apply_live(
    api: Api,
    plan: LivePlan,
    journal: Journal,
    *,
    namespace: str,
    say: Callable[[str], None] = lambda _: None,
    silence: float = SILENCE,
) -> LiveApplied:
    """Make all changes of a plan, and stop at the first that does not roll out; a second run goes on from there.

    The lease and the record are in `namespace`. Raises ClusterError where another apply is at work.
    """
    done: list[str] = []
    rules = plan.rules

    def note(line: str) -> None:
        done.append(line)
        say(line)

    with held(api, namespace) as lease:
        try:
            changed = [Changed(it.key, it.changes) for it in (*plan.accounts, *plan.objects) if it.changes]
            if changed:
                journal.write(journal.read().adding(str(rules.mapping.target), changed))
            _write_secrets(api, plan, note)
            for account in plan.accounts:
                if account.changes:
                    api.patch(account.value, operations(account.value, account.changes))
                    note(f"{account.key}: lends {rules.secret}")
            waiter = Waiter(api, say, lease.renew, silence)
            for step in plan.objects:
                lease.renew()
                if step.changes:
                    change(api, step)
                    note(f"{step.key}: changed")
                waiter.wait(step, rules.behind)
        except HomeportError as error:
            return LiveApplied(tuple(done), error)
    return LiveApplied(tuple(done))


def _write_secrets(api: Api, plan: LivePlan, note: Callable[[str], None]) -> None:
    for step in plan.secrets:
        if not step.manifest:
            continue
        if "resourceVersion" in step.manifest["metadata"]:
            api.replace(step.manifest)
        else:
            api.create(step.manifest)
        note(f"{shown(step.manifest)}: {step.done}")


def described(step: Wanted) -> list[str]:
    """Write the changes of an object, a line each."""
    return [f"{it.where}: {word(it.old)} -> {word(it.new)}" for it in step.changes]


def word(value: object) -> str:
    """Write a field's value for people."""
    if isinstance(value, Mapping) and set(value) == {"name"}:
        return str(value["name"])
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {word(inner)}" for name, inner in value.items())
    return "(none)" if value is None else str(value)
