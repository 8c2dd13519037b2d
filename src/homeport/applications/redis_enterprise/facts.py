"""What manifests or a live cluster say of a deployment: operators, clusters, and what stands around them."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from homeport.applications.redis_enterprise.chart import (
    CLUSTER_TEXT,
    cluster_in,
    is_values,
    makes_cluster,
    operator_image,
)
from homeport.applications.redis_enterprise.fields import GROUP, KIND
from homeport.applications.redis_enterprise.releases import RED_HAT_NAMES, version_of
from homeport.discovery.findings import ObjectKey
from homeport.discovery.kinds import pod_spec_path
from homeport.discovery.knowledge import group_of
from homeport.discovery.tree import dig, is_list, is_map, is_true, line_of, text_of, write_path
from homeport.errors import InvalidReferenceError
from homeport.reference import Reference

OPERATOR_NAMES: Final = {"operator": False, "redis-enterprise-operator": True}
ENVIRONMENT: Final = "operator-environment-config"
"""The ConfigMap that both containers of the operator take their environment from."""

_OPERATOR: Final = "redis-enterprise-operator"
_PLACEHOLDER: Final = "placeholder"
"""The namespace that a ClusterServiceVersion in a bundle has; it goes where OLM installs it."""
_DEPLOYMENTS: Final = ("spec", "install", "spec", "deployments")

Steps = tuple[str | int, ...]


class Thing(msgspec.Struct, frozen=True, eq=False):
    """One object, and the text or cluster that it is from; `prefix` leads to it in its document.

    `at` is where a chart's values say what such an object is made of; `above` counts the lines above a text inside a text.
    """

    source: str
    key: ObjectKey
    root: Mapping[str, Any]
    prefix: Steps = ()
    at: str = ""
    above: int = 0

    def line(self, path: Steps) -> int:
        """Return the line of a place, or of the nearest thing around it that is there; -1 in live objects."""
        for length in range(len(path), -1, -1):
            value = dig(self.root, path[:length])
            if value is not None:
                break
        line = line_of(value)
        return line + self.above if line > 0 else line

    def where(self, path: Steps) -> str:
        """Write a place as people do."""
        return self.at or write_path((*self.prefix, *path))


class Operator(msgspec.Struct, frozen=True, eq=False):
    """An operator: its pod specification, and the environment that its containers have.

    `olm` tells whether it stands in a ClusterServiceVersion, or says itself that OLM installed it.
    """

    thing: Thing
    pod: Steps
    environment: dict[str, str]
    olm: bool

    @property
    def containers(self) -> list[tuple[Steps, str, str]]:
        """Path, name and image text of each container."""
        found = dig(self.thing.root, (*self.pod, "containers"))
        return [
            ((*self.pod, "containers", index), text_of(dig(each, ("name",))), text_of(dig(each, ("image",))))
            for index, each in enumerate(found if is_list(found) else ())
        ]

    @property
    def images(self) -> list[Reference]:
        """The containers' images, as far as they can be read."""
        return [image for _, _, text in self.containers if (image := read_image(text))]

    @property
    def version(self) -> str:
        """The tag that all containers have; a ClusterServiceVersion says it in its own version. Empty where none tells."""
        tags = {image.tag for image in self.images if image.tag}
        if not tags and (written := text_of(dig(self.thing.root, ("spec", "version")))):
            tags = {operator_of_bundle(written)}
        return tags.pop() if len(tags) == 1 else ""

    @property
    def openshift(self) -> bool:
        """Whether it runs on OpenShift: its environment or its image's name at Red Hat says so."""
        marks = (self.environment.get(name) == "true" for name in ("IS_OPENSHIFT", "DEPLOY_RHEL"))
        return any(marks) or any(last(image.repository) in RED_HAT_NAMES for image in self.images)


class Facts(msgspec.Struct, frozen=True, eq=False):
    """All that was read. `things` are all objects, `clusters` the RedisEnterpriseClusters."""

    things: tuple[Thing, ...]
    operators: tuple[Operator, ...]
    clusters: tuple[Thing, ...]

    @classmethod
    def of(cls, roots: Iterable[tuple[str, object]]) -> "Facts":
        """Sort the objects of documents, each with its source's name."""
        things = tuple(thing for source, root in roots for thing in _things(source, root))
        environments = {
            thing.key.namespace: _strings(thing.root.get("data"))
            for thing in things
            if thing.key.kind == "ConfigMap" and thing.key.name == ENVIRONMENT
        }
        operators = tuple(operator for thing in things for operator in _operators(thing, environments))
        clusters = tuple(
            thing for thing in things if thing.key.kind == KIND and group_of(thing.key.api_version) == GROUP
        )
        return cls(things, operators, clusters)

    def operators_of(self, cluster: Thing) -> tuple[Operator, ...]:
        """Return the operators that may manage a cluster: those of its namespace, and those that name none."""
        return tuple(it for it in self.operators if same_namespace(it.thing.key, cluster.key))


def same_namespace(one: ObjectKey, other: ObjectKey) -> bool:
    """Tell whether two objects may be in one namespace; one that names none goes where it is applied."""
    return not one.namespace or not other.namespace or one.namespace == other.namespace


