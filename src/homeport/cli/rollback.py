"""`homeport rollback`: take back what `homeport apply --cluster` has changed."""

import sys
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from homeport.cli.app import DONE, WRONG, complain
from homeport.cli.live import record_file
from homeport.cli.output import Form, count, render
from homeport.errors import UsageError
from homeport.workflow.config import load_config


class _Report(msgspec.Struct, frozen=True):
    restored: dict[str, list[str]]
    refused: list[str]
    gone: list[str]
    needed: list[str]
    done: tuple[str, ...]
    failed: str | None


def rollback(
    file: Path = Path("homeport.yaml"),
    /,
    *,
    context: str | None = None,
    record: str | None = None,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    output: Annotated[Form, Parameter(name=["--output", "-o"])] = "table",
) -> int:
    """Take back what apply --cluster has changed: registry names, references to pull secrets, service accounts.

    Versions stay as they are. A field that somebody else has changed since is left and shown, and its object with it. A half-finished
    apply is taken back as far as it went. The pull secrets themselves and the images at the target stay.

    Args:
        file: The configuration that was applied.
        context: The kubeconfig's context.
        record: The namespace that keeps what was changed, by default the first of pullSecret.namespaces.
        dry_run: Say what would be taken back; change nothing.
        output: How the report is written to stdout: table, json or yaml.
    """
    from homeport.cluster import require_kube

    require_kube()
    from homeport.cluster.api import Api
    from homeport.cluster.kubeconfig import load_config as load_kubeconfig
    from homeport.cluster.record import Journal
    from homeport.workflow.live_changes import word
    from homeport.workflow.live_rollback import RolledBack, plan_rollback, roll_back

    home = record or _home(file)
    with Api(load_kubeconfig(context)) as api:
        journal = Journal(api, home, record_file(file))
        kept = journal.read()
        if not kept.objects:
            print(
                f"nothing to take back: no change is recorded in namespace {home} or in {record_file(file)}",
                file=sys.stderr,
            )
        plan = plan_rollback(api, kept)
        done = RolledBack(())
        if not dry_run:
            done = roll_back(api, plan, journal, namespace=home, say=lambda line: print(line, file=sys.stderr))
    if done.failed:
        complain(done.failed)
    report = _Report(
        {
            str(it.object): [f"{each.where}: {word(each.new)} -> {word(each.old)}" for each in it.changes]
            for it in plan.restored
        },
        [
            f"{it.object} {it.change.where}: it is {word(it.now)} now; apply made it {word(it.change.new)}, "
            f"before it was {word(it.change.old)}"
            for it in plan.refused
        ],
        [str(key) for key in plan.gone],
        [str(key) for key in plan.needed],
        done.done,
        str(done.failed) if done.failed else None,
    )
    print(render(report, output, _table(report, dry_run=dry_run)))
    return WRONG if report.refused or report.failed else DONE


def _home(file: Path) -> str:
    config = load_config(file)
    if config.pull_secret is None:
        raise UsageError(
            "where the record of the changes is kept is not said", hint="Name the namespace: --record NAMESPACE."
        )
    return config.pull_secret.namespaces[0]


def _table(report: _Report, *, dry_run: bool) -> str:
    lines = []
    for name, changes in report.restored.items():
        lines += [name, *(f"  {change}" for change in changes)]
    lines += [f"refused, changed by somebody else: {line}" for line in report.refused]
    lines += [f"kept, because what was refused pulls with its secret: {name}" for name in report.needed]
    lines += [f"gone: {name}" for name in report.gone]
    verb = "would be restored" if dry_run else "restored"
    number = len(report.restored) if dry_run else len(report.done)
    return "\n".join([*lines, f"{count(number, 'object')} {verb}"])
