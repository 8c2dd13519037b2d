"""Which images a RedisEnterpriseCluster pulls without naming them.

Where an image spec is absent, the operator takes its own default from the cluster's default registry, not from the registry that
the operator itself came from (redis-enterprise-k8s-docs, redis_enterprise_cluster_api.md).
"""

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from homeport.applications.redis_enterprise.chart import (
    CLUSTER_TEXT,
    OPERATOR,
    SECRETS,
    cluster_in,
    is_values,
    makes_cluster,
    operator_image,
)
from homeport.applications.redis_enterprise.facts import OPERATOR_NAMES, is_operator, last
from homeport.applications.redis_enterprise.fields import (
    BOOTSTRAPPER,
    CALL_HOME,
    FIELDS,
    GROUP,
    KIND,
    REDIS,
    RIGGER,
)
from homeport.applications.redis_enterprise.releases import (
    RED_HAT_NAMES,
    Images,
    call_home_with_redis,
    default_images,
    has_call_home,
    release_images,
    version_of,
)
from homeport.discovery.findings import Finding, ObjectKey
from homeport.discovery.knowledge import ImageField, Implied, Knowledge, group_of
from homeport.discovery.tree import dig, is_map, is_true, text_of
from homeport.oci.digest import is_digest
from homeport.reference import Reference, is_tag

_RUNNERS: Final = ("Deployment", "Pod")


class Choice(msgspec.Struct, frozen=True):
    """What is known of the release: the operator's tag (several where inputs disagree), and a Redis tag that was asked for.

    `openshift` tells the platform, by the operator's name at Red Hat; None where inputs hold operators of both platforms.
    """

    operators: tuple[str, ...] = ()
    redis: str | None = None
    openshift: bool | None = False


def choose(findings: Iterable[Finding], operator: str | None = None, redis: str | None = None) -> Choice:
    """Learn the release from the operator's Deployments and pods among the findings, unless `operator` names it."""
    images = [
        finding.reference for finding in findings if finding.object.kind in _RUNNERS and is_operator(finding.reference)
    ]
    tags = (operator,) if operator else tuple(sorted({image.tag for image in images if image.tag}))
    platforms = {OPERATOR_NAMES[last(image.repository)] for image in images} or {False}
    return Choice(tags, redis, platforms.pop() if len(platforms) == 1 else None)


def knowledge(choice: Choice) -> Knowledge:
    """Return all rules of Redis Enterprise, with what is known of the release."""
    functions = (implied_images, implied_by_values, implied_by_text)
    return FIELDS + Knowledge(
        secrets=SECRETS,
        implied=tuple(functools.partial(each, choice) for each in functions),
        default_tags=(functools.partial(default_tag, choice),),
    )


def default_tag(choice: Choice, rec: Mapping[str, Any], field: ImageField) -> str:
    """Return the tag that the operator takes where an image spec names a repository alone; empty where that is not known."""
    operators, openshift = choice.operators or own_operator(rec), on_openshift(rec) or choice.openshift
    if field not in FIELDS.images or _unknown(operators, openshift):
        return ""
    return _image_of(field, release_images(operators[0], choice.redis, openshift=bool(openshift))).tag or ""


def implied_images(choice: Choice, key: ObjectKey, rec: Mapping[str, Any]) -> Iterator[Implied]:
    """Yield the images that a cluster pulls by the operator's defaults."""
    if key.kind != KIND or group_of(key.api_version) != GROUP:
        return
    operators = choice.operators or own_operator(rec)
    openshift = on_openshift(rec) or choice.openshift
    unknown = _unknown(operators, openshift)
    for field in FIELDS.images:
        spec = dig(rec, field.path)
        if is_map(spec) and text_of(spec.get(field.repository)):
            continue
        if field is CALL_HOME and not calls_home(rec, operators):
            continue
        absent = f"no repository is named, so the operator pulls its own default for the {field.role}"
        if unknown:
            yield Implied(field, f"{absent}; {unknown}")
        else:
            images = release_images(operators[0], choice.redis, openshift=bool(openshift))
            defaults = default_images(operators[0], choice.redis, openshift=bool(openshift))
            yield _imply(field, spec if is_map(spec) else {}, images, defaults, absent=absent)


