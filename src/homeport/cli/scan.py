"""`homeport scan`: find where images come from."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from homeport import __version__
from homeport.applications.registry import KNOWLEDGE, learn_all
from homeport.cli.app import DONE, NOT_STARTED, WRONG
from homeport.cli.output import columns, count, render
from homeport.cli.packaging_options import PackagingOptions
from homeport.cli.sources import SourceName, check_registry, read_sources
from homeport.discovery.cyclonedx import cyclonedx_of
from homeport.discovery.findings import Scan, Unresolved
from homeport.discovery.inputs import MAX_SIZE, Source
from homeport.discovery.knowledge import Knowledge
from homeport.discovery.mirror_sets import Mirrored, mirror_rules, mirrored
from homeport.discovery.report import Image, Report, names_of, only, report_of
from homeport.discovery.rules import Rules, read_rules
from homeport.discovery.scan import scan_source
from homeport.discovery.schemas import learn
from homeport.discovery.secrets import scan_secrets
from homeport.errors import InputError, UsageError
from homeport.reference import DOCKER_HUB

Form = Literal["table", "json", "yaml", "names", "cyclonedx"]


def scan(
    *sources: SourceName,
    cluster: Annotated[bool, Parameter(negative="")] = False,
    context: str | None = None,
    namespace: Annotated[list[str] | None, Parameter(name=["--namespace", "-n"], negative="")] = None,
    output: Annotated[Form, Parameter(name=["--output", "-o"])] = "table",
    all_: Annotated[bool, Parameter(name="--all", negative="")] = False,
    why: str | None = None,
    rules: Annotated[list[Path] | None, Parameter(negative="")] = None,
    crds: Annotated[list[str] | None, Parameter(negative="")] = None,
    decode_secrets: Annotated[bool, Parameter(negative="")] = False,
    strict: Annotated[bool, Parameter(negative="")] = False,
    default_registry: str = DOCKER_HUB,
    max_size: int = MAX_SIZE,
    packaging: PackagingOptions = PackagingOptions(),  # noqa: B008  # frozen; cyclopts reads options from the default
) -> int:
    """Find where images come from: manifests or a live cluster, grouped by registry.

    Args:
        sources: Manifests: files, folders (*.yaml, *.yml, *.json in them and below), or - for stdin.
        cluster: Look at a live cluster: all its pods, workloads that run no pod, custom resources.
        context: The kubeconfig's context to use; the current one otherwise.
        namespace: Only this namespace; may be given again.
        output: table, json, yaml, cyclonedx, or names: one a line, `open: REPOSITORY` where the tag comes from elsewhere.
        all_: Show what is uncertain, too, apart from the rest: examples, texts that only look a little like a name.
        why: Show only where this image is named, in any spelling; a repository stands for all its tags. Exit code 1 if nowhere.
        rules: A file of rules of your own; may be given again. docs/discovery.md describes them.
        crds: CustomResourceDefinitions to learn fields from, a file or folder, beside those among the manifests.
        decode_secrets: Look into the base64 `data` of Secrets, too; nothing of it but names of images is shown.
        strict: Stop with exit code 2 at the first input that cannot be read.
        default_registry: Where names without a registry come from.
        max_size: The largest file to read, in bytes.
        packaging: How charts are rendered.
    """
    check_registry(default_registry)
    if not sources and not cluster:
        raise UsageError("nothing to scan", hint="Name files or folders, - for stdin, or --cluster.")
    if (context or namespace) and not cluster:
        raise UsageError("--context and --namespace are about a cluster", hint="Add --cluster.")
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
    if found.unresolved and (learned := learn_all(found.findings)).operators:
        # The operator among the inputs tells what clusters beside it pull unnamed.
        found = _scan_all(read, learned.knowledge + own, default_registry)
    if decode_secrets:
        found += Scan.joined(scan_secrets(source, KNOWLEDGE + own, default_registry) for source in read)
    found += Scan(errors=tuple(map(str, errors)))
    broken = len(found.errors) >= len(errors) + len(read)
    if cluster:
        from homeport.cluster import scan_cluster

        found += scan_cluster(context, namespace or (), KNOWLEDGE + own, default_registry)
    if why is not None:
        found = only(found, why)
        all_ = True
    _show(
        found,
        output,
        uncertain=all_,
        mirrors=mirrored(found.findings, (it for one in read for it in mirror_rules(one))),
    )
    if broken and not cluster:
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


def _show(found: Scan, output: Form, *, uncertain: bool, mirrors: tuple[Mirrored, ...]) -> None:
    if output == "names":
        written = "\n".join(names_of(found))
    else:
        report = report_of(found, uncertain=uncertain, mirrored=mirrors)
        if output == "cyclonedx":
            written = json.dumps(cyclonedx_of(report, __version__), indent=2)
        else:
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
    yield from _images(report.images)
    if not report.images:
        yield "no image found"
    else:
        yield _summary(report)
    for spelling in report.spellings:
        yield f"written in several ways: {spelling.reference}: {', '.join(spelling.texts)}"
    for image in report.mirrored:
        fallback = "then from its source" if image.source_allowed else "never from its source"
        yield f"pulled by a mirror set: {image.reference}: {', '.join(image.mirrors)}, {fallback}  ({image.object})"
    if report.uncertain:
        yield ""
        yield "uncertain, and counted nowhere:"
        yield from _images(report.uncertain)


def _images(images: Sequence[Image]) -> Iterator[str]:
    for registry, each in groupby(images, key=lambda image: image.registry):
        group = list(each)
        yield f"{registry}  ({count(len(group), 'image')})"
        for image in group:
            yield f"  {_name(image)}"
            yield from columns(
                [
                    (
                        f"{it.source}:{it.line}" if it.line > 0 else it.source,
                        it.object,
                        it.path,
                        f"({it.how}, likely)" if it.sure == "likely" else f"({it.how})",
                    )
                    for it in image.findings
                ],
                indent="    ",
            )


def _summary(report: Report) -> str:
    registries = len({image.registry for image in report.images})
    places = sum(len(image.findings) for image in report.images)
    summary = f"{count(len(report.images), 'image')} from {_registries(registries)}, named in {count(places, 'place')}"
    opened = sum(image.open for image in report.images)
    return (
        summary
        + (f"; {opened} with an open tag" if opened else "")
        + (f"; {count(len(report.unresolved), 'place')} unresolved" if report.unresolved else "")
    )


def _registries(number: int) -> str:
    return "1 registry" if number == 1 else f"{number} registries"


def _name(image: Image) -> str:
    return f"{image.reference}  (open: its tag comes from elsewhere)" if image.open else image.reference
