"""`homeport scan`: find where images come from."""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from homeport import __version__
from homeport.applications.registry import KNOWLEDGE, learn_all
from homeport.cli.app import DONE, NOT_STARTED, WRONG
from homeport.cli.cluster_options import ClusterOptions
from homeport.cli.output import render
from homeport.cli.packaging_options import PackagingOptions
from homeport.cli.scan_table import By, table
from homeport.cli.sources import SourceName, check_registry, read_sources
from homeport.discovery.cyclonedx import cyclonedx_of
from homeport.discovery.findings import Finding, Scan, Unresolved
from homeport.discovery.inputs import MAX_SIZE, Source
from homeport.discovery.knowledge import Knowledge
from homeport.discovery.mirror_sets import mirror_rules, mirrored
from homeport.discovery.report import Report, names_of, only, report_of
from homeport.discovery.rules import Rules, read_rules
from homeport.discovery.scan import scan_source
from homeport.discovery.schemas import learn
from homeport.discovery.secrets import scan_secrets
from homeport.errors import InputError, UsageError
from homeport.reference import DOCKER_HUB

if TYPE_CHECKING:
    from homeport.cluster.scan import LiveScan

Form = Literal["table", "json", "yaml", "names", "cyclonedx"]


def scan(
    *sources: SourceName,
    output: Annotated[Form, Parameter(name=["--output", "-o"])] = "table",
    by: By = "registry",
    all_: Annotated[bool, Parameter(name="--all", negative="")] = False,
    why: str | None = None,
    rules: Annotated[list[Path] | None, Parameter(negative="")] = None,
    crds: Annotated[list[str] | None, Parameter(negative="")] = None,
    decode_secrets: Annotated[bool, Parameter(negative="")] = False,
    strict: Annotated[bool, Parameter(negative="")] = False,
    default_registry: str = DOCKER_HUB,
    max_size: int = MAX_SIZE,
    packaging: PackagingOptions = PackagingOptions(),  # noqa: B008  # frozen; cyclopts reads options from the default
    live: ClusterOptions = ClusterOptions(),  # noqa: B008  # frozen; cyclopts reads options from the default
) -> int:
    """Find where images come from: manifests or a live cluster, grouped by registry.

    Args:
        sources: Manifests: files, folders (*.yaml, *.yml, *.json in them and below), or - for stdin.
        output: table, json, yaml, cyclonedx, or names: one a line, `open: REPOSITORY` where the tag comes from elsewhere.
        by: How the table is grouped: registry, namespace, owner (what makes the pods, and who decides), or node.
        all_: Show what is uncertain, too, apart from the rest: examples, texts that only look a little like a name.
        why: Show only where this image is named, in any spelling; a repository stands for all its tags. Exit code 1 if nowhere.
        rules: A file of rules of your own; may be given again. docs/discovery.md describes them.
        crds: CustomResourceDefinitions to learn fields from, a file or folder, beside those among the manifests.
        decode_secrets: Look into the base64 `data` of Secrets, too; nothing of it but names of images is shown.
        strict: Stop with exit code 2 at the first input that cannot be read.
        default_registry: Where names without a registry come from.
        max_size: The largest file to read, in bytes.
        packaging: How charts are rendered.
        live: Which clusters are looked at, and what of them.
    """
    check_registry(default_registry)
    if not sources and not live.cluster:
        raise UsageError("nothing to scan", hint="Name files or folders, - for stdin, or --cluster.")
    live.check()
    own = Knowledge(rules=read_own_rules(rules or ()))
    read, errors = read_sources(sources, max_size, packaging)
    schemas, more_errors = read_sources(crds or (), max_size)
    errors += more_errors
    if strict and errors:
        raise UsageError(str(errors[0]), hint=errors[0].hint)
    own += Knowledge(rules=learn([*schemas, *read]))
    found = _scan_all(read, KNOWLEDGE + own, default_registry)
    if strict and found.errors:
        raise UsageError(found.errors[0])
    vague = found.unresolved or any(finding.open for finding in found.findings)
    if vague and (learned := learn_all(found.findings)).operators:
        # The operator among the inputs tells what clusters beside it pull unnamed, and by which tag.
        found = _scan_all(read, learned.knowledge + own, default_registry)
    if decode_secrets:
        found += Scan.joined(scan_secrets(source, KNOWLEDGE + own, default_registry) for source in read)
    found += Scan(errors=tuple(map(str, errors)))
    broken = len(found.errors) >= len(errors) + len(read)
    clusters = live.scan(KNOWLEDGE + own, default_registry, _learner(own)) if live.cluster else None
    if clusters:
        found += clusters.scan
    if why is not None:
        found = only(found, why)
        all_ = True
    mirrors = mirrored(found.findings, (it for one in read for it in mirror_rules(one)))
    report = report_of(found, uncertain=all_, mirrored=mirrors)
    _show(found, report, clusters, output, by, why=why is not None, partial=live.partial)
    if broken and not live.cluster:
        return NOT_STARTED
    if why is not None:
        return DONE if found.findings else WRONG
    return WRONG if found.errors or found.unresolved else DONE


def read_own_rules(files: Sequence[Path]) -> Rules:
    """Read a person's rules; raises UsageError where one cannot be read, since the scan would be another."""
    rules = Rules()
    for file in files:
        try:
            rules += read_rules(file.read_text(encoding="utf-8"), str(file))
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{file}: the rules cannot be read: {error}") from error
        except InputError as error:
            raise UsageError(error.message, hint=error.hint) from error
    return rules


def _scan_all(sources: Iterable[Source], rules: Knowledge, default_registry: str) -> Scan:
    return Scan.joined(scan_source(source, rules, default_registry) for source in sources)


def _learner(own: Knowledge) -> Callable[[Iterable[Finding]], Knowledge]:
    """Return what makes the rules for custom resources from what a cluster runs."""

    def learn(findings: Iterable[Finding]) -> Knowledge:
        return learn_all(findings).knowledge + own

    return learn


def _show(
    found: Scan, report: Report, clusters: "LiveScan | None", output: Form, by: By, *, why: bool, partial: bool
) -> None:
    unknown: tuple[str, ...] = ()
    if output == "names":
        written = "\n".join(names_of(found))
    else:
        if clusters:
            from homeport.cluster.report import live_report_of

            report = live = live_report_of(report, clusters, partial=partial or why)
            unknown = live.unknown
        if output == "cyclonedx":
            written = json.dumps(cyclonedx_of(report, __version__), indent=2)
        else:
            written = render(report, output, "\n".join(table(report, by, why=why)) if output == "table" else "")
    if written:
        print(written)
    if output in {"names", "table"}:
        for place in found.unresolved:
            print(describe(place), file=sys.stderr)
        for sentence in unknown:
            print(f"unknown: {sentence}", file=sys.stderr)
        for error in found.errors:
            print(f"error: {error}", file=sys.stderr)


def describe(place: Unresolved) -> str:
    """Say in one line what could not be read where."""
    text = f" {place.text!r}" if place.text else ""
    where = f"{place.source}:{place.line}" if place.line > 0 else place.source
    return f"unresolved: {where}: {place.object} {place.path}{text}: {place.reason}"
