"""From where nodes pulled what runs: what their events prove, and what nobody knows any more."""

from collections.abc import Iterable, Mapping

import msgspec

from homeport.cluster.pulled import Key, Pulled
from homeport.errors import InvalidReferenceError
from homeport.reference import DOCKER_HUB, Reference
from homeport.workflow.live_running import Running


class Evidence(msgspec.Struct, frozen=True, order=True):
    """Containers of one image: those whose node pulled it under this name, found it on the node, or does not say any more.

    `nodes` are those that pulled.
    """

    image: str
    pulled: int = 0
    present: int = 0
    silent: int = 0
    nodes: tuple[str, ...] = ()


def evidence_of(
    running: Iterable[Running], events: Mapping[Key, Pulled], default_registry: str = DOCKER_HUB
) -> tuple[Evidence, ...]:
    """Count the evidence of each image; an event of another name, from before a pod was changed, is none."""
    counts: dict[str, list[int]] = {}
    nodes: dict[str, set[str]] = {}
    for each in running:
        image, event = str(each.reference), events.get(each.key)
        number = counts.setdefault(image, [0, 0, 0])
        if event is None or _named(event.image, default_registry) != image:
            number[2] += 1
        elif event.pulled:
            number[0] += 1
            nodes.setdefault(image, set()).add(each.node)
        else:
            number[1] += 1
    return tuple(
        sorted(
            Evidence(image, pulled, present, silent, tuple(sorted(nodes.get(image, ()))))
            for image, (pulled, present, silent) in counts.items()
        )
    )


def unknown_of(evidence: Iterable[Evidence]) -> tuple[str, ...]:
    """Say in sentences what the evidence leaves open."""
    every = tuple(evidence)
    present, silent = sum(it.present for it in every), sum(it.silent for it in every)
    sentences = []
    if silent:
        sentences.append(
            f"from where the images of {_containers(silent)} came: events that nodes write are kept for an hour"
        )
    if present:
        sentences.append(f"from where the images of {_containers(present)} once came: they were on the node already")
    if every:
        sentences.append("whether a node's runtime sends names on to a mirror: that is in its own configuration")
    return tuple(sentences)


def _containers(number: int) -> str:
    return "1 container" if number == 1 else f"{number} containers"


def _named(name: str, default_registry: str) -> str:
    try:
        return str(Reference.parse(name, default_registry).pinned)
    except InvalidReferenceError:
        return ""
