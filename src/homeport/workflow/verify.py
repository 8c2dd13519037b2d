"""Prove that what manifests name is at the target, unchanged, and pullable with its pull secrets alone."""

import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Final, Literal, Self

import msgspec

from homeport.cluster.pull_access import Access
from homeport.errors import AuthenticationError, ForbiddenError, RegistryError
from homeport.mapping import Mapping, Target
from homeport.mirror.lock import Lock
from homeport.mirror.workers import Flights, Workers
from homeport.oci.manifest import ManifestHead
from homeport.reference import Reference
from homeport.registry.credentials import Credential
from homeport.registry.session import Registries
from homeport.workflow.pulls import Pull, Pulls

Status = Literal["elsewhere", "missing", "differs", "unpullable", "unknown", "proven"]
WRONG: Final = frozenset({"elsewhere", "missing", "differs", "unpullable"})
_AT_ONCE: Final = 8


class Verdict(msgspec.Struct, frozen=True, order=True):
    """What is known of an image, at some places.

    It is pulled from elsewhere, missing at the target, there with another digest, not pullable with its pull secrets, unknown in
    some point, or proven.
    """

    image: str
    status: Status
    digest: str | None = None
    reasons: tuple[str, ...] = ()
    places: tuple[str, ...] = ()


class Verification(msgspec.Struct, frozen=True):
    """All verdicts; `errors` are the inputs that could not be read."""

    verdicts: tuple[Verdict, ...]
    errors: tuple[str, ...] = ()

    @property
    def wrong(self) -> tuple[str, ...]:
        """The images that something is wrong with, each once."""
        return tuple(dict.fromkeys(verdict.image for verdict in self.verdicts if verdict.status in WRONG))


class Origin(msgspec.Struct, frozen=True):
    """Where the digest of an image is known from: the lock, by names at the target, and a source registry to ask."""

    digests: dict[Reference, frozenset[str]] = {}
    registry: str = ""

    @classmethod
    def of(cls, mapping: Mapping, lock: Lock | None = None, registry: str = "") -> Self:
        """Read a lock's names as they are at the target."""
        digests = defaultdict(set)
        for source, digest in (lock.digests if lock else {}).items():
            digests[mapping.relocate(Reference.parse(source).pinned)].add(digest)
        return cls({name: frozenset(known) for name, known in digests.items()}, registry)


def verify(pulls: Pulls, mapping: Mapping, registries: Registries, origin: Origin) -> Verification:
    """Judge everything that will be pulled; raises RegistryError where the target cannot be asked at all.

    `registries` are asked with a person's own credentials; whether a pod can pull is asked with its pull secrets alone.
    """
    here = [pull for pull in pulls.pulls if mapping.holds(pull.reference) and not pull.open]
    with _Judge(mapping, registries, origin) as judge:
        questions = list(dict.fromkeys((pull.reference.pinned, pull.access) for pull in here))
        workers = Workers(_AT_ONCE, "verify")
        try:
            answers = dict(zip(questions, workers.map(lambda question: list(judge(*question)), questions), strict=True))
        finally:
            workers.stop()
    noted = _Verdicts()
    for pull in pulls.pulls:
        if not mapping.holds(pull.reference):
            noted.add(pull, "elsewhere", pull.note or _where(pull.reference, mapping.target))
        elif pull.open:
            noted.add(pull, "unknown", "its tag is the operator's default, and which operator runs is not known")
        else:
            for point in answers[pull.reference.pinned, pull.access]:
                noted.add(pull, point.status, point.reason, point.digest)
    return Verification(tuple(sorted((*noted.verdicts(), *_unread(pulls)))), pulls.errors)


class _Point(msgspec.Struct, frozen=True):
    """One thing that was found out about an image and an access."""

    status: Status
    reason: str = ""
    digest: str | None = None


class _Answer(msgspec.Struct, frozen=True):
    """What a registry said to a HEAD; neither is "there is none"."""

    head: ManifestHead | None = None
    refusal: str = ""