def implied_by_values(choice: Choice, key: ObjectKey, values: Mapping[str, Any]) -> Iterator[Implied]:
    """Yield the images that the chart pulls where its values name no repository: the operator's, and the cluster's."""
    if not is_values(key, values):
        return
    image = operator_image(values)
    if not text_of(dig(values, (*OPERATOR.path, OPERATOR.repository))):
        absent = "no repository is named, so the chart takes its own default for the operator"
        told = f"{absent}, which is {image}" if image else f"{absent}; the chart's version is its tag"
        yield Implied(OPERATOR, told, image)
    if not makes_cluster(values):
        return
    tag = text_of(dig(values, (*OPERATOR.path, OPERATOR.tag)))
    openshift = is_true(dig(values, ("openshift", "mode")))
    known = Choice((tag,), choice.redis, openshift) if tag else choice
    for implied in implied_images(known, ObjectKey(f"{GROUP}/v1", KIND), values["cluster"]):
        field = msgspec.structs.replace(implied.field, path=("cluster", *implied.field.path))
        yield msgspec.structs.replace(implied, field=field)


def implied_by_text(choice: Choice, key: ObjectKey, config: Mapping[str, Any]) -> Iterator[Implied]:
    """Yield the images that the cluster in a rendered chart's ConfigMap pulls unnamed."""
    if (found := cluster_in(key, config)) is None:
        return
    for implied in implied_images(choice, ObjectKey(f"{GROUP}/v1", KIND), found[0]):
        field = msgspec.structs.replace(implied.field, path=(*CLUSTER_TEXT, *implied.field.path))
        reason = f"{implied.reason}; write it under cluster.spec of the chart's values"
        yield msgspec.structs.replace(implied, field=field, reason=reason, inside=len(CLUSTER_TEXT))


def _unknown(operators: tuple[str, ...], openshift: bool | None) -> str:
    """Say why it is not known which release a cluster belongs to; empty where it is."""
    if not operators:
        return "the operator's version is not known"
    if len(operators) > 1:
        return f"the operator may be {' or '.join(operators)}"
    return "operators for Kubernetes and for OpenShift are given" if openshift is None else ""


def _imply(field: ImageField, spec: Mapping[str, Any], images: Images, defaults: Images, *, absent: str) -> Implied:
    tag = text_of(spec.get(field.tag)) or _image_of(field, images).tag
    if tag is None:
        return Implied(field, f"{absent}; no Redis tag is known for operator {images.operator.tag}")
    digest = text_of(spec.get(field.digest)) or None
    if not is_tag(tag) or (digest and not is_digest(digest)):
        return Implied(field, f"{absent}, and its {field.digest if is_tag(tag) else field.tag} is none")
    right, taken = (
        msgspec.structs.replace(_image_of(field, each), tag=tag, digest=digest) for each in (images, defaults)
    )
    if right == taken:
        return Implied(field, f"{absent}, which is {taken}", right)
    return Implied(field, f"{absent}, which is {taken}; {right} belongs there", right, taken)


def _image_of(field: ImageField, images: Images) -> Reference:
    named = {REDIS: images.redis, BOOTSTRAPPER: images.operator, RIGGER: images.rigger, CALL_HOME: images.call_home}
    return named[field]


def calls_home(rec: Mapping[str, Any], operators: tuple[str, ...]) -> bool:
    """Tell whether the call-home client runs; where nothing tells, it may (it does from 7.22.0-7 on)."""
    if is_true(dig(rec, ("spec", "usageMeter", "callHomeClient", "disabled"))):
        return False
    if operators:
        return any(has_call_home(operator) is not False for operator in operators)
    return call_home_with_redis(text_of(dig(rec, (*REDIS.path, REDIS.tag)))) is not False


def own_operator(rec: Mapping[str, Any]) -> tuple[str, ...]:
    """Read the operator's tag from the fields whose tags equal it."""
    tags = {text_of(dig(rec, (*field.path, field.tag))) for field in (BOOTSTRAPPER, RIGGER, CALL_HOME)}
    return tuple(sorted(tag for tag in tags if version_of(tag)))


def on_openshift(rec: Mapping[str, Any]) -> bool:
    """Tell whether a cluster names images as Red Hat calls them."""
    return any(last(text_of(dig(rec, (*field.path, field.repository)))) in RED_HAT_NAMES for field in FIELDS.images)
