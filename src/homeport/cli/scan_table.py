"""What `homeport scan` shows to people."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Literal

from homeport.cli.output import columns, count
from homeport.discovery.report import Image, Place, Report

if TYPE_CHECKING:
    from homeport.cluster.report import LiveReport

By = Literal["registry", "namespace", "owner", "node"]
_NOBODY = {"namespace": "in no namespace", "owner": "on its own", "node": "runs nowhere now"}


def table(report: Report, by: By, *, why: bool = False) -> Iterator[str]:
    """Yield the lines of a report; `why` adds who would pull each image next."""
    if by == "registry":
        yield from _images(report.images, why=why)
    else:
        yield from _grouped(report.images, by)
    yield _summary(report) if report.images else "no image found"
    for spelling in report.spellings:
        yield f"written in several ways: {spelling.reference}: {', '.join(spelling.texts)}"
    for image in report.mirrored:
        fallback = "then from its source" if image.source_allowed else "never from its source"
        yield f"pulled by a mirror set: {image.reference}: {', '.join(image.mirrors)}, {fallback}  ({image.object})"
    if getattr(report, "nodes", ()):
        yield from _unnamed(report)  # type: ignore[arg-type]  # only a live report has nodes
    if report.uncertain:
        yield ""
        yield "uncertain, and counted nowhere:"
        yield from _images(report.uncertain)


def _images(images: Sequence[Image], *, why: bool = False) -> Iterator[str]:
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
            yield from _next(image) if why else ()


def _next(image: Image) -> Iterator[str]:
    """Yield who would pull an image next, and how many nodes hold it."""
    for each in getattr(image, "next", ()):
        yield f"    next: {each.source}  {each.by}: {each.when}"
    if nodes := getattr(image, "nodes", None):
        unknown = f", {nodes.unknown} do not say" if nodes.unknown else ""
        yield f"    nodes: {nodes.held} hold it, {nodes.lacking} lack it{unknown}"


def _grouped(images: Sequence[Image], by: By) -> Iterator[str]:
    """Yield images by the namespaces, owners or nodes of their places, with how many pods run them and what was pulled."""
    groups: dict[tuple[str, str], dict[str, list[Place]]] = {}
    for image in images:
        placed = [place for place in image.findings if _group(place, by)]
        # What runs somewhere does not run nowhere, whatever else names it.
        for place in placed if by == "node" and placed else image.findings:
            key = place.source, _group(place, by)
            groups.setdefault(key, {}).setdefault(_name(image), []).append(place)
    for (source, group), found in sorted(groups.items(), key=lambda item: (not item[0][1], item[0])):
        yield f"{group or _NOBODY[by]}  ({source}, {count(len(found), 'image')})"
        yield from columns([(name, _runs(places), _pulled(places)) for name, places in found.items()], indent="  ")


def _group(place: Place, by: By) -> str:
    if by == "namespace":
        return place.object.namespace
    if by == "node":
        return getattr(place, "node", "")
    owners = getattr(place, "owners", ())
    chain = owners if place.object.kind == "Pod" else (str(place.object), *owners)
    # A ReplicaSet of a Deployment is a revision of it.
    shown = [it for number, it in enumerate(chain) if number or len(chain) == 1 or not it.startswith("ReplicaSet/")]
    return " < ".join(shown)


def _runs(places: Sequence[Place]) -> str:
    pods = {place.object for place in places if place.object.kind == "Pod"}
    nodes = {place.node for place in places if getattr(place, "node", "")}  # type: ignore[attr-defined]  # just asked
    if not pods:
        return ", ".join(dict.fromkeys(place.object.kind for place in places))
    return f"{count(len(pods), 'pod')} on {count(len(nodes), 'node')}"


def _pulled(places: Iterable[Place]) -> str:
    """Show the digests that nodes report."""
    digests = {getattr(place, "pulled", "").rpartition("@")[2] for place in places} - {""}
    return ", ".join(sorted(it[:19] for it in digests))


def _unnamed(report: "LiveReport") -> Iterator[str]:
    """Yield what nodes hold and nothing names: the pause image, what a node brings along, and what was left over."""
    holders: dict[str, int] = {}
    for node in report.nodes:
        for name in node.unnamed:
            holders[name] = holders.get(name, 0) + 1
    if holders:
        yield ""
        yield "held by nodes, and named by nothing that was found (pause, for one; or left over):"
        yield from columns([(name, count(number, "node")) for name, number in sorted(holders.items())], indent="  ")


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