class _Judge:
    """Asks the registries; any number of threads may use it."""

    def __init__(self, mapping: Mapping, registries: Registries, origin: Origin) -> None:
        self._mapping, self._registries, self._origin = mapping, registries, origin
        self._stack = ExitStack()
        self._identities: dict[Credential | None, Registries] = {}
        self._lock = threading.Lock()
        self._asked: Flights[tuple[Registries, Reference], _Answer] = Flights()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def __call__(self, reference: Reference, access: Access) -> Iterator[_Point]:
        """Yield what is known of an image that is pulled with an access."""
        head, refusals = None, [""]
        if not access.unknown and not access.broken:
            for credential in _credentials(access, reference):
                answer = self._ask(self._as(credential), reference)
                if answer.head:
                    head = answer.head
                    break
                refusals.append(answer.refusal or "it is not shown to this identity")
        if head is None:
            own = self._ask(self._registries, reference)
            if own.head is None and not own.refusal:
                yield _Point("missing", f"not at {self._mapping.target.registry}")
                return
            if access.unknown:
                yield _Point(
                    "unknown", f"whether it can be pulled: {access.unknown}", own.head.digest if own.head else None
                )
            else:
                yield _Point("unpullable", access.broken or _explain(access, reference, refusals[-1]))
            if own.head is None:
                yield _Point("unknown", f"whether it is there: {own.refusal}")
                return
            head = own.head
        yield self._compare(reference, head.digest)

    def _compare(self, reference: Reference, digest: str) -> _Point:
        """Compare a digest at the target with the one at the source."""
        known = self._origin.digests.get(reference) or self._origin.digests.get(_tagged(reference)) or frozenset()
        if known and digest not in known:
            return _Point("differs", f"{digest} there, {' or '.join(sorted(known))} in the lock", digest)
        if len(known) > 1:
            return _Point("unknown", "whether it is the right one: the lock has two sources of this name", digest)
        if known or reference.digest:
            return _Point("proven", digest=digest)
        if not self._origin.registry:
            return _Point(
                "unknown", "whether it is the source's digest: neither a lock nor a source registry is named", digest
            )
        return self._compare_with_source(reference, digest)

    def _compare_with_source(self, reference: Reference, digest: str) -> _Point:
        """Compare with what the source registry has; several of its names may become this one."""
        sources = self._mapping.sources(reference, self._origin.registry)
        if not sources:
            return _Point("unknown", f"no image of {self._origin.registry} is called so at the target", digest)
        found: dict[str, Reference] = {}
        refused: list[str] = []
        for source in sources:
            try:
                answer = self._ask(self._registries, source)
            except RegistryError as error:
                answer = _Answer(refusal=str(error))
            if answer.head:
                found[answer.head.digest] = source
            else:
                refused.append(answer.refusal or f"there is no {source}")
        if len(found) != 1:
            reason = (
                " and ".join(map(str, found.values())) + " differ and are called alike at the target"
                if found
                else refused[0]
            )
            return _Point("unknown", f"whether it is the source's digest: {reason}", digest)
        ((theirs, source),) = found.items()
        if theirs != digest:
            return _Point("differs", f"{digest} there, {theirs} at {source}", digest)
        return _Point("proven", digest=digest)

    def _ask(self, registries: Registries, reference: Reference) -> _Answer:
        """Ask for an image's head, once for each identity."""
        return self._asked.do((registries, reference), lambda: self._head(registries, reference))

    def _head(self, registries: Registries, reference: Reference) -> _Answer:
        try:
            client = registries.client(reference.registry)
            return _Answer(client.head_manifest(reference.repository, reference.identifier))
        except (AuthenticationError, ForbiddenError) as error:
            return _Answer(refusal=str(error))

    def _as(self, credential: Credential | None) -> Registries:
        with self._lock:
            if credential not in self._identities:
                self._identities[credential] = self._stack.enter_context(self._registries.seen_by(credential))
            return self._identities[credential]


class _Verdicts:
    """Gathers points into a verdict for each image and status."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, Status], tuple[dict[str, None], dict[str, None], set[str]]] = {}

    def add(self, pull: Pull, status: Status, reason: str = "", digest: str | None = None) -> None:
        reasons, places, digests = self._found.setdefault((str(pull.reference), status), ({}, {}, set()))
        reasons |= dict.fromkeys(filter(None, (reason,)))
        places[pull.place] = None
        digests |= set(filter(None, (digest,)))

    def verdicts(self) -> Iterator[Verdict]:
        doubtful = {image for image, status in self._found if status != "proven"}
        for (image, status), (reasons, places, digests) in self._found.items():
            if status != "proven" or image not in doubtful:
                yield Verdict(image, status, next(iter(digests), None), tuple(reasons), tuple(places))


def _credentials(access: Access, reference: Reference) -> list[Credential | None]:
    """Return what the kubelet tries in turn. A user without a name is nobody (containerd, ParseAuth)."""
    matching = [credential if credential.username else None for credential in access.keyring.match(reference)]
    return list(dict.fromkeys(matching)) or [None]


def _explain(access: Access, reference: Reference, refusal: str) -> str:
    """Say why a pull fails."""
    if not access.secrets:
        nobody = f", and service account {access.lender} lends none" if access.lender else ""
        return f"no pull secret is named{nobody}: {refusal}"
    names = f"Secret {', '.join(access.secrets)}"
    if access.keyring.match(reference):
        return f"with {names}: {refusal}"
    keys = ", ".join(dict.fromkeys(entry.key for entry in access.keyring.entries)) or "none"
    ignored = "".join(f"; {sentence}" for sentence in access.keyring.ignored)
    return f"{names} has no credentials for it (keys: {keys}){ignored}: {refusal}"


def _where(reference: Reference, target: Target) -> str:
    """Say where an image is that is not in the target."""
    if reference.registry == target.registry:
        return f"it is not below {target}"
    return f"its registry is {reference.registry}"


def _tagged(reference: Reference) -> Reference:
    return msgspec.structs.replace(reference, digest=None) if reference.tag else reference


def _unread(pulls: Pulls) -> Iterable[Verdict]:
    """Judge what names no image: an operator's default is pulled from elsewhere, a name that cannot be read is unknown."""
    for place in pulls.unnamed:
        yield Verdict(
            f"{place.object} {place.path}", "elsewhere", None, (place.reason,), (f"{place.object} {place.path}",)
        )
    for place in pulls.unresolved:
        where = f"{place.object} {place.path}".strip()
        yield Verdict(place.text or where, "unknown", None, (place.reason,), (where,))
