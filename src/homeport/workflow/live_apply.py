"""Change a live cluster as planned, so that it pulls from the target: one object after the other, each until it runs."""

from collections.abc import Callable

import msgspec

from homeport.cluster.api import Api
from homeport.cluster.lease import held
from homeport.cluster.record import Changed, Journal
from homeport.errors import HomeportError
from homeport.workflow.live_changes import Wanted, word
from homeport.workflow.live_plan import LivePlan
from homeport.workflow.live_pull_secrets import write_secrets
from homeport.workflow.live_rollout import SILENCE, Waiter
from homeport.workflow.live_write import change_now, patch_now


class LiveApplied(msgspec.Struct, frozen=True):
    """What was done, a line each; `failed` is why it stopped."""

    done: tuple[str, ...]
    failed: HomeportError | None = None


def apply_live(
    api: Api,
    plan: LivePlan,
    journal: Journal | None,
    *,
    namespace: str,
    say: Callable[[str], None] = lambda _: None,
    silence: float = SILENCE,
) -> LiveApplied:
    """Make all changes of a plan, and stop at the first that does not roll out; a second run goes on from there.

    The lease is in `namespace`; without a journal nothing is recorded. Raises ClusterError where another apply is at work.
    """
    done: list[str] = []
    rules = plan.rules

    def note(line: str) -> None:
        done.append(line)
        say(line)

    with held(api, namespace) as lease:
        try:
            changed = [Changed(it.key, it.changes) for it in (*plan.accounts, *plan.objects) if it.changes]
            if changed and journal:
                journal.write(journal.read().adding(str(rules.mapping.target), changed))
            write_secrets(api, plan.secrets, note)
            for account in plan.accounts:
                if account.changes and patch_now(api, account):
                    note(f"{account.key}: lends {rules.secret}")
            waiter = Waiter(api, say, lease.renew, silence)
            for step in plan.objects:
                lease.renew()
                if step.changes and change_now(api, step, plan.take_over):
                    note(f"{step.key}: changed")
                waiter.wait(step, rules.behind)
        except HomeportError as error:
            return LiveApplied(tuple(done), error)
    return LiveApplied(tuple(done))


def described(step: Wanted) -> list[str]:
    """Write the changes of an object, a line each."""
    return [f"{it.where}: {word(it.old)} -> {word(it.new)}" for it in step.changes]
