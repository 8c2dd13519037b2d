"""Which image each pod will really pull, and by which rule.

The operator's source is closed: the rules are those of the CRD's texts (redis_enterprise_cluster_api.md), of release note 8.2.0-12
(RED-193056), and of the environment that OLM bundles and the AKS chart give it. Where these leave a gap, the rule says so.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from homeport.applications.redis_enterprise.facts import Facts, Operator, Steps, Thing
from homeport.applications.redis_enterprise.fields import BOOTSTRAPPER, CALL_HOME, FIELDS, REDIS, RIGGER
from homeport.applications.redis_enterprise.implied import calls_home, on_openshift, own_operator
from homeport.applications.redis_enterprise.releases import (
    RED_HAT_BY_DEFAULT,
    default_images,
    find_release,
    version_of,
)
from homeport.discovery.knowledge import ImageField
from homeport.discovery.tree import dig, is_list, is_map, text_of

_DIGESTS: Final[dict[ImageField, tuple[str, ...]]] = {
    REDIS: ("DEFAULT_RS_IMAGE_DIGEST",),
    BOOTSTRAPPER: ("DEFAULT_BOOTSTRAPPER_IMAGE_DIGEST",),
    RIGGER: ("DEFAULT_RIGGER_IMAGE_DIGEST", "DEFAULT_K8S_CONTROLLER_IMAGE_DIGEST"),
    CALL_HOME: ("DEFAULT_CALL_HOME_IMAGE_DIGEST",),
}
_REPOSITORIES: Final[dict[ImageField, tuple[str, ...]]] = {
    REDIS: (),
    BOOTSTRAPPER: ("DEFAULT_BOOTSTRAPPER_IMAGE_REPOSITORY",),
    RIGGER: ("DEFAULT_RIGGER_IMAGE_REPOSITORY",),
    CALL_HOME: ("DEFAULT_CALL_HOME_IMAGE_REPOSITORY",),
}


class Situation(msgspec.Struct, frozen=True, eq=False):
    """A cluster, and what is known of the operator that manages it; `version` is empty where that is not known."""

    cluster: Thing
    version: str
    openshift: bool
    olm: bool
    environment: Mapping[str, str]

    @classmethod
    def of(cls, facts: Facts, cluster: Thing, *, openshift: bool | None = None) -> "Situation":
        """Learn it from the operators beside a cluster, or from the cluster's own tags; `openshift` is what a person says."""
        operators = facts.operators_of(cluster)
        versions = {it.version for it in operators if it.version} or set(own_operator(cluster.root))
        if openshift is None:
            openshift = any(it.openshift for it in operators) or on_openshift(cluster.root)
        environment = {name: value for operator in operators for name, value in operator.environment.items()}
        return cls(
            cluster,
            versions.pop() if len(versions) == 1 else "",
            openshift,
            any(it.olm for it in operators),
            environment,
        )

    @property
    def runs_call_home(self) -> bool:
        """Whether a call-home client runs; where the operator is not known, it may."""
        return calls_home(self.cluster.root, (self.version,) if self.version else ())

    @property
    def default_names(self) -> dict[ImageField, str]:
        """The repositories that the operator takes where none is named, its environment aside."""
        images = default_images(self.version or "unknown", openshift=self.openshift)
        references = {
            REDIS: images.redis,
            BOOTSTRAPPER: images.operator,
            RIGGER: images.rigger,
            CALL_HOME: images.call_home,
        }
        return {field: reference.name for field, reference in references.items()}


class Resolved(msgspec.Struct, frozen=True):
    """What an image spec comes to. `identifier` is a tag or a digest, empty where it is not known; rules say where each is from."""

    repository: str
    identifier: str
    named: bool
    repository_rule: str
    identifier_rule: str

    @property
    def image(self) -> str:
        """The name as the kubelet gets it."""
        if not self.identifier:
            return self.repository
        return f"{self.repository}{'@' if self.identifier.startswith('sha256:') else ':'}{self.identifier}"


class Pulled(msgspec.Struct, frozen=True):
    """One container and its image; `open` where the tag is not known."""

    source: str
    pod: str
    container: str
    image: str
    rule: str
    open: bool = False


def effective_images(facts: Facts, *, openshift: bool | None = None) -> tuple[Pulled, ...]:
    """Return what each pod of the operators and clusters will pull."""
    found = [pulled for operator in facts.operators for pulled in _of_operator(operator)]
    for cluster in facts.clusters:
        found += _of_cluster(Situation.of(facts, cluster, openshift=openshift))
    return tuple(found)


