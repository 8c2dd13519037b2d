"""What a homeport.yaml would do, or did, as a report."""

from collections.abc import Iterator

import msgspec

from homeport.cli.mirror_report import Report, report_plan, report_result, report_table
from homeport.cli.output import count
from homeport.cli.quota_report import Quota, quota_lines, report_quotas
from homeport.cli.scan import describe
from homeport.mirror.plan import Bound
from homeport.workflow.apply import Applied
from homeport.workflow.job import Job, JobPlan
from homeport.workflow.verify import Verdict


class Edited(msgspec.Struct, frozen=True):
    """A manifest, where it goes, and what changes in it; `status` tells whether that file is there already."""

    source: str
    file: str
    status: str
    edits: list[str]
    insertions: list[str]


class NodePulls(msgspec.Struct, frozen=True):
    """What each node that holds none of them pulls from a registry at most; `counted_pulls` of a registry that limits pulls."""

    registry: str
    images: int
    counted_pulls: Bound | None = None


class PlanReport(msgspec.Struct, frozen=True):
    """All that a plan says."""

    target: str
    mirror: Report
    quotas: list[Quota]
    each_node: list[NodePulls]
    manifests: list[Edited]
    pull_secret: str | None
    namespaces: tuple[str, ...]
    open: list[str]
    unresolved: list[str]
    errors: list[str]


class ApplyReport(msgspec.Struct, frozen=True):
    """All that was done. `verdicts` is null where an image failed, so that nothing was pointed at the target."""

    target: str
    mirror: Report
    written: list[str]
    verdicts: tuple[Verdict, ...] | None
    open: list[str]
    unresolved: list[str]
    errors: list[str]


def report_job_plan(plan: JobPlan) -> PlanReport:
    """Report what would be done."""
    job = plan.job
    secret = job.config.pull_secret
    return PlanReport(
        target=str(job.mapping.target),
        mirror=report_plan(plan.mirror),
        quotas=report_quotas(plan.quotas),
        each_node=_each_node(plan),
        manifests=list(_edited(job)),
        pull_secret=secret.name if secret else None,
        namespaces=secret.namespaces if secret else (),
        open=[str(reference) for reference in job.open],
        unresolved=_unresolved(job),
        errors=list(job.errors),
    )


def report_applied(job: Job, applied: Applied) -> ApplyReport:
    """Report what was done."""
    return ApplyReport(
        target=str(job.mapping.target),
        mirror=report_result(applied.mirror),
        written=[str(path) for path in applied.written],
        verdicts=applied.verification.verdicts if applied.verification else None,
        open=[str(reference) for reference in job.open],
        unresolved=_unresolved(job),
        errors=[*job.errors, *(applied.verification.errors if applied.verification else ())],
    )


def plan_table(report: PlanReport, plan: JobPlan) -> str:
    """Write a plan for people."""
    lines = [report_table(report.mirror, plan.job.mapping.target)]
    lines += [line for quota in report.quotas for line in quota_lines(quota)]
    lines += [f"each node that holds none pulls {_node_words(it)}" for it in report.each_node]
    for manifest in report.manifests:
        changes = f"{count(len(manifest.edits), 'name')} changed, {len(manifest.insertions)} added"
        lines += ["", f"{manifest.source} -> {manifest.file} ({manifest.status}): {changes}"]
        lines += [f"  {change}" for change in (*manifest.edits, *manifest.insertions)]
    if report.pull_secret:
        lines += ["", f"pull secret {report.pull_secret} for {', '.join(report.namespaces)}"]
    return "\n".join([*lines, *_remarks(report)])


def applied_table(report: ApplyReport, job: Job) -> str:
    """Write what was done for people."""
    lines = [report_table(report.mirror, job.mapping.target)]
    if report.verdicts is None:
        lines += ["", "No manifest was written, because an image is missing; run the same command again to go on."]
        return "\n".join([*lines, *_remarks(report)])
    lines += ["", *(f"wrote {file}" for file in report.written)]
    if not report.written:
        lines += ["nothing to write: manifests, pull secret and lock are as they should be"]
    for verdict in report.verdicts:
        if verdict.status != "proven":
            lines += [f"{verdict.status}: {verdict.image}", *(f"  {reason}" for reason in verdict.reasons)]
    proven = sum(verdict.status == "proven" for verdict in report.verdicts)
    lines += [f"verified: {proven} of {count(len(report.verdicts), 'image')} proven at {report.target}"]
    return "\n".join([*lines, *_remarks(report)])


def _each_node(plan: JobPlan) -> list[NodePulls]:
    limited = {expected.registry for expected in plan.quotas}
    return [
        NodePulls(cost.registry, cost.images, cost.counted if cost.registry in limited else None) for cost in plan.node
    ]


def _node_words(pulls: NodePulls) -> str:
    counted = f", {pulls.counted_pulls} counted pulls" if pulls.counted_pulls else ""
    return f"{count(pulls.images, 'image')} from {pulls.registry}{counted}"


def _unresolved(job: Job) -> list[str]:
    places = [describe(place) for place in job.unresolved]
    return places + [f"left: {word.source}:{word.line}: {word.text}: {word.reason}" for word in job.left]


def _edited(job: Job) -> Iterator[Edited]:
    pending = set(job.changed_files)
    for path, file in job.files.items():
        yield Edited(
            file.source.name,
            str(path),
            "to be written" if path in pending else "as it should be",
            [f"line {edit.line}: {edit.old} -> {edit.new}" for edit in file.result.edits],
            [
                f"line {added.line}: added {added.path}: {added.text}  ({added.object})"
                for added in file.result.insertions
            ],
        )


def _remarks(report: PlanReport | ApplyReport) -> list[str]:
    lines = [f"open: {name}: its tag comes from elsewhere and is not known; it is not brought" for name in report.open]
    lines += report.unresolved
    lines += [f"error: {error}" for error in report.errors]
    return ["", *lines] if lines else []
