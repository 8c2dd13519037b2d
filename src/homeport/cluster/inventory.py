"""What a live cluster runs and will run: each object that names images, each image once per object.

Pods count. What makes pods (a Deployment, a CronJob) is in the inventory with the images that none of its pods names: it runs
none now, or its next ones will be others.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final

import msgspec

from homeport.cluster.api import Api, Choice
from homeport.cluster.kinds import CUSTOM_RESOURCES, DEFINITIONS, PODS, TEMPLATES, Kind
from homeport.cluster.look import Looker
from homeport.cluster.owners import Links, controller
from homeport.discovery.findings import Finding
from homeport.discovery.knowledge import Knowledge
from homeport.discovery.rules import Rules
from homeport.discovery.schemas import rules_of
from homeport.discovery.secret_fields import secret_fields_of
from homeport.discovery.walk import Walk
from homeport.errors import ClusterError, UsageError

_NAMESPACE: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_MAKERS: Final = frozenset(kind.name for kind in TEMPLATES)


class View(msgspec.Struct, frozen=True):
    """Which part of a cluster is looked at: objects with some labels, or nothing but pods that run.

    With `whole` what makes pods is in the inventory with all its images, those of its pods as well.
    """

    labels: str = ""
    only_running: bool = False
    whole: bool = False


ALL: Final = View()


class Noted(msgspec.Struct, frozen=True, eq=False):
    """A live object, and what a walk over it noted; `names` are all images that it names."""

    value: dict[str, Any]
    walk: Walk
    names: frozenset[str] = frozenset()

    @property
    def names_images(self) -> bool:
        """Whether the object has anything to do with images; most custom resources have not, and need not be kept."""
        return bool(self.walk.findings or self.walk.unresolved or self.walk.implied)


class Inventory:
    """The inventory of some namespaces, or of all; `errors` grows by a sentence for each kind that could not be read.

    `taught` are the rules that the definitions of custom resources gave, `links` says who made what. `learn` makes the rules for
    custom resources from what runs, the operator's version for one; `knowledge` are all that are known by now.
    """

    def __init__(
        self,
        api: Api,
        namespaces: Sequence[str],
        knowledge: Knowledge,
        default_registry: str,
        *,
        view: View = ALL,
        learn: Callable[[Iterable[Finding]], Knowledge] | None = None,
    ) -> None:
        """Prepare it; raises UsageError for a namespace that is not there."""
        self.errors: list[str] = []
        self.source = f"cluster {api.context}"
        self._api, self._namespaces = api, tuple(dict.fromkeys(namespaces))
        self._plain = self.knowledge = knowledge
        self._view, self._release = view, learn
        self._looker = Looker(self.source, default_registry)
        self._seen: dict[tuple[str, str], Finding] = {}
        self.taught, self.links = Knowledge(), Links()
        self._owned: dict[str, tuple[str, Mapping[str, Any]]] = {}
        self._may_read = False
        for namespace in self._namespaces:
            _check_namespace(api, namespace)

    def __iter__(self) -> Iterator[Noted]:
        """Yield pods, then what makes pods, then custom resources; raises ClusterError where nothing may be read."""
        running: defaultdict[str, set[str]] = defaultdict(set)
        choice = Choice(self._view.labels, "status.phase=Running" if self._view.only_running else "")
        for pod in self._objects(PODS, choice):
            noted = _noted(pod, self._looker.look_at_pod(pod, self._plain))
            if owner := controller(pod):
                running[owner["uid"]] |= noted.names
                self._owned.setdefault(owner["uid"], (pod["metadata"]["namespace"], owner))
            yield self._remember(noted)
        yield from self._makers(running)
        if self._view.labels:
            self._complete()
        if self._release:
            self._plain = self.knowledge = self._release(self._seen.values())
        if not self._view.only_running:
            yield from self._custom()
        if not self._may_read:
            raise ClusterError(
                f"no right to list anything in {_scope(self._namespaces)}",
                status=403,
                hint="Name the namespaces that you may read with -n, or have the role of docs/clusters.md granted.",
            )

    def _makers(self, running: defaultdict[str, set[str]]) -> Iterator[Noted]:
        """Yield what makes pods; `running` are the images that pods name, by the uid of what made them."""
        choice = Choice(self._view.labels, metadata=self._view.only_running)
        # What pods belong to comes before what that belongs to in turn.
        for kind in sorted(TEMPLATES, key=lambda kind: kind.name not in ("ReplicaSet", "Job")):
            for value in self._objects(kind, choice):
                self.links.note(value)
                own, owner = running[value["metadata"]["uid"]], controller(value)
                if owner:
                    self._owned.setdefault(owner["uid"], (value["metadata"]["namespace"], owner))
                if owner and owner["kind"] in _MAKERS:
                    running[owner["uid"]] |= own
                elif not self._view.only_running:
                    noted = _noted(
                        value, self._looker.look(value, self._plain), frozenset() if self._view.whole else own
                    )
                    yield self._remember(noted)

    def _complete(self) -> None:
        """Ask for the makers of pods that have not the labels which are asked for: their chains go on."""
        kinds = {kind.name: kind for kind in TEMPLATES}
        pending = list(self._owned.values())
        while pending:
            namespace, owner = pending.pop()
            kind = kinds.get(owner["kind"])
            if kind is None or owner["uid"] in self.links:
                continue
            try:
                found = self._api.get(f"{kind.path(kind.versions[0], namespace)}/{owner['name']}")
            except ClusterError as error:
                if error.status != 403:
                    raise
                continue
            if found:
                self.links.note(found)
                above = controller(found)
                pending += [(namespace, above)] if above else ()

    def _custom(self) -> Iterator[Noted]:
        choice = Choice(self._view.labels)
        for kind in self._api.custom_kinds() or CUSTOM_RESOURCES:
            found = self._objects(kind, choice) if kind.namespaced or not self._namespaces else ()
            for number, value in enumerate(found):
                if number == 0:
                    self._learn(kind)
                self.links.note(value)
                yield _noted(value, self._looker.look(value, self.knowledge))

    def _objects(self, kind: Kind, choice: Choice) -> Iterator[dict[str, Any]]:
        for namespace in self._namespaces or (None,):
            try:
                yield from self._api.objects(kind, namespace, choice)
                self._may_read = True
            except ClusterError as error:
                if error.status in (None, 401):
                    raise
                self.errors.append(f"{error}; its images are not in the report")

    def _remember(self, noted: Noted) -> Noted:
        """Keep one place of each image, which is what a release is learnt from."""
        for found in noted.walk.findings if self._release else ():
            self._seen.setdefault((found.object.kind, found.text), found)
        return noted

    def _learn(self, kind: Kind) -> None:
        """Let the definition of a kind say which of its fields name images and pull secrets; without the right to read it, names and shapes do."""
        try:
            definition = self._api.get(f"{DEFINITIONS}/{kind}")
        except ClusterError as error:
            if error.status != 403:
                raise
            return
        if definition:
            known = {(it.group, it.kind, it.path) for it in self._plain.secrets}
            secrets = [it for it in secret_fields_of(definition) if (it.group, it.kind, it.path) not in known]
            self.taught += Knowledge(rules=Rules(tuple(rules_of(definition))), secrets=tuple(secrets))
            self.knowledge = self._plain + self.taught


def _noted(value: dict[str, Any], walk: Walk, known: AbstractSet[str] = frozenset()) -> Noted:
    """Keep each image of an object once, without those that are known."""
    names = {found.text for found in walk.findings} | {place.text for place in walk.unresolved}
    findings: dict[str, Finding] = {}
    for found in walk.findings:
        if found.text not in known:
            findings.setdefault(found.text, found)
    unresolved = [place for place in walk.unresolved if place.text not in known]
    kept = msgspec.structs.replace(walk, findings=list(findings.values()), unresolved=unresolved)
    return Noted(value, kept, frozenset(names))


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


def _scope(namespaces: Sequence[str]) -> str:
    return f"namespace {', '.join(namespaces)}" if namespaces else "all namespaces"
