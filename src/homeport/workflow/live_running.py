"""Prove that what runs is what the lock says: the digests that nodes report against those of the target.

A node reports the digest of an index, of one of its images, or of an image's configuration, as its runtime has it; the host beside
it is no evidence, for a runtime reports any name under which it once had the same content.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from homeport.errors import ContentError, InvalidReferenceError, NotFoundError
from homeport.oci.manifest import parse_manifest
from homeport.reference import DOCKER_HUB, Reference
from homeport.registry.session import Registries
from homeport.workflow.verify import WRONG, Origin, Verdict, Verification

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}$")
_LISTS: Final = (
    ("initContainers", "initContainerStatuses"),
    ("containers", "containerStatuses"),
    ("ephemeralContainers", "ephemeralContainerStatuses"),
)


class Running(msgspec.Struct, frozen=True):
    """A container that runs or has run, the image that its pod names, and the digest that its node reports, if any."""

    reference: Reference
    place: str
    digest: str | None


def running_in(pod: Mapping[str, Any], default_registry: str = DOCKER_HUB) -> Iterator[Running]:
    """Yield the containers of a pod that have been started; what the others will pull is judged by their names."""
    status, metadata = pod.get("status") or {}, pod["metadata"]
    for containers, statuses in _LISTS:
        reported = {it["name"]: it.get("imageID", "") for it in status.get(statuses) or () if _was_started(it)}
        for container in pod["spec"].get(containers) or ():
            if container["name"] not in reported:
                continue
            try:
                reference = Reference.parse(container["image"], default_registry)
            except (InvalidReferenceError, KeyError):
                continue  # The inventory says that it cannot be read.
            found = _DIGEST.search(reported[container["name"]])
            place = f"Pod/{metadata['namespace']}/{metadata['name']} container {container['name']}"
            yield Running(reference.pinned, place, found[0] if found else None)


def _was_started(status: Mapping[str, Any]) -> bool:
    return bool(status.get("imageID") or (status.get("state") or {}).keys() & {"running", "terminated"})


def with_running(
    verification: Verification, running: Iterable[Running], registries: Registries, origin: Origin
) -> Verification:
    """Add what runs and differs, or is not known, to a verification; raises RegistryError where the target is away.

    Only images that are at the target and whose digest the lock knows are judged: the others are in doubt already.
    """
    judged = {verdict.image for verdict in verification.verdicts if verdict.status == "proven"}
    found: dict[tuple[Reference, str, str], list[str]] = {}
    known: dict[Reference, frozenset[str]] = {}
    for each in running:
        image = str(each.reference)
        if image not in judged:
            continue
        if each.digest is None:
            found.setdefault((each.reference, "unknown", "what runs: its node reports no digest"), []).append(
                each.place
            )
            continue
        if each.reference not in known:
            known[each.reference] = _digests(each.reference, registries, origin)
        if each.digest not in known[each.reference]:
            expected = " or ".join(sorted(_expected(each.reference, origin))) or "another"
            reason = f"{each.digest} runs, which is not {expected} and no part of it"
            found.setdefault((each.reference, "differs", reason), []).append(each.place)
    added = [
        Verdict(str(reference), "differs" if status in WRONG else "unknown", None, (reason,), tuple(places))
        for (reference, status, reason), places in found.items()
    ]
    doubtful = {verdict.image for verdict in added}
    kept = [it for it in verification.verdicts if it.status != "proven" or it.image not in doubtful]
    return Verification(tuple(sorted((*kept, *added))), verification.errors)


def _expected(reference: Reference, origin: Origin) -> frozenset[str]:
    if reference.digest:
        return frozenset({reference.digest})
    return origin.digests.get(reference, frozenset())


def _digests(reference: Reference, registries: Registries, origin: Origin) -> frozenset[str]:
    """Return every digest by which a node may call an image: what was expected, its images, and their configurations."""
    client = registries.client(reference.registry)
    found: set[str] = set()
    pending = list(_expected(reference, origin)) or [reference.identifier]
    while pending:
        identifier = pending.pop()
        try:
            raw = client.get_manifest(reference.repository, identifier)
            manifest = parse_manifest(raw)
        except (NotFoundError, ContentError):
            # A platform that was not brought; nothing runs of it.
            found.add(identifier)
            continue
        found |= {raw.digest, *((manifest.config.digest,) if manifest.config else ())}
        pending += [child.digest for child in manifest.children if child.digest not in found]
    return frozenset(found)