def resolve(situation: Situation, field: ImageField) -> Resolved:
    """Work out what one image spec of a cluster comes to."""
    found = dig(situation.cluster.root, field.path)
    spec = found if is_map(found) else {}
    environment, where = situation.environment, ".".join(field.path[1:])
    written = text_of(spec.get(field.repository))
    variable = next((name for name in _REPOSITORIES[field] if environment.get(name)), "")
    if written:
        repository, rule = written, f"{where}.repository"
    elif variable:
        repository, rule = environment[variable], f"{variable} of the operator"
    else:
        repository, rule = situation.default_names[field], _default_rule(situation)
    identifier, identifier_rule = _identifier(situation, field, spec)
    return Resolved(repository, identifier, bool(written or variable), rule, identifier_rule)


def extra_containers(cluster: Thing) -> Iterator[tuple[Steps, str, str, str]]:
    """Yield path, pod, container and image of what a person adds to the cluster's pods."""
    rigger_pod = ("spec", "servicesRiggerSpec", "servicesRiggerAdditionalPodSpecAttributes")
    node_pod = ("spec", "redisEnterpriseAdditionalPodSpecAttributes")
    lists: list[tuple[Steps, str]] = [(("spec", "sideContainersSpec"), "Redis node")]
    for attributes, pod in ((node_pod, "Redis node"), (rigger_pod, "services rigger")):
        lists += [((*attributes, "initContainers"), pod), ((*attributes, "ephemeralContainers"), pod)]
    for where, pod in lists:
        containers = dig(cluster.root, where)
        for index, container in enumerate(containers if is_list(containers) else ()):
            if image := text_of(dig(container, ("image",))):
                yield (*where, index, "image"), pod, text_of(dig(container, ("name",))), image


def _identifier(situation: Situation, field: ImageField, spec: Mapping[str, Any]) -> tuple[str, str]:
    where = ".".join(field.path[1:])
    if pinned := text_of(spec.get(field.digest)):
        return pinned, f"{where}.digestHash"
    if written := text_of(spec.get(field.tag)):
        return written, f"{where}.versionTag"
    for name in _DIGESTS[field]:
        if digest := situation.environment.get(name):
            mixed = "; with a repository of one's own this is not documented"
            return digest, f"{name} of the operator{mixed if text_of(spec.get(field.repository)) else ''}"
    if not situation.version:
        return "", "the operator's default, and its version is not known"
    if field is not REDIS:
        return situation.version, f"the tag of operator {situation.version}"
    release = find_release(situation.version)
    if release is None or not release.redis:
        return "", f"the default of operator {situation.version}, whose Redis tag is not known"
    build = release.redis[0]
    tag = build.openshift if situation.openshift else build.tag
    return tag or "", f"the Redis tag that operator {situation.version} was first published with"


def _default_rule(situation: Situation) -> str:
    if not situation.openshift:
        return "the operator's default; it does not follow the operator's own registry"
    number = version_of(situation.version)
    if number and number < RED_HAT_BY_DEFAULT:
        return "the operator's default: Docker Hub, on OpenShift too, before 8.2.0-12"
    return "the operator's default on OpenShift from 8.2.0-12 on"


def _of_operator(operator: Operator) -> Iterator[Pulled]:
    key = operator.thing.key
    for _, name, image in operator.containers:
        yield Pulled(operator.thing.source, f"{key.kind}/{key.name}", name, image, "written in the manifest")


def _of_cluster(situation: Situation) -> Iterator[Pulled]:
    cluster = situation.cluster
    name = cluster.key.name or "REC"
    pods = {
        REDIS: (f"StatefulSet/{name}", "redis-enterprise-node"),
        BOOTSTRAPPER: (f"StatefulSet/{name}", "bootstrapper"),
        RIGGER: (f"Deployment/{name}-services-rigger", "services-rigger"),
        CALL_HOME: ("CronJob of the call-home client", "call-home-client"),
    }
    for field in FIELDS.images:
        if field is CALL_HOME and not situation.runs_call_home:
            continue
        found = resolve(situation, field)
        rule = (
            f"{found.repository_rule} and versionTag"
            if found.repository_rule.endswith(".repository") and found.identifier_rule.endswith(".versionTag")
            else f"repository: {found.repository_rule}; tag: {found.identifier_rule}"
        )
        yield Pulled(cluster.source, *pods[field], found.image, rule, open=not found.identifier)
    for path, _, container, image in extra_containers(cluster):
        pod = pods[RIGGER if "servicesRiggerSpec" in path else REDIS][0]
        yield Pulled(cluster.source, pod, container, image, cluster.where(path))
