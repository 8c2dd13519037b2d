"""`homeport apply`: the whole job of a homeport.yaml."""

from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from homeport.cli.app import DONE, WRONG
from homeport.cli.job_options import with_config
from homeport.cli.job_report import ApplyReport, applied_table, report_applied
from homeport.cli.live import LiveReport, Where, apply_to_cluster, live_table
from homeport.cli.output import Form, render
from homeport.cli.progress import watching
from homeport.cli.registry_options import RegistryOptions
from homeport.errors import UsageError
from homeport.mirror.kept import KeptManifests
from homeport.mirror.spool import Spool
from homeport.workflow.apply import apply_job
from homeport.workflow.config import load_config
from homeport.workflow.job import read_job


class _Both(msgspec.Struct, frozen=True):
    job: ApplyReport
    cluster: LiveReport


def apply(
    file: Path = Path("homeport.yaml"),
    /,
    *,
    cluster: Annotated[bool, Parameter(negative="")] = False,
    context: str | None = None,
    namespace: Annotated[tuple[str, ...], Parameter(name=["--namespace", "-n"], negative="")] = (),
    record: str | None = None,
    take_over: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    hand_over: Path | None = None,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    locked: Annotated[bool, Parameter(negative="")] = False,
    output: Annotated[Form, Parameter(name=["--output", "-o"])] = "table",
    registries: RegistryOptions = RegistryOptions(),  # noqa: B008  # frozen; cyclopts reads options from the default
) -> int:
    """Do the whole job of homeport.yaml: bring the images, write manifests and pull secret, prove it.

    Doing it again does nothing, and an interrupted job goes on where it stopped. The digests of the images are kept in
    homeport.lock beside the file. Manifests are written only when every image is at the target.

    With --cluster, the live objects that name these images are pointed at the target as well, one after the other, each until it
    runs; `homeport rollback` takes it back. What Helm, Argo CD, Flux, OLM or an operator decides is left, and it is said where
    the change belongs; --hand-over writes it.

    Args:
        file: The configuration.
        cluster: Change the live cluster, too.
        context: The kubeconfig's context.
        namespace: A namespace of the cluster, by default those of pullSecret.namespaces; may be repeated.
        record: The namespace that keeps what was changed, by default the first of pullSecret.namespaces, or of -n without these.
        take_over: Take fields over from this field manager, which the report names as the one that sets them; may be repeated.
        hand_over: Write what Helm (values), Flux, Argo CD (patches) and OLM are to change to files in this folder, also with
            --dry-run. Reads the Secrets in which Helm keeps releases.
        dry_run: Say what would change in the cluster, tried by the API server; change nothing anywhere.
        locked: Keep to homeport.lock: refuse tags that have moved since, and ask sources only for what the target lacks.
        output: How the report is written to stdout: table, json or yaml.
        registries: How registries are reached.
    """
    where = Where(context, namespace, record, take_over, hand_over)
    _check(where, cluster=cluster, dry_run=dry_run)
    config = load_config(file)
    job = read_job(config)
    if dry_run:
        with with_config(registries, config).open() as opened:
            live = apply_to_cluster(job, opened, where, dry_run=True)
        print(render(live, output, live_table(live, dry_run=True)))
        return WRONG if live.left or live.errors else DONE
    with watching() as watcher, with_config(registries, config).open(watcher.waits) as opened:
        applied = apply_job(job, opened, watcher, locked=locked, kept=KeptManifests.of_user(), spool=Spool.of_user())
    report = report_applied(job, applied)
    whole = applied.is_whole and job.is_clear
    if not cluster or applied.mirror.failed:
        print(render(report, output, applied_table(report, job)))
        return DONE if whole else WRONG
    with with_config(registries, config).open() as opened:
        live = apply_to_cluster(job, opened, where, dry_run=False)
    written = f"{applied_table(report, job)}\n\n{live_table(live, dry_run=False)}"
    print(render(_Both(report, live), output, written))
    return DONE if whole and not (live.failed or live.left or live.errors) else WRONG


def _check(where: Where, *, cluster: bool, dry_run: bool) -> None:
    if not cluster and where != Where():
        options = "--context, --namespace, --record, --take-over and --hand-over"
        raise UsageError(f"{options} belong to --cluster", hint="Add --cluster.")
    if dry_run and not cluster:
        raise UsageError("--dry-run belongs to --cluster", hint="`homeport plan` shows what apply would do.")
