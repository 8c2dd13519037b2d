"""Learn a release from its own files: the operator's bundle, a REC that names a Redis tag, an OLM ClusterServiceVersion."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from homeport.applications.redis_enterprise.facts import Facts, Operator, Thing
from homeport.applications.redis_enterprise.fields import REDIS
from homeport.applications.redis_enterprise.model import Build, Bundle, Release, Taught
from homeport.applications.redis_enterprise.releases import (
    FIRST_CALL_HOME,
    FIRST_MINIMAL,
    FIRST_WITHOUT_SUFFIX,
    check_operator,
    check_redis,
    plain_redis,
    version_of,
)
from homeport.discovery.documents import parse_documents
from homeport.discovery.inputs import Source
from homeport.discovery.tree import dig, is_list, text_of
from homeport.errors import InputError, UsageError
from homeport.oci.digest import is_digest
from homeport.oci.unreadable import UNREADABLE

_COMPONENTS = {
    "redis-enterprise-operator": "operator",
    "services-rigger": "rigger",
    "k8s-controller-image": "rigger",
    "redis-enterprise-node": "redis",
    "rs-image": "redis",
    "redis-enterprise-node-minimal": "minimal",
    "call-home-client": "call_home",
}


def learn_release(roots: Iterable[tuple[str, object]]) -> Taught:
    """Read one release out of its files; raises UsageError where they name no operator or disagree, InputError for a bad digest."""
    facts = Facts.of(roots)
    operators = {operator.version: operator for operator in facts.operators if operator.version}
    if len(operators) != 1:
        found = ", ".join(sorted(operators)) or "none"
        raise UsageError(
            f"these files name {'no operator' if not operators else f'several operators: {found}'}",
            hint="Give the files of one release: bundle.yaml or a ClusterServiceVersion, and a REC that names its Redis tag.",
        )
    ((tag, operator),) = operators.items()
    version = version_of(check_operator(tag))
    builds = tuple(dict.fromkeys(_builds(tag, facts.clusters)))
    release = Release(tag, call_home=version is not None and version >= FIRST_CALL_HOME, redis=builds)
    return Taught((release,), tuple(_bundles(operator)))


def _builds(operator: str, clusters: Iterable[Thing]) -> Iterable[Build]:
    for cluster in clusters:
        written = text_of(dig(cluster.root, (*REDIS.path, REDIS.tag)))
        if not written:
            continue
        check_redis(written)
        tag = plain_redis(written)
        if (version_of(tag) or ())[:3] != (version_of(operator) or ())[:3]:
            raise UsageError(
                f"{cluster.source} names Redis {written}, which is no build for operator {operator}",
                hint="The part before the hyphen is the same in operator and Redis; give files of one release.",
            )
        version = version_of(operator) or ()
        openshift = tag if version[:2] >= FIRST_WITHOUT_SUFFIX else written if ".rhel" in written else None
        yield Build(tag, openshift=openshift, minimal=version >= FIRST_MINIMAL, source="learned")


def _bundles(operator: Operator) -> Iterable[Bundle]:
    thing = operator.thing
    if thing.key.kind != "ClusterServiceVersion":
        return
    related = dig(thing.root, ("spec", "relatedImages"))
    found: dict[str, Any] = {}
    for index, image in enumerate(related if is_list(related) else ()):
        component = _COMPONENTS.get(text_of(dig(image, ("name",))))
        digest = text_of(dig(image, ("image",))).partition("@")[2]
        if component is None or not digest:
            continue
        if not is_digest(digest):
            raise InputError(
                f"{digest!r} is a placeholder, not a digest",
                file=thing.source,
                line=thing.line(("spec", "relatedImages", index)),
                hint="This bundle was published by mistake; take the next one of the same release.",
            )
        found[component] = digest
    if "operator" in found:
        yield Bundle(text_of(dig(thing.root, ("spec", "version"))), **found)


def learn_files(files: Sequence[Source]) -> Taught:
    """Read one release out of texts; a text in the form of the learned file is taken as it is. Raises as `learn_release`."""
    taught, roots = Taught(), list[tuple[str, object]]()
    for file in files:
        try:
            taught += msgspec.json.decode(file.text, type=Taught)
        except UNREADABLE:
            roots += [(file.name, document.root) for document in parse_documents(file)]
    if roots:
        taught += learn_release(roots)
    if not taught.releases:
        raise UsageError("these files hold no release", hint="Give bundle.yaml or a ClusterServiceVersion.")
    return taught
