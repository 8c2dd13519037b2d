"""`homeport verify`: prove that all is at the registry and nothing is pulled from elsewhere."""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from cyclopts import Parameter

from homeport.applications.application import Versions
from homeport.cli.app import DONE, WRONG
from homeport.cli.mapping_options import MappingOptions
from homeport.cli.output import Form, columns, count, render
from homeport.cli.packaging_options import PackagingOptions
from homeport.cli.registry_options import RegistryOptions
from homeport.cli.rule_options import RuleOptions
from homeport.cli.sources import SourceName, check_registry, read_sources
from homeport.cli.verify_forms import junit, sarif
from homeport.cli.verify_live import LiveOptions, Witnessed, witnessed_lines
from homeport.discovery.findings import Finding
from homeport.discovery.inputs import MAX_SIZE, read_inputs
from homeport.discovery.knowledge import Knowledge
from homeport.errors import UsageError
from homeport.mirror.lock import Lock
from homeport.reference import DOCKER_HUB, is_host
from homeport.workflow.drift import Drift, Earlier, with_drift
from homeport.workflow.pulls import Pulls, read_pulls
from homeport.workflow.rewrite import learner
from homeport.workflow.verify import Origin, Status, Verdict
from homeport.workflow.verify import verify as prove

_MEANINGS: dict[Status, str] = {
    "elsewhere": "pulled from elsewhere",
    "missing": "missing",
    "differs": "different",
    "unpullable": "not pullable",
    "unknown": "unknown",
    "proven": "proven",
}


class _Report(msgspec.Struct, frozen=True, omit_defaults=True):
    registry: str
    images: tuple[Verdict, ...]
    errors: tuple[str, ...]
    cluster: Witnessed | None = None
    drift: Drift | None = None


def verify(
    *files: SourceName,
    registry: str,
    secret: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    lock: Path | None = None,
    source_registry: str | None = None,
    since: Path | None = None,
    operator: str | None = None,
    redis: str | None = None,
    default_registry: str = DOCKER_HUB,
    output: Annotated[Form | Literal["junit", "sarif"], Parameter(name=["--output", "-o"])] = "table",
    finding: RuleOptions = RuleOptions(),  # noqa: B008  # frozen; cyclopts reads options from the default
    packaging: PackagingOptions = PackagingOptions(),  # noqa: B008  # frozen; cyclopts reads options from the default
    names: MappingOptions = MappingOptions(),  # noqa: B008  # frozen; cyclopts reads options from the default
    registries: RegistryOptions = RegistryOptions(),  # noqa: B008  # frozen; cyclopts reads options from the default
    live: LiveOptions = LiveOptions(),  # noqa: B008  # frozen; cyclopts reads options from the default
) -> int:
    """Prove that every image is at the registry, unchanged, pullable with its pull secret alone, and none comes from elsewhere.

    Stdout names each image with which something is wrong, one a line; the exit code is then 1. The report is on stderr.

    Args:
        files: Manifests: files, folders, - for stdin.
        registry: Where all images are to come from, REGISTRY[/PATH].
        secret: A file with pull secrets that the manifests name; may be repeated.
        lock: Compare digests with this homeport.lock.
        source_registry: Compare digests with this registry's, where the lock has none: docker.io for images of Docker Hub.
        since: An earlier report (-o json): show what has changed since. A name that stands for another digest now is wrong, unless
            the lock knows better.
        operator: The tag of the Redis Enterprise operator, where the manifests do not name one.
        redis: The tag of Redis Enterprise itself, where the manifests leave it out.
        default_registry: Where names without a registry come from.
        output: table, json, yaml, junit or sarif; all but the table write the whole report to stdout.
        finding: How images are found.
        packaging: How charts are rendered.
        names: What images are called at the target, as they were for mirror and relocate.
        registries: How registries are reached.
        live: Which cluster is verified, and how.
    """
    mapping = names.mapping(registry)
    check_registry(default_registry)
    live.check(files)
    if source_registry is not None and not is_host(source_registry):
        raise UsageError(
            f"--source-registry {source_registry!r} is not a registry", hint="Write host[:port], for example docker.io."
        )
    earlier = Earlier.read(since, str(mapping.target)) if since else None
    origin = Origin.of(mapping, Lock.read(lock) if lock else None, source_registry or "")

    learn = learner(Versions(operator, redis), mapping.target.registry)
    witnessed: Witnessed | None = None
    with registries.open() as opened:
        if live.cluster:
            verification, witnessed = live.verify(mapping, opened, origin, learn, default_registry)
        else:
            pulls = _written(files, secret, learn, default_registry, packaging=packaging, finding=finding)
            verification = prove(pulls, mapping, opened, origin)
    drift = earlier.drift(verification.verdicts) if earlier else None
    if drift:
        verification = with_drift(verification, drift, origin)
    report = _Report(str(mapping.target), verification.verdicts, verification.errors, witnessed, drift)
    _print(report, verification.wrong, output)
    return WRONG if verification.wrong or verification.errors else DONE


