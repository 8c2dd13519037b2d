"""What will be pulled: each place that names an image, and the pull secrets it is pulled with."""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

import msgspec

from homeport.cluster.pull_access import Access, FilePullSecrets, PullSecrets, access_to
from homeport.discovery.documents import parse_documents
from homeport.discovery.findings import Finding, ObjectKey, Unresolved
from homeport.discovery.inputs import Source
from homeport.discovery.knowledge import Knowledge
from homeport.discovery.secret_fields import teach
from homeport.discovery.walk import Walk, walk
from homeport.errors import InputError
from homeport.reference import DOCKER_HUB, Reference


class Pull(msgspec.Struct, frozen=True):
    """An image that will be pulled, and where it says so. `note` is what else is worth knowing.

    The reference of an `open` pull has no tag: it comes from elsewhere and is not known.
    """

    reference: Reference
    place: str
    access: Access
    open: bool = False
    note: str = ""
    namespace: str = ""


class Pulls(msgspec.Struct, frozen=True):
    """All that will be pulled. `unnamed` are images that an operator pulls by a default that is not known."""

    pulls: tuple[Pull, ...] = ()
    unnamed: tuple[Unresolved, ...] = ()
    unresolved: tuple[Unresolved, ...] = ()
    errors: tuple[str, ...] = ()

    @classmethod
    def joined(cls, parts: Iterable["Pulls"]) -> "Pulls":
        """Return all parts as one."""
        lists = [(part.pulls, part.unnamed, part.unresolved, part.errors) for part in parts]
        return cls(*(tuple(chain.from_iterable(each)) for each in zip(*lists, strict=True)))


def read_pulls(
    sources: Sequence[Source],
    learn: Callable[[Iterable[Finding]], Knowledge],
    *,
    secrets: Sequence[Source] = (),
    default_registry: str = DOCKER_HUB,
    taught: Knowledge | None = None,
) -> Pulls:
    """Read manifests; a text that cannot be read is an error of the result.

    `learn` makes the rules from what a first look found, the operator's version for one. `secrets` are texts of Secrets that the
    manifests may name; Secrets and service accounts among the manifests count as well. `taught` are rules beside
    those that are learnt; without them the schemas among the manifests teach.
    """
    roots, errors = _parse(sources)
    extra, more_errors = _parse(secrets)
    known = FilePullSecrets.of(root for _, root in roots + extra)
    taught = teach(sources) if taught is None else taught
    plain = learn(()) + taught
    noted = [walk(root, name, plain, default_registry) for name, root in roots]
    knowledge = learn([finding for each in noted for finding in each.findings]) + taught
    noted = [walk(root, name, knowledge, default_registry) for name, root in roots]
    found = [pulls_of(each, known) for each in noted]
    return Pulls.joined((Pulls(errors=(*errors, *more_errors)), *found))


def pulls_of(noted: Walk, secrets: PullSecrets) -> Pulls:
    """Return what a walk found with the pull secrets for each place."""
    pulls, unnamed = [_pull(finding, noted, secrets) for finding in noted.findings], []
    for place in noted.implied:
        where, reason = ".".join(place.implied.field.path), place.implied.reason
        if place.implied.reference:
            access = Access(unknown="the operator chooses what it pulls with")
            pulls.append(Pull(place.implied.reference, _written(place.object, where), access, note=reason))
        else:
            unnamed.append(Unresolved("", -1, place.object, where, "", reason))
    return Pulls(tuple(pulls), tuple(unnamed), tuple(noted.unresolved))


def _pull(finding: Finding, noted: Walk, secrets: PullSecrets) -> Pull:
    access = access_to(finding, noted, secrets)
    written = _written(finding.object, finding.path)
    return Pull(finding.reference, written, access, open=finding.open, namespace=finding.object.namespace)


def _parse(sources: Sequence[Source]) -> tuple[list[tuple[str, Any]], list[str]]:
    """Return the documents of texts with the texts' names."""
    roots: list[tuple[str, Any]] = []
    errors: list[str] = []
    for source in sources:
        try:
            roots += [(source.name, document.root) for document in parse_documents(source)]
        except InputError as error:
            errors.append(str(error))
    return roots, errors


def _written(key: ObjectKey, path: str) -> str:
    return f"{key} {path}" if str(key) else path
