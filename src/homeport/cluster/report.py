"""A scan of clusters by image: who owns each place, what its node really has, and who would pull the image next."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from homeport.cluster.cost import Holding, Holdings
from homeport.cluster.kinds import TEMPLATES
from homeport.cluster.nodes import Node
from homeport.cluster.owners import STATIC_POD
from homeport.cluster.scan import Facts, LiveScan
from homeport.discovery.report import Image, Place, Report

_MAKERS: Final = frozenset(kind.name for kind in TEMPLATES)
_WHEN: Final = {
    "Always": "asks the registry each time a container starts",
    "Never": "never pulls",
    "IfNotPresent": "pulls on a node that lacks it",
}

_NOT_NAMED: Final = "not by its template: it is of an older revision, or was added when the pod was made"


class LivePlace(Place, frozen=True, omit_defaults=True):
    """A place with what its cluster knows: `owners` from the nearest to the tool that decides, `pulled` as the node reports it."""

    owners: tuple[str, ...] = ()
    node: str = ""
    phase: str = ""
    policy: str = ""
    pulled: str = ""


class Next(msgspec.Struct, frozen=True):
    """Who would pull an image next, and when."""

    source: str
    by: str
    when: str


class LiveImage(Image, frozen=True):
    """An image with who would pull it next, and the nodes that hold it; those are null where nodes may not be read."""

    next: tuple[Next, ...] = ()
    nodes: Holding | None = None


class Held(msgspec.Struct, frozen=True):
    """A node; `unnamed` is what it holds and nothing that was found names, `complete` whether it reports all that it holds."""

    source: str
    name: str
    platform: str
    runtime: str
    complete: bool
    images: tuple[str, ...]
    unnamed: tuple[str, ...]


class LiveReport(Report, frozen=True, omit_defaults=True):
    """A scan of clusters, and of files beside them."""

    nodes: tuple[Held, ...] = ()
    unknown: tuple[str, ...] = ()


def live_report_of(report: Report, live: LiveScan, *, partial: bool = False) -> LiveReport:
    """Add to a report what the clusters know; of a `partial` one it cannot be told which images nothing names."""
    images = [_with_facts(image, live) for image in report.images]
    holdings = _holdings(live, images)
    named = {name for image in images for name in _names(image)}
    return LiveReport(
        tuple(
            msgspec.structs.replace(
                image, next=tuple(_next(image, live)), nodes=_sum(holdings, image) if holdings else None
            )
            for image in images
        ),
        report.unresolved,
        report.errors,
        report.spellings,
        report.uncertain,
        report.mirrored,
        tuple(
            _held(source, node, None if partial else named) for source, nodes in live.nodes.items() for node in nodes
        ),
        live.unknown,
    )


def _with_facts(image: Image, live: LiveScan) -> LiveImage:
    places = tuple(_place(place, live.facts.get((place.source, place.object))) for place in image.findings)
    return LiveImage(image.reference, image.registry, image.repository, image.tag, image.digest, image.open, places)


def _place(place: Place, facts: Facts | None) -> LivePlace:
    facts = facts or Facts()
    use = next((use for use in facts.uses if use.path == place.path), None)
    return LivePlace(
        place.source,
        place.line,
        place.object,
        place.path,
        place.how,
        place.text,
        place.sure,
        facts.owners,
        facts.node,
        facts.phase,
        use.policy if use else "",
        use.pulled if use else "",
    )


def _next(image: LiveImage, live: LiveScan) -> Iterator[Next]:
    """Yield what would pull an image again, each once: what makes its pods, or an operator."""
    found: dict[tuple[str, str], str] = {}
    for place in image.findings:
        if not isinstance(place, LivePlace) or (place.source, place.object) not in live.facts:
            continue
        maker, when = _maker(place, live, image.reference)
        if maker:
            found.setdefault((place.source, maker), when)
    for (source, maker), when in sorted(found.items()):
        yield Next(source, maker, when)


def _maker(place: LivePlace, live: LiveScan, image: str) -> tuple[str, str]:
    """Return what makes a place's pods, and when it pulls; nothing makes a pod of its own again."""
    when = _WHEN.get(place.policy, "")
    if place.object.kind == "Pod":
        if place.owners and place.owners[0].startswith(STATIC_POD):
            return place.owners[0], when
        maker = next((owner for owner in reversed(place.owners) if owner.partition("/")[0] in _MAKERS), "")
        named = live.named.get((place.source, maker))
        return maker, when if named is None or image in named else _NOT_NAMED
    schedule = live.facts[place.source, place.object].schedule
    if place.object.kind not in _MAKERS:
        return str(place.object), "when its operator makes pods from it"
    return str(place.object), f"{when}, on its schedule {schedule}" if schedule else when


def _holdings(live: LiveScan, images: Iterable[LiveImage]) -> dict[str, Holdings]:
    """Return what nodes hold, by cluster; a pod that runs proves that its node holds its image."""
    running: dict[str, list[tuple[str, str]]] = {}
    for image in images:
        for place in image.findings:
            if isinstance(place, LivePlace) and place.pulled:
                running.setdefault(place.source, []).append((place.node, image.reference))
    return {source: Holdings(nodes, running.get(source, ())) for source, nodes in live.nodes.items() if nodes}


def _sum(holdings: Mapping[str, Holdings], image: LiveImage) -> Holding:
    """Add the nodes of all clusters that name an image."""
    sources = {place.source for place in image.findings} & holdings.keys()
    found = [holdings[source].of(image.reference) for source in sources]
    return Holding(sum(it.held for it in found), sum(it.lacking for it in found), sum(it.unknown for it in found))


def _names(image: LiveImage) -> Iterator[str]:
    """Yield the names by which nodes may hold an image."""
    yield image.reference
    for place in image.findings:
        if isinstance(place, LivePlace) and "@" in place.pulled:
            yield place.pulled


def _held(source: str, node: Node, named: set[str] | None) -> Held:
    return Held(
        source, node.name, node.platform, node.runtime, node.complete, node.shown(), node.shown(named) if named else ()
    )
