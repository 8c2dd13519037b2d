"""Prove that what runs is what the lock says: the digests that nodes report against those of the target.

A node reports the digest of an index, of one of its images, or of an image's configuration, as its runtime has it; the host beside
it is no evidence, for a runtime reports any name under which it once had the same content.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from homeport.cluster.pods import LISTS
from homeport.errors import InvalidReferenceError
from homeport.mirror.workers import Workers
from homeport.reference import DOCKER_HUB, Reference
from homeport.registry.session import Registries
from homeport.workflow.live_content import Content, Question, examine
from homeport.workflow.verify import Origin, Verdict, Verification

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}$")
_AT_ONCE: Final = 8


class Running(msgspec.Struct, frozen=True):
    """A container that runs or has run, the image that its pod names, and the digest that its node reports, if any.

    `key` is the pod's uid and the container's place in events, `started` when the node last started it.
    """

    reference: Reference
    place: str
    digest: str | None
    node: str = ""
    key: tuple[str, str] = ("", "")
    started: str = ""


def running_in(pod: Mapping[str, Any], default_registry: str = DOCKER_HUB) -> Iterator[Running]:
    """Yield the containers of a pod that have been started; what the others will pull is judged by their names."""
    status, metadata = pod.get("status") or {}, pod["metadata"]
    for containers, statuses in LISTS:
        reported = {it["name"]: it for it in status.get(statuses) or () if _was_started(it)}
        for container in pod["spec"].get(containers) or ():
            if container["name"] not in reported:
                continue
            try:
                reference = Reference.parse(container["image"], default_registry)
            except (InvalidReferenceError, KeyError):
                continue  # The inventory says that it cannot be read.
            told = reported[container["name"]]
            found = _DIGEST.search(told.get("imageID", ""))
            place = f"Pod/{metadata['namespace']}/{metadata['name']} container {container['name']}"
            key = metadata.get("uid", ""), f"spec.{containers}{{{container['name']}}}"
            node = pod["spec"].get("nodeName", "")
            yield Running(reference.pinned, place, found[0] if found else None, node, key, _started(told))


def _was_started(status: Mapping[str, Any]) -> bool:
    return bool(status.get("imageID") or (status.get("state") or {}).keys() & {"running", "terminated"})


def _started(status: Mapping[str, Any]) -> str:
    """Return when a container last started; empty where its node does not say."""
    states = (status.get("state") or {}), (status.get("lastState") or {})
    times = (state[name].get("startedAt") for state in states for name in ("running", "terminated") if state.get(name))
    return next(filter(None, times), "")


class Fleet(msgspec.Struct, frozen=True):
    """The platforms of a cluster's nodes, each with their names; and for images that choose, the architectures that they do."""

    platforms: dict[str, tuple[str, ...]] = {}
    chosen: dict[Reference, frozenset[str]] = {}

    def of(self, reference: Reference) -> frozenset[str]:
        """Return the platforms of the nodes that an image may start on."""
        chosen = self.chosen.get(reference)
        return frozenset(it for it in self.platforms if chosen is None or it.rpartition("/")[2] in chosen)


NO_FLEET: Final = Fleet()


def with_running(
    verification: Verification,
    running: Iterable[Running],
    registries: Registries,
    origin: Origin,
    fleet: Fleet = NO_FLEET,
) -> Verification:
    """Add what runs and differs, what a node's platform lacks, and what is not known; raises RegistryError where the target is away.

    Only images that are at the target with the digest that they should have are judged: the others are in doubt already.
    """
    digests = {verdict.image: verdict.digest for verdict in verification.verdicts if verdict.status == "proven"}
    reported: dict[Reference, dict[str | None, list[str]]] = {Reference.parse(image): {} for image in digests}
    for each in running:
        if each.reference in reported:
            reported[each.reference].setdefault(each.digest, []).append(each.place)
    questions = [
        Question(
            reference,
            _expected(reference, origin) or frozenset(filter(None, (digests[str(reference)],))),
            frozenset(filter(None, found)),
            fleet.of(reference),
        )
        for reference, found in reported.items()
    ]
    workers = Workers(_AT_ONCE, "content")
    try:
        answers = workers.map(lambda question: examine(question, registries), questions)
    finally:
        workers.stop()
    added = [
        verdict
        for question, content in zip(questions, answers, strict=True)
        for verdict in _judged(question, content, reported[question.reference], fleet)
    ]
    doubtful = {verdict.image for verdict in added}
    kept = [it for it in verification.verdicts if it.status != "proven" or it.image not in doubtful]
    return Verification(tuple(sorted((*kept, *added))), verification.errors)


def _judged(
    question: Question, content: Content, reported: Mapping[str | None, list[str]], fleet: Fleet
) -> Iterator[Verdict]:
    """Say what is wrong or unknown of one image."""
    image = str(question.reference)
    for digest, places in reported.items():
        if digest is None:
            yield Verdict(image, "unknown", None, ("what runs: its node reports no digest",), tuple(places))
        elif digest in content.strange:
            expected = " or ".join(sorted(question.expected)) or "another"
            reason = f"{digest} runs, which is not {expected} and no part of it"
            yield Verdict(image, "differs", None, (reason,), tuple(places))
    for platform in sorted(content.missing):
        reason = f"its part for {platform} is not at the target, and {_nodes(fleet, platform)}"
        yield Verdict(image, "missing", None, (reason,))
    nowhere = content.unmade == question.platforms
    for platform in sorted(content.unmade):
        reason = f"it is made for {' and '.join(sorted(content.made))}, and {_nodes(fleet, platform)}"
        prefix = "" if nowhere else "whether its pods keep to nodes that can run it: "
        yield Verdict(image, "missing" if nowhere else "unknown", None, (prefix + reason,))


def _nodes(fleet: Fleet, platform: str) -> str:
    names = fleet.platforms[platform]
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"node {shown} is {platform}" if len(names) == 1 else f"nodes {shown} are {platform}"


def _expected(reference: Reference, origin: Origin) -> frozenset[str]:
    if reference.digest:
        return frozenset({reference.digest})
    return origin.digests.get(reference, frozenset())
