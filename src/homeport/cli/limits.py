"""`homeport limits`: the pull quota of Docker Hub, and what a mirror would count."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Parameter

from homeport.cli.app import DONE, WRONG
from homeport.cli.output import Form, columns, count, render
from homeport.cli.quota_report import describe_others, likely_words
from homeport.cli.references import Named, read_references
from homeport.cli.registry_options import RegistryOptions
from homeport.errors import HomeportError, UsageError
from homeport.mirror.expected import expect
from homeport.mirror.plan import Bound, Seen, Wanted, plan
from homeport.quota.forecast import Forecast, forecast
from homeport.quota.reading import Reading
from homeport.reference import DOCKER_HUB, Reference
from homeport.registry.session import Registries

if TYPE_CHECKING:
    from homeport.workflow.live_cost import ClusterCost

_PREVIEW = ("ratelimitpreview/test", "latest")
"""The image that Docker offers for this question (docs.docker.com, Docker Hub pull usage and limits)."""

_WHOSE = "here; nodes with an address or a login of their own have limits of their own"


class _Image(msgspec.Struct, frozen=True):
    """One image: whether a limit counts its pulls, and how many a mirror would make."""

    reference: str
    digest: str | None = None
    limited: bool = False
    counted_pulls: Bound = Bound()
    error: str = ""
    hint: str = ""


class _Report(msgspec.Struct, frozen=True):
    """The quota as it is now; `limit`, `remaining` and `window_hours` are null where there is no limit, or where it is unknown: an `error`.

    `likely` and `others` are what earlier runs saw (cli.quota_report).
    """

    registry: str
    identity: str
    source: str
    limit: int | None
    remaining: int | None
    window_hours: float | None
    images: list[_Image]
    counted_pulls: Bound
    fits: bool | None
    wait_seconds: float | None
    likely: int | None = None
    others: int = 0
    error: str = ""
    hint: str = ""
    cluster: "ClusterCost | None" = None


def limits(
    *references: str,
    cluster: Annotated[bool, Parameter(negative="")] = False,
    context: str | None = None,
    namespace: Annotated[tuple[str, ...], Parameter(name=["--namespace", "-n"], negative="")] = (),
    output: Annotated[Form, Parameter(name=["--output", "-o"])] = "table",
    registries: RegistryOptions = RegistryOptions(),  # noqa: B008  # frozen; cyclopts reads options from the default
) -> int:
    """Show Docker Hub's pull quota, and what a mirror of these images would count. Asking is free.

    Exits with 1 where an image cannot be asked for, or the quota is too small for all of them now.

    Args:
        references: Images, as in nginx:1.27; - reads them from stdin, one a line.
        cluster: Show what nodes of a live cluster pull when all its pods start again, and when all its nodes are new.
        context: The kubeconfig's context.
        namespace: A namespace of the cluster, all by default; may be repeated.
        output: How the report is written to stdout: table, json or yaml.
        registries: How registries are reached.
    """
    if (context or namespace) and not cluster:
        raise UsageError("--context and --namespace belong to --cluster", hint="Add --cluster, or leave them out.")
    named = read_references(references, None) if references else Named()
    with registries.open() as opened:
        report = _report(named, opened, _cost(context, namespace) if cluster else None)
    print(render(report, output, _table(report)))
    return WRONG if report.fits is False or report.error or any(image.error for image in report.images) else DONE


def _cost(context: str | None, namespaces: tuple[str, ...]) -> "ClusterCost":
    from homeport.cluster import require_kube

    require_kube()
    from homeport.workflow.live_cost import cost_of_cluster

    return cost_of_cluster(context, namespaces)


def _report(named: Named, registries: Registries, cluster: "ClusterCost | None") -> _Report:
    """Tell what can be told; where the limit alone is asked for and not told, that is the error of the command."""
    reading, unknown = None, HomeportError("")
    try:
        _, reading = registries.client(DOCKER_HUB).look_up(*_PREVIEW)
    except HomeportError as error:
        if not (cluster or named.references):
            raise
        unknown = error
    credential = registries.credential(DOCKER_HUB)
    asked = [_look_up(reference.pinned, registries) for reference in dict.fromkeys(named.references)]
    images = [*_images(asked), *map(_open_tag, named.open)]
    pulls = sum((image.counted_pulls for image in images if _is_of_hub(image)), Bound())
    outlook = Forecast(None, None) if unknown.message else forecast(pulls.low, pulls.high, reading)
    standing = registries.standing(DOCKER_HUB)
    likely = expect(plan(seen for seen, limit in asked if limit), DOCKER_HUB, standing).likely if standing else None
    return _Report(
        registry=DOCKER_HUB,
        identity=credential.identity if credential else "anonymous",
        source=reading.source if reading else "",
        limit=reading.limit if reading else None,
        remaining=reading.remaining if reading else None,
        window_hours=reading.window / 3600 if reading and reading.window else None,
        images=images,
        counted_pulls=pulls,
        fits=outlook.fits,
        wait_seconds=outlook.seconds,
        likely=likely if reading else None,
        others=standing.experience.others if standing else 0,
        error=unknown.message,
        hint=unknown.hint,
        cluster=cluster,
    )


def _images(asked: Sequence[tuple[Seen, Reading | None]]) -> list[_Image]:
    """Say what each image counts; content that two of them share is counted once, as a mirror would."""
    plans = plan(seen for seen, _ in asked).images
    return [
        _Image(
            str(seen.wanted.source),
            digest=seen.digest,
            limited=reading is not None,
            counted_pulls=each.cost.counted_pulls if reading else Bound(),
            error=seen.error,
            hint=seen.hint,
        )
        for (seen, reading), each in zip(asked, plans, strict=True)
    ]


def _look_up(reference: Reference, registries: Registries) -> tuple[Seen, Reading | None]:
    wanted = Wanted(reference, reference)
    try:
        head, reading = registries.client(reference.registry).look_up(reference.repository, reference.identifier)
    except HomeportError as error:
        return Seen(wanted, error=error.message, hint=error.hint), None
    if head is None:
        return Seen(
            wanted, error=f"{reference} is not there", hint="Check the name and the tag, letter by letter."
        ), None
    return Seen(wanted, head.digest, head, asked=(1, 0)), reading


def _open_tag(reference: Reference) -> _Image:
    return _Image(
        str(reference),
        error=f"{reference}: its tag comes from elsewhere, an operator's default: none is guessed",
        hint="Name the image with its tag.",
    )


def _is_of_hub(image: _Image) -> bool:
    return image.reference.startswith(f"{DOCKER_HUB}/")


def _table(report: _Report) -> str:
    lines = _quota(report)
    if report.images:
        rows = [(image.reference, _pulls(image), (image.digest or "")[:19]) for image in report.images]
        lines += ["", *columns([("IMAGE", "COUNTED PULLS", "DIGEST"), *rows])]
        for error, hint in dict.fromkeys((image.error, image.hint) for image in report.images if image.error):
            lines += ["", f"error: {error}", *([f"  {hint}"] if hint else [])]
        lines += ["", _outlook(report)]
    if report.cluster:
        lines += ["", *_cluster(report, report.cluster)]
    return "\n".join(lines)


def _cluster(report: _Report, cost: "ClusterCost") -> list[str]:
    from homeport.cli.cost_table import cost_lines
    from homeport.cluster.cost import counted_at

    nodes = count(cost.nodes, "node") if cost.nodes else "nodes"
    lines = [f"cluster {cost.context}: {count(cost.pods, 'pod')} on {nodes}"]
    for what, costs in (("start again on the nodes as they are", cost.again), ("start on new nodes", cost.anew)):
        lines += [f"if all {what}:", *(cost_lines(costs) or ["  nothing is pulled"])]
        hub = counted_at(DOCKER_HUB, costs)
        if hub.high and (report.error or report.remaining is not None):
            left = "how many are left is unknown" if report.error else f"{report.remaining} are left {_WHOSE}"
            lines.append(f"  Docker Hub counts {hub}; {left}")
    return lines + [f"unknown: {sentence}" for sentence in cost.unknown]


def _quota(report: _Report) -> list[str]:
    if report.error:
        said = f"Docker Hub, {report.identity}: the limit is unknown: {report.error}"
        return [said, *([f"  {report.hint}"] if report.hint else [])]
    if report.limit is None or report.remaining is None:
        return [f"Docker Hub does not limit pulls of {report.identity}."]
    window = f" in any {report.window_hours:g} hours" if report.window_hours else ""
    counted = f", counted for {report.source}" if report.source else ""
    said = f"Docker Hub, {report.identity}{counted}: {report.remaining} of {report.limit} pulls{window} are left."
    return [said, *([f"warning: {describe_others(DOCKER_HUB, report.others)}"] if report.others else [])]


def _pulls(image: _Image) -> str:
    if image.error:
        return "unknown"
    return str(image.counted_pulls) if image.limited else "not limited"


def _outlook(report: _Report) -> str:
    pulls = report.counted_pulls
    noun = "pull" if pulls == Bound.exactly(1) else "pulls"
    total = f"A first mirror counts {pulls} {noun} at Docker Hub{likely_words(pulls, report.likely)}"
    if report.error:
        return f"{total}: whether that fits is unknown."
    if report.fits:
        return f"{total}: that fits now."
    doubt = "it may not fit" if report.fits is None else "it does not fit"
    if report.fits is None and report.likely is not None:
        doubt = "it likely fits" if report.likely <= (report.remaining or 0) else "it likely does not fit"
    if not report.wait_seconds:
        return f"{total}: {doubt} now."
    return f"{total}: {doubt} now; all is through after {report.wait_seconds / 3600:g} hours at the latest."
