"""The part of `homeport apply` and `homeport rollback` that is about a live cluster."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from homeport.cli.app import complain
from homeport.cli.cost_table import cost_lines
from homeport.cli.live_lines import Changed, say, what_changes, what_is_left, who_restarts
from homeport.cluster.cost import Cost
from homeport.errors import UsageError
from homeport.registry.session import Registries
from homeport.workflow.apply import pull_secrets_of
from homeport.workflow.job import Job, versions_of
from homeport.workflow.rewrite import learner

if TYPE_CHECKING:
    from homeport.cluster.api import Api
    from homeport.workflow.live_plan import LivePlan

RECORD_SUFFIX = ".applied"


class Where(msgspec.Struct, frozen=True):
    """Which cluster and namespaces are changed, which one keeps the record, and the field managers whose fields are taken over.

    `hand_over` is the folder for what tools are to change.
    """

    context: str | None = None
    namespaces: tuple[str, ...] = ()
    record: str | None = None
    take_over: tuple[str, ...] = ()
    hand_over: Path | None = None


class HandedFile(msgspec.Struct, frozen=True):
    """A file for a tool, and what to do with it."""

    file: str
    use: tuple[str, ...]


class LiveReport(Changed, frozen=True):
    """What an apply changes, what nodes pull for it, and the files for tools, each with what to do with it."""

    cost: tuple[Cost, ...] = ()
    unknown: tuple[str, ...] = ()
    handed: tuple[HandedFile, ...] = ()
    not_handed: tuple[str, ...] = ()


def apply_to_cluster(
    job: Job,
    registries: Registries,
    where: Where,
    *,
    dry_run: bool,
) -> LiveReport:
    """Change a cluster as a job asks for it; with `dry_run` nothing is changed. Raises UsageError and ClusterError."""
    from homeport.cluster import require_kube

    require_kube()
    from homeport.cluster.api import Api
    from homeport.cluster.kubeconfig import load_config
    from homeport.cluster.record import Journal
    from homeport.workflow.live_apply import LiveApplied, apply_live, described
    from homeport.workflow.live_cost import cost_of_restarts
    from homeport.workflow.live_plan import plan_live

    chosen = tuple(dict.fromkeys(where.namespaces)) or namespaces_of(job)
    registry, learn = job.config.default_registry, learner(versions_of(job.config), job.mapping.target.registry)
    secrets = pull_secrets_of(job, registries, chosen)
    with Api(load_config(where.context)) as api:
        plan = plan_live(
            api,
            chosen,
            job.mapping,
            job.references,
            learn,
            secrets=secrets,
            default_registry=registry,
            take_over=where.take_over,
            hand_over=where.hand_over is not None,
        )
        handed, rest = _hand_over(api, plan, where.hand_over) if where.hand_over else ((), ())
        applied = LiveApplied(())
        cost: tuple[Cost, ...] = ()
        unknown: tuple[str, ...] = ()
        if dry_run:
            cost, unknown = cost_of_restarts(api, chosen, plan.restarts, plan.rules.mapping, registry)
        else:
            home = where.record or (namespaces_of(job) if job.config.pull_secret else chosen)[0]
            journal = Journal(api, home, record_file(Path(job.config.file)))
            applied = apply_live(api, plan, journal, namespace=home, say=say)
        if applied.failed:
            complain(applied.failed)
        return LiveReport(
            api.context,
            [f"Secret/{it.namespace}/{it.name}: {it.status if dry_run else it.done}" for it in plan.secrets],
            {str(it.key): described(it) for it in (*plan.accounts, *plan.objects) if it.changes},
            plan.restarts,
            [f"{it.object} {it.path}: {it.image}: {it.reason}" for it in plan.left],
            applied.done,
            str(applied.failed) if applied.failed else None,
            plan.errors,
            cost,
            unknown,
            handed,
            rest,
        )


def _hand_over(api: "Api", plan: "LivePlan", folder: Path) -> tuple[tuple[HandedFile, ...], tuple[str, ...]]:
    """Write the files for tools; values may hold whatever a list of theirs does, so nobody else may read them."""
    from homeport.relocation.write import write_whole
    from homeport.workflow.live_hand_over import hand_over

    made = hand_over(api, plan.handed, plan.rules)
    written = []
    for file in made.files:
        path = folder / file.name
        write_whole(path, file.text.encode(), mode=0o600)
        use = tuple(line.replace("FILE", shlex.quote(str(path))) for line in file.use)
        written.append(HandedFile(str(path), use))
    return tuple(written), made.rest


def namespaces_of(job: Job) -> tuple[str, ...]:
    """Return the namespaces that a job is about; raises UsageError where it names none."""
    if job.config.pull_secret is None:
        raise UsageError(
            "which namespaces of the cluster are meant is not said",
            hint="Name them with -n, or in homeport.yaml (pullSecret.namespaces).",
        )
    return job.config.pull_secret.namespaces


def record_file(config: Path) -> Path:
    """Return where what was changed is kept beside the configuration."""
    return config.with_suffix(RECORD_SUFFIX)


def live_table(report: LiveReport, *, dry_run: bool) -> str:
    """Write a report for people."""
    lines = [*what_changes(report)]
    if not report.changes:
        lines += ["  no object has to change"]
    lines += who_restarts(report, dry_run=dry_run)
    if report.cost:
        lines += ["their nodes would pull:", *cost_lines(report.cost, report.unknown)]
    for each in report.handed:
        lines += [f"written: {each.file}", *(f"  {line}" for line in each.use)]
    lines += [f"not written: {sentence}" for sentence in report.not_handed]
    return "\n".join([*lines, *what_is_left(report)])