def read_image(text: str) -> Reference | None:
    """Read an image name; None where it is none."""
    try:
        return Reference.parse(text) if text else None
    except InvalidReferenceError:
        return None


def last(repository: str) -> str:
    """Return the last part of a repository's path."""
    return repository.rpartition("/")[2]


def is_operator(image: Reference) -> bool:
    """Tell whether an image is the operator, whatever registry holds it."""
    return last(image.repository) in OPERATOR_NAMES and "redislabs" in image.repository.split("/")


def operator_of_bundle(version: str) -> str:
    """Return the operator's tag that an OLM bundle's version begins with: ``8.0.20-23.0`` is of 8.0.20-23."""
    numbers = version_of(version.removeprefix("v"))
    return "{}.{}.{}-{}".format(*numbers) if numbers else ""


def _things(source: str, root: object) -> Iterator[Thing]:
    """Yield the objects of a document, those in Lists too, and what a chart's values hold."""
    pending: list[tuple[object, Steps]] = [(root, ())]
    while pending:
        value, prefix = pending.pop()
        if not is_map(value):
            continue
        metadata = value.get("metadata")
        namespace, name = (text_of(dig(metadata, (part,))) for part in ("namespace", "name"))
        if namespace == _PLACEHOLDER:
            namespace = ""
        key = ObjectKey(text_of(value.get("apiVersion")), text_of(value.get("kind")), namespace, name)
        items = value.get("items")
        if key.kind.endswith("List") and is_list(items):
            pending += [(item, (*prefix, "items", index)) for index, item in reversed(list(enumerate(items)))]
        else:
            yield Thing(source, key, value, prefix)
            yield from _of_values(source, key, value)
            if (found := cluster_in(key, value)) is not None:
                inner, above = found
                name = text_of(dig(inner, ("metadata", "name")))
                api = text_of(inner.get("apiVersion"))
                yield Thing(source, ObjectKey(api, KIND, namespace, name), inner, CLUSTER_TEXT, above=max(above, 0))


def _of_values(source: str, key: ObjectKey, values: Mapping[str, Any]) -> Iterator[Thing]:
    """Yield the operator and the cluster that the values of the chart make."""
    if not is_values(key, values):
        return
    image = values["operator"]["image"]
    name, tag = text_of(image.get("repository")), text_of(image.get("tag"))
    text = f"{name}:{tag}".removesuffix(":") if name else str(operator_image(values) or "")
    pod: dict[str, Any] = {"containers": [{"name": each, "image": text} for each in (_OPERATOR, "admission")]}
    names = values.get("imagePullSecrets")
    if is_list(names):
        pod["imagePullSecrets"] = [{"name": text_of(each)} for each in names if text_of(each)]
    deployment = {"spec": {"template": {"spec": pod}}}
    yield Thing(source, ObjectKey("apps/v1", "Deployment", "", _OPERATOR), deployment, at="operator.image")
    if makes_cluster(values):
        rec = text_of(dig(values, ("cluster", "name"))) or "rec"
        yield Thing(source, ObjectKey(f"{GROUP}/v1", KIND, "", rec), values["cluster"], ("cluster",))


def _operators(thing: Thing, environments: Mapping[str, Mapping[str, str]]) -> Iterator[Operator]:
    paths: list[Steps] = []
    if thing.key.kind == "ClusterServiceVersion":
        deployments = dig(thing.root, _DEPLOYMENTS)
        paths = [
            (*_DEPLOYMENTS, index, "spec", "template", "spec")
            for index in range(len(deployments) if is_list(deployments) else 0)
        ]
    elif thing.key.kind != "ReplicaSet" and (spec := pod_spec_path(thing.key)) is not None:
        paths = [spec]
    for path in paths:
        if _runs_operator(thing, path):
            own = environments.get(thing.key.namespace, environments.get("", {}))
            environment = {**own, **_environment(dig(thing.root, path))}
            olm = thing.key.kind == "ClusterServiceVersion" or environment.get("IS_OLM") == "true"
            yield Operator(thing, path, environment, olm)


def _runs_operator(thing: Thing, path: Steps) -> bool:
    containers = dig(thing.root, (*path, "containers"))
    for container in containers if is_list(containers) else ():
        image, name = read_image(text_of(dig(container, ("image",)))), text_of(dig(container, ("name",)))
        if name == _OPERATOR or (name == "admission" and image and is_operator(image)):
            return thing.key.kind != "Job"
        if image and is_operator(image) and thing.key.kind in ("Deployment", "Pod"):
            return True
    return False


def _environment(spec: object) -> dict[str, str]:
    """Return the variables of all containers that have a value."""
    containers = dig(spec, ("containers",))
    found: dict[str, str] = {}
    for container in containers if is_list(containers) else ():
        variables = dig(container, ("env",))
        for variable in variables if is_list(variables) else ():
            value = dig(variable, ("value",))
            text = "true" if is_true(value) else text_of(value)
            if text:
                found.setdefault(text_of(dig(variable, ("name",))), text)
    return found


def _strings(data: object) -> dict[str, str]:
    return {str(key): text_of(value) for key, value in data.items()} if is_map(data) else {}
