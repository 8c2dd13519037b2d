"""`homeport scan`: find where images come from."""

import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Annotated, Literal

from cyclopts import Parameter

from homeport.applications.registry import KNOWLEDGE, learn_all
from homeport.cli.app import DONE, NOT_STARTED, WRONG
from homeport.cli.output import columns, count, render
from homeport.cli.sources import SourceName, check_registry, read_sources
from homeport.discovery.findings import Scan, Unresolved
from homeport.discovery.inputs import MAX_SIZE, Source
from homeport.discovery.knowledge import Knowledge
from homeport.discovery.report import Image, Report, names_of, report_of
from homeport.discovery.scan import scan_source
from homeport.errors import UsageError
from homeport.reference import DOCKER_HUB


def scan(
    *sources: SourceName,
    cluster: Annotated[bool, Parameter(negative="")] = False,
    context: str | None = None,
    namespace: Annotated[list[str] | None, Parameter(name=["--namespace", "-n"], negative="")] = None,
    output: Annotated[Literal["table", "json", "yaml", "names"], Parameter(name=["--output", "-o"])] = "table",
    default_registry: str = DOCKER_HUB,
    max_size: int = MAX_SIZE,
) -> int:
    """Find where images come from: manifests or a live cluster, grouped by registry.

    Args:
        sources: Manifests: files, folders (*.yaml, *.yml, *.json in them and below), or - for stdin.
        cluster: Look at a live cluster: all its pods, workloads that run no pod, custom resources.
        context: The kubeconfig's context to use; the current one otherwise.
        namespace: Only this namespace; may be given again.
        output: table, json, yaml, or names: one reference a line, `open: REPOSITORY` where the tag comes from elsewhere.
        default_registry: Where names without a registry come from.
        max_size: The largest file to read, in bytes.
    """
    check_registry(default_registry)
    if not sources and not cluster:
        raise UsageError("nothing to scan", hint="Name files or folders, - for stdin, or --cluster.")
    if (context or namespace) and not cluster:
        raise UsageError("--context and --namespace are about a cluster", hint="Add --cluster.")
    read, errors = read_sources(sources, max_size)
    found = _scan_all(read, KNOWLEDGE, default_registry)
    if found.unresolved and (learned := learn_all(found.findings)).operators:
        # The operator among the inputs tells what clusters beside it pull unnamed.
        found = _scan_all(read, learned.knowledge, default_registry)
    found += Scan(errors=tuple(map(str, errors)))
    broken = len(found.errors) >= len(errors) + len(read)
    if cluster:
        from homeport.cluster import scan_cluster

        found += scan_cluster(context, namespace or (), KNOWLEDGE, default_registry)
    _show(found, output)
    if broken and not cluster:
        return NOT_STARTED
    return WRONG if found.errors or found.unresolved else DONE


def _scan_all(sources: Iterable[Source], rules: Knowledge, default_registry: str) -> Scan:
    return Scan.joined(scan_source(source, rules, default_registry) for source in sources)


def _show(found: Scan, output: Literal["table", "json", "yaml", "names"]) -> None:
    if output == "names":
        written = "\n".join(names_of(found))
    else:
        report = report_of(found)
        written = render(report, output, "\n".join(_table(report)))
    if written:
        print(written)
    if output in {"names", "table"}:
        for place in found.unresolved:
            print(describe(place), file=sys.stderr)
        for error in found.errors:
            print(f"error: {error}", file=sys.stderr)


def describe(place: Unresolved) -> str:
    """Say in one line what could not be read where."""
    text = f" {place.text!r}" if place.text else ""
    where = f"{place.source}:{place.line}" if place.line > 0 else place.source
    return f"unresolved: {where}: {place.object} {place.path}{text}: {place.reason}"


def _table(report: Report) -> Iterator[str]:
    for registry, images in groupby(report.images, key=lambda image: image.registry):
        group = list(images)
        yield f"{registry}  ({count(len(group), 'image')})"
        for image in group:
            yield f"  {_name(image)}"
            yield from columns(
                [
                    (f"{it.source}:{it.line}" if it.line > 0 else it.source, it.object, it.path, f"({it.how})")
                    for it in image.findings
                ],
                indent="    ",
            )
    if not report.images:
        yield "no image found"
        return
    registries = len({image.registry for image in report.images})
    places = sum(len(image.findings) for image in report.images)
    summary = f"{count(len(report.images), 'image')} from {_registries(registries)}, named in {count(places, 'place')}"
    opened = sum(image.open for image in report.images)
    yield (
        summary
        + (f"; {opened} with an open tag" if opened else "")
        + (f"; {count(len(report.unresolved), 'place')} unresolved" if report.unresolved else "")
    )


def _registries(number: int) -> str:
    return "1 registry" if number == 1 else f"{number} registries"


def _name(image: Image) -> str:
    return f"{image.reference}  (open: its tag comes from elsewhere)" if image.open else image.reference