def _written(
    files: Sequence[str],
    secrets: Sequence[str],
    learn: Callable[[Iterable[Finding]], Knowledge],
    default_registry: str,
    *,
    packaging: PackagingOptions,
    finding: RuleOptions,
) -> Pulls:
    """Read manifests; raises UsageError where there is nothing to verify in them."""
    sources, errors = read_sources(files, MAX_SIZE, packaging)
    extra, secret_errors = read_inputs(secrets, stdin=sys.stdin.buffer)
    if secret_errors:
        raise UsageError(f"--secret {secret_errors[0]}", hint=secret_errors[0].hint)
    taught, unread = finding.taught(sources, MAX_SIZE)
    errors += unread
    read = read_pulls(sources, learn, secrets=extra, default_registry=default_registry, taught=taught)
    pulls = Pulls.joined((Pulls(errors=tuple(map(str, errors))), read))
    if not (pulls.pulls or pulls.unnamed or pulls.unresolved):
        reason = "; ".join(pulls.errors) or f"no image is named in {', '.join(files)}"
        raise UsageError(reason, hint="Name the manifests that are applied to the cluster.")
    return pulls


def _print(report: _Report, wrong: Iterable[str], form: Form | Literal["junit", "sarif"]) -> None:
    if form == "junit":
        print(junit(report.registry, report.images, report.errors))
        return
    if form == "sarif":
        print(sarif(report.registry, report.images, report.errors, _MEANINGS))
        return
    if form != "table":
        print(render(report, form, ""))
        return
    print(_table(report), file=sys.stderr)
    for image in wrong:
        print(image)


def _table(report: _Report) -> str:
    lines = columns([("STATUS", "IMAGE"), *((verdict.status, verdict.image) for verdict in report.images)])
    alike: dict[tuple[Status, tuple[str, ...]], list[Verdict]] = {}
    for verdict in report.images:
        alike.setdefault((verdict.status, verdict.reasons), []).append(verdict)
    for (status, reasons), verdicts in alike.items():
        lines += ["", *(f"{_MEANINGS[status]}: {reason}" for reason in reasons)] if reasons else []
        for verdict in verdicts if reasons else ():
            lines += [f"  {verdict.image}", *(f"    {place}" for place in verdict.places)]
    lines += witnessed_lines(report.cluster) if report.cluster else []
    lines += ["", *_changes(report.drift)] if report.drift else []
    lines += [f"error: {error}" for error in report.errors]
    return "\n".join([*lines, "", _summary(report)])


def _changes(drift: Drift) -> list[str]:
    """Write what has changed since the last report."""
    lines = [f"new since the last report: {image}" for image in drift.appeared]
    lines += [f"gone since the last report: {image}" for image in drift.gone]
    lines += [f"moved since the last report: {it.image}: {it.before} -> {it.now}" for it in drift.moved]
    lines += [
        f"changed since the last report: {it.image}: {', '.join(it.before)} -> {', '.join(it.now)}"
        for it in drift.turned
    ]
    return lines or ["nothing has changed since the last report"]


def _summary(report: _Report) -> str:
    statuses = Counter(verdict.status for verdict in report.images)
    told = ", ".join(f"{statuses[status]} {words}" for status, words in _MEANINGS.items() if statuses[status])
    images = count(len({verdict.image for verdict in report.images}), "image")
    return f"{report.registry}: {images}: {told or 'none'}"
