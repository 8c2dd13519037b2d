"""`homeport mirror`: bring images to a registry."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from homeport.cli.app import DONE, NOT_STARTED, WRONG, complain
from homeport.cli.output import Form, columns, count, render
from homeport.cli.progress import shown_bytes, watching
from homeport.cli.references import Named, read_references
from homeport.cli.registry_options import RegistryOptions
from homeport.errors import CollisionError
from homeport.mapping import Mapping, Target
from homeport.mirror.executor import forecast
from homeport.mirror.executor import mirror as bring
from homeport.mirror.plan import Bound, ImagePlan, Plan, Wanted
from homeport.mirror.result import ImageResult, MirrorResult
from homeport.reference import Reference

_OPEN = "its tag comes from elsewhere, an operator's default: none is guessed"
_OPEN_HINT = "Name the image with the tag that its operator uses."


class _Image(msgspec.Struct, frozen=True, omit_defaults=True):
    """One image in a report."""

    source: str
    target: str
    digest: str | None
    status: str
    error: str = ""
    hint: str = ""
    note: str = ""


class _Requests(msgspec.Struct, frozen=True):
    source: int | Bound
    target: int | Bound


class _Report(msgspec.Struct, frozen=True):
    """What was done, or would be: then numbers are bounds, `high` null where nothing bounds them."""

    images: list[_Image]
    requests: _Requests
    counted_pulls: int | Bound
    bytes: int | Bound


def mirror(
    *references: Annotated[str, Parameter(allow_leading_hyphen=True)],
    to: str,
    from_scan: Annotated[Path | None, Parameter(allow_leading_hyphen=True)] = None,
    output: Annotated[Form, Parameter(name=["--output", "-o"])] = "table",
    dry_run: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    registries: RegistryOptions = RegistryOptions(),  # noqa: B008  # frozen; cyclopts reads options from the default
) -> int:
    """Bring images to a registry under the same tags and digests; what is there already costs no pull.

    Args:
        references: Images, as in nginx:1.27 or quay.io/org/app@sha256:...; - reads them from stdin, one a line.
        to: The target, REGISTRY[/PATH]; the source's registry is dropped from names, the path is kept.
        from_scan: Take the images of a report of `homeport scan -o json`; - reads it from stdin.
        output: How the report is written to stdout: table, json or yaml.
        dry_run: Only say what would be done and cost; asks by HEAD alone, which no registry counts as a pull.
        registries: How registries are reached.
    """
    mapping = Mapping(Target.parse(to))
    named = read_references(references, from_scan)
    for warning in named.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    try:
        report = (_forecast if dry_run else _run)(named, mapping, registries)
    except CollisionError as error:
        complain(error)
        return NOT_STARTED
    print(render(report, output, _table(report, mapping.target)))
    return WRONG if any(image.status == "failed" for image in report.images) else DONE


def _run(named: Named, mapping: Mapping, options: RegistryOptions) -> _Report:
    with watching() as watcher, options.open(watcher.waits) as registries:
        target = registries.client(mapping.target.registry)
        result = bring(named.references, mapping, registries.client, target, observer=watcher)
    return _reported(result, _refused(named.open, mapping))


def _forecast(named: Named, mapping: Mapping, options: RegistryOptions) -> _Report:
    with options.open() as registries:
        target = registries.client(mapping.target.registry)
        plan = forecast(named.references, mapping, registries.client, target)
    return _planned(plan, _refused(named.open, mapping))


def _reported(result: MirrorResult, refused: list[_Image]) -> _Report:
    traffic = result.traffic
    return _Report(
        images=[*map(_image, result.images), *refused],
        requests=_Requests(traffic.source, traffic.target),
        counted_pulls=traffic.counted_pulls,
        bytes=traffic.bytes,
    )


def _planned(plan: Plan, refused: list[_Image]) -> _Report:
    cost = plan.cost
    return _Report(
        images=[*map(_planned_image, plan.images), *refused],
        requests=_Requests(cost.source, cost.target),
        counted_pulls=cost.counted_pulls,
        bytes=cost.bytes,
    )


def _image(result: ImageResult) -> _Image:
    wanted = result.wanted
    return _Image(
        str(wanted.source), str(wanted.target), result.digest, result.status, result.error, result.hint, result.note
    )


def _planned_image(plan: ImagePlan) -> _Image:
    seen, wanted = plan.seen, plan.seen.wanted
    return _Image(str(wanted.source), str(wanted.target), seen.digest, plan.status, seen.error, seen.hint, seen.note)


def _refused(references: Sequence[Reference], mapping: Mapping) -> list[_Image]:
    """An image whose tag is not known cannot be brought; the others are not kept from it."""
    wanted = (Wanted(reference, mapping.relocate(reference)) for reference in dict.fromkeys(references))
    return [
        _Image(str(each.source), str(each.target), None, "failed", f"{each.source}: {_OPEN}", _OPEN_HINT)
        for each in wanted
    ]


def _table(report: _Report, target: Target) -> str:
    rows = [(image.status, image.source, (image.digest or "")[:19]) for image in report.images]
    lines = columns([("STATUS", "IMAGE", "DIGEST"), *rows])
    lines += [f"note: {image.source}: {image.note}" for image in report.images if image.note]
    for error, hint in dict.fromkeys((image.error, image.hint) for image in report.images if image.error):
        lines += ["", f"error: {error}", *([f"  {hint}"] if hint else [])]
    return "\n".join([*lines, "", _summary(report, target)])


def _summary(report: _Report, target: Target) -> str:
    statuses = [image.status for image in report.images]
    tally = ", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses)) or "no images"
    return (
        f"{target}: {tally}; {_amount(report.bytes)}; {_number(report.requests.source, 'request')} at the source, "
        f"{report.requests.target} at the target; {_number(report.counted_pulls, 'counted pull')}"
    )


def _number(number: int | Bound, noun: str) -> str:
    return count(number, noun) if isinstance(number, int) else f"{number} {noun}s"


def _amount(amount: int | Bound) -> str:
    if isinstance(amount, int):
        return shown_bytes(amount)
    low = shown_bytes(amount.low)
    if amount.high is None:
        return f"at least {low}" if amount.low else "size unknown"
    return low if amount.low == amount.high else f"{low} to {shown_bytes(amount.high)}"
