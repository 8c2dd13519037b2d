"""What a live cluster runs and will run: each object that names images, each image once per object.

Pods count. What makes pods (a Deployment, a CronJob) is in the inventory with the images that none of its pods names: it runs
none now, or its next ones will be others.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from homeport.cluster.api import Api
from homeport.cluster.kinds import CUSTOM_RESOURCES, DEFINITIONS, PODS, TEMPLATES, Kind
from homeport.discovery.findings import Finding
from homeport.discovery.knowledge import Knowledge
from homeport.discovery.rules import Rules
from homeport.discovery.schemas import rules_of
from homeport.discovery.walk import Walk, walk
from homeport.errors import ClusterError, UsageError

_NAMESPACE: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_MAKERS: Final = frozenset(kind.name for kind in TEMPLATES)


class Noted(msgspec.Struct, frozen=True, eq=False):
    """A live object, and what a walk over it noted."""

    value: dict[str, Any]
    walk: Walk

    @property
    def names_images(self) -> bool:
        """Whether the object has anything to do with images; most custom resources have not, and need not be kept."""
        return bool(self.walk.findings or self.walk.unresolved or self.walk.implied)


class Inventory:
    """The inventory of some namespaces, or of all; `errors` grows by a sentence for each kind that could not be read.

    `taught` are the rules that the definitions of custom resources gave.
    """

    def __init__(self, api: Api, namespaces: Sequence[str], knowledge: Knowledge, default_registry: str) -> None:
        """Prepare it; raises UsageError for a namespace that is not there."""
        self.errors: list[str] = []
        self.source = f"cluster {api.context}"
        self._api, self._namespaces = api, tuple(dict.fromkeys(namespaces))
        self._plain = self._knowledge = knowledge
        self._default_registry = default_registry
        self.taught = Rules()
        self._may_read = False
        for namespace in self._namespaces:
            _check_namespace(api, namespace)

    def __iter__(self) -> Iterator[Noted]:
        """Yield pods, then what makes pods, then custom resources; raises ClusterError where nothing may be read."""
        running: defaultdict[str, set[str]] = defaultdict(set)
        for pod in self._objects(PODS):
            noted = self._walk(pod, frozenset())
            if owner := _controller(pod):
                running[owner["uid"]] |= _texts(noted)
            yield Noted(pod, noted)
        # What pods belong to comes before what that belongs to in turn.
        for kind in sorted(TEMPLATES, key=lambda kind: kind.name not in ("ReplicaSet", "Job")):
            for value in self._objects(kind):
                own, owner = running[value["metadata"]["uid"]], _controller(value)
                if owner and owner["kind"] in _MAKERS:
                    running[owner["uid"]] |= own
                else:
                    yield Noted(value, self._walk(value, own))
        for kind in self._api.custom_kinds() or CUSTOM_RESOURCES:
            for number, value in enumerate(self._objects(kind) if kind.namespaced or not self._namespaces else ()):
                if number == 0:
                    self._learn(kind)
                yield Noted(value, self._walk(value, frozenset()))
        if not self._may_read:
            raise ClusterError(
                f"no right to list anything in {_scope(self._namespaces)}",
                status=403,
                hint="Name the namespaces that you may read with -n, or have the role of docs/clusters.md granted.",
            )

    def _objects(self, kind: Kind) -> Iterator[dict[str, Any]]:
        for namespace in self._namespaces or (None,):
            try:
                yield from self._api.objects(kind, namespace)
                self._may_read = True
            except ClusterError as error:
                if error.status in (None, 401):
                    raise
                self.errors.append(f"{error}; its images are not in the report")

    def _learn(self, kind: Kind) -> None:
        """Let the definition of a kind say which of its fields name images; without the right to read it, names and shapes do."""
        try:
            definition = self._api.get(f"{DEFINITIONS}/{kind}")
        except ClusterError as error:
            if error.status != 403:
                raise
            return
        if definition:
            self.taught += Rules(tuple(rules_of(definition)))
            self._knowledge = self._plain + Knowledge(rules=self.taught)

    def _walk(self, value: Mapping[str, Any], known: set[str] | frozenset[str]) -> Walk:
        """Walk over an object and keep each image once, without those that are known."""
        noted = walk(value, self.source, self._knowledge, self._default_registry)
        findings: dict[str, Finding] = {}
        for found in noted.findings:
            if found.text not in known:
                findings.setdefault(found.text, found)
        unresolved = [place for place in noted.unresolved if place.text not in known]
        return msgspec.structs.replace(noted, findings=list(findings.values()), unresolved=unresolved)


def _check_namespace(api: Api, namespace: str) -> None:
    """Refuse a namespace that is not there: its lists would be empty, and all would look well."""
    if not _NAMESPACE.fullmatch(namespace):
        raise UsageError(f"{namespace!r} is not a namespace", hint="`kubectl get namespaces` lists them.")
    try:
        found = api.get(f"/api/v1/namespaces/{namespace}")
    except ClusterError as error:
        if error.status != 403:
            raise
        return  # Whoever may read only inside a namespace may not ask for it.
    if found is None:
        raise UsageError(
            f"there is no namespace {namespace!r} in context {api.context!r}",
            hint="`kubectl get namespaces` lists them.",
        )


def _texts(noted: Walk) -> set[str]:
    return {found.text for found in noted.findings} | {place.text for place in noted.unresolved}


def _controller(value: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the reference to the one owner that manages an object (meta/v1 OwnerReference)."""
    owners = value["metadata"].get("ownerReferences") or ()
    return next((owner for owner in owners if owner.get("controller")), None)


def _scope(namespaces: Sequence[str]) -> str:
    return f"namespace {', '.join(namespaces)}" if namespaces else "all namespaces"
