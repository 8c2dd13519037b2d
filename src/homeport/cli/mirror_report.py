"""What a mirror did, or would do, as a report."""

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import add

import msgspec

from homeport.cli.output import columns, count
from homeport.cli.progress import shown_bytes
from homeport.cli.quota_report import Quota, quota_lines, report_quotas
from homeport.mapping import Mapping, Target
from homeport.mirror.expected import Expected
from homeport.mirror.plan import Bound, ImagePlan, Plan, Wanted
from homeport.mirror.result import ImageResult, MirrorResult
from homeport.reference import Reference

_OPEN = "its tag comes from elsewhere, an operator's default: none is guessed"
_OPEN_HINT = "Name the image with its tag; `homeport redis-enterprise images OPERATOR` lists those of Redis Enterprise."


class Image(msgspec.Struct, frozen=True, omit_defaults=True):
    """One image in a report; `rebuilt` is the digest at the target of an index that was made anew for it."""

    source: str
    target: str
    digest: str | None
    status: str
    error: str = ""
    hint: str = ""
    note: str = ""
    rebuilt: str = ""


class Requests(msgspec.Struct, frozen=True):
    """Requests at either side."""

    source: int | Bound
    target: int | Bound


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was done, or would be: then numbers are bounds, `high` null where nothing bounds them, and pull limits are told."""

    images: list[Image]
    requests: Requests
    counted_pulls: int | Bound
    bytes: int | Bound
    quotas: list[Quota] = []


def failures(report: Report) -> list[Image]:
    """Return the images that are not at the target."""
    return [image for image in report.images if image.status == "failed"]


def joined(reports: Sequence[Report]) -> Report:
    """Report what was done for several as one."""
    return Report(
        images=[image for report in reports for image in report.images],
        requests=Requests(
            _sum(report.requests.source for report in reports), _sum(report.requests.target for report in reports)
        ),
        counted_pulls=_sum(report.counted_pulls for report in reports),
        bytes=_sum(report.bytes for report in reports),
        quotas=[quota for report in reports for quota in report.quotas],
    )


def report_result(result: MirrorResult, refused: Sequence[Image] = ()) -> Report:
    """Report what was done; `refused` are images that could not be asked for."""
    traffic = result.traffic
    return Report(
        images=[*map(_image, result.images), *refused],
        requests=Requests(traffic.source, traffic.target),
        counted_pulls=traffic.counted_pulls,
        bytes=traffic.bytes,
    )


def report_plan(plan: Plan, refused: Sequence[Image] = (), expected: Iterable[Expected] = ()) -> Report:
    """Report what would be done; `refused` are images that cannot be asked for, `expected` what limited registries count."""
    cost = plan.cost
    return Report(
        images=[*map(_planned_image, plan.images), *refused],
        requests=Requests(cost.source, cost.target),
        counted_pulls=cost.counted_pulls,
        bytes=cost.bytes,
        quotas=report_quotas(expected),
    )


def _sum(numbers: Iterable[int | Bound]) -> int | Bound:
    numbers = list(numbers)
    if all(isinstance(number, int) for number in numbers):
        return sum(number for number in numbers if isinstance(number, int))
    return reduce(add, (Bound.exactly(number) if isinstance(number, int) else number for number in numbers))


def _image(result: ImageResult) -> Image:
    wanted = result.wanted
    return Image(
        str(wanted.source),
        str(wanted.target),
        result.digest,
        result.status,
        result.error,
        result.hint,
        result.note,
        result.rebuilt,
    )


def _planned_image(plan: ImagePlan) -> Image:
    seen, wanted = plan.seen, plan.seen.wanted
    return Image(str(wanted.source), str(wanted.target), seen.digest, plan.status, seen.error, seen.hint, seen.note)


def refused(references: Sequence[Reference], mapping: Mapping) -> list[Image]:
    """An image whose tag is not known cannot be brought; the others are not kept from it."""
    wanted = (Wanted(reference, mapping.relocate(reference)) for reference in dict.fromkeys(references))
    return [
        Image(str(each.source), str(each.target), None, "failed", f"{each.source}: {_OPEN}", _OPEN_HINT)
        for each in wanted
    ]


def report_table(report: Report, target: Target | str) -> str:
    """Write a report for people."""
    rows = [(image.status, image.source, (image.digest or "")[:19]) for image in report.images]
    lines = columns([("STATUS", "IMAGE", "DIGEST"), *rows])
    lines += [f"note: {image.source}: {image.note}" for image in report.images if image.note]
    for error, hint in dict.fromkeys((image.error, image.hint) for image in report.images if image.error):
        lines += ["", f"error: {error}", *([f"  {hint}"] if hint else [])]
    lines += ["", _summary(report, target)]
    return "\n".join([*lines, *(line for quota in report.quotas for line in quota_lines(quota))])


def _summary(report: Report, target: Target | str) -> str:
    statuses = [image.status for image in report.images]
    tally = ", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses)) or "no images"
    return (
        f"{target}: {tally}; {shown_amount(report.bytes)}; {_number(report.requests.source, 'request')} at the source, "
        f"{report.requests.target} at the target; {_number(report.counted_pulls, 'counted pull')}"
    )


def _number(number: int | Bound, noun: str) -> str:
    return count(number, noun) if isinstance(number, int) else f"{number} {noun}s"


def shown_amount(amount: int | Bound) -> str:
    """Write bytes for people."""
    if isinstance(amount, int):
        return shown_bytes(amount)
    low = shown_bytes(amount.low)
    if amount.high is None:
        return f"at least {low}" if amount.low else "size unknown"
    return low if amount.low == amount.high else f"{low} to {shown_bytes(amount.high)}"
