"""Checks of versions: which tags belong together."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from homeport.applications.redis_enterprise.checks.problem import Context, Problem, Rule
from homeport.applications.redis_enterprise.effective import Situation
from homeport.applications.redis_enterprise.facts import Thing, last, read_image
from homeport.applications.redis_enterprise.fields import BOOTSTRAPPER, CALL_HOME, REDIS, RIGGER
from homeport.applications.redis_enterprise.releases import (
    FIRST_WITHOUT_SUFFIX,
    MINIMAL,
    find_release,
    plain_redis,
    releases,
    shipping,
    version_of,
)
from homeport.discovery.tree import dig, is_list, text_of

UNEQUAL: Final = Rule(
    "RE001", "error", "Operator, bootstrapper, services rigger and call-home client have the same tag in every release."
)
UNPUBLISHED: Final = Rule(
    "RE002", "error", "An operator supports the Redis builds that were published for it, and no others."
)
OTHER_VERSION: Final = Rule("RE003", "error", "The part before the hyphen is the same for operator and Redis.")
UNKNOWN: Final = Rule("RE004", "warning", "What belongs to this version is not known, so less can be checked.")
SUFFIX: Final = Rule(
    "RE005",
    "error",
    "Red Hat's Redis tags end in .rhel8-openshift (or .rhel7-openshift) before 7.8, and in nothing from 7.8 on.",
)
NOT_MINIMAL: Final = Rule("RE006", "error", "The minimal image is published from operator 8.0.18-11 on.")
TWO_CLUSTERS: Final = Rule("RE007", "error", "An operator manages one RedisEnterpriseCluster in its namespace.")
OLD_FORM: Final = Rule("RE008", "warning", "Forms of before 6.0.20 are recognised here, and no more.")
SEVERAL: Final = Rule(
    "RE009", "error", "One operator manages a namespace; two of different versions work against each other."
)

FIRST_RED_HAT_REDIS: Final = (6, 0, 12)
ONE_TO_ONE: Final = (7, 8, 6, 2)
"""From this operator on each Redis build has an operator's tag of its own."""

_OLD_IMAGES: Final = ("service-broker", "operator-internal", "gesher")


def check_tags(context: Context) -> Iterator[Problem]:
    """Check the tags that must equal the operator's, and the Redis tag against it."""
    for situation in context.situations:
        wanted = situation.version or _most_said(situation)
        for field in (BOOTSTRAPPER, RIGGER, CALL_HOME):
            path = (*field.path, field.tag)
            tag = text_of(dig(situation.cluster.root, path))
            if tag and wanted and tag != wanted and "/" not in tag:
                yield UNEQUAL.broken(
                    situation.cluster,
                    path,
                    f"the {field.role} has tag {tag}, the operator {wanted}",
                    f"Write {field.tag}: {wanted}.",
                )
        yield from _redis(situation, wanted)


def check_operators(context: Context) -> Iterator[Problem]:
    """Check that each operator's version is known, and that there is one for a namespace."""
    by_namespace: defaultdict[str, dict[str, Thing]] = defaultdict(dict)
    for operator in context.facts.operators:
        by_namespace[operator.thing.key.namespace].setdefault(operator.version, operator.thing)
        if operator.version and find_release(operator.version) is None:
            yield UNKNOWN.broken(
                operator.thing,
                operator.pod,
                f"operator {operator.version} is not among the known releases",
                "Teach it: homeport redis-enterprise releases --update bundle.yaml rec.yaml",
            )
    for versions in by_namespace.values():
        named = sorted(version for version in versions if version)
        if len(named) > 1:
            yield SEVERAL.broken(
                versions[named[-1]], (), f"the operator may be {' or '.join(named)}", "Check one version at a time."
            )


def check_clusters(context: Context) -> Iterator[Problem]:
    """Check that a namespace holds one cluster, once."""
    by_namespace: defaultdict[str, dict[str, Thing]] = defaultdict(dict)
    for cluster in context.facts.clusters:
        others = by_namespace[cluster.key.namespace]
        if others and cluster.key.name not in others:
            first = next(iter(others.values()))
            tags = [text_of(dig(each.root, (*REDIS.path, REDIS.tag))) or "no tag" for each in (first, cluster)]
            yield TWO_CLUSTERS.broken(
                cluster,
                (),
                f"{first.key.name or 'a cluster'} ({tags[0]}) and {cluster.key.name or 'another'} ({tags[1]}) "
                "are in one namespace",
                "Give each its own namespace, with an operator of its own.",
            )
        others.setdefault(cluster.key.name, cluster)


def check_old_forms(context: Context) -> Iterator[Problem]:
    """Name what only releases before 6.0.20 have."""
    for cluster in context.facts.clusters:
        if dig(cluster.root, ("spec", "serviceBrokerSpec")) is not None:
            yield OLD_FORM.broken(
                cluster, ("spec", "serviceBrokerSpec"), "the service broker is gone since 6.0.8", "Remove it."
            )
    for thing in context.facts.things:
        containers = dig(thing.root, ("spec", "template", "spec", "containers"))
        for index, container in enumerate(containers if is_list(containers) else ()):
            image = read_image(text_of(dig(container, ("image",))))
            if image and "redislabs" in image.repository.split("/") and last(image.repository) in _OLD_IMAGES:
                yield OLD_FORM.broken(
                    thing,
                    ("spec", "template", "spec", "containers", index, "image"),
                    f"{image} belongs to an operator before 6.0.20 or to its old admission proxy",
                    "Apply the bundle of a current release; its operator's pod holds the admission controller.",
                )


def _redis(situation: Situation, operator: str) -> Iterator[Problem]:
    path = (*REDIS.path, REDIS.tag)
    tag = text_of(dig(situation.cluster.root, path))
    number = version_of(tag)
    if not tag or number is None or "/" in tag:
        return
    repository = text_of(dig(situation.cluster.root, (*REDIS.path, REDIS.repository)))
    yield from _suffix(situation.cluster, tag, number, red_hat=last(repository) == "redis-enterprise")
    if tag.endswith(MINIMAL) and (found := shipping(tag)) and not any(build.minimal for _, build in found):
        yield NOT_MINIMAL.broken(
            situation.cluster, path, f"there is no {tag}", f"Write {REDIS.tag}: {tag.removesuffix(MINIMAL)}."
        )
    if not (version := version_of(operator)):
        return
    release = find_release(operator)
    red_hat = ".rhel" in tag or last(repository) == "redis-enterprise"
    builds = [(red_hat and build.openshift) or build.tag for build in release.redis] if release else []
    if version[:3] != number[:3]:
        yield OTHER_VERSION.broken(
            situation.cluster,
            path,
            f"Redis {tag} does not go with operator {operator}",
            f"Write {REDIS.tag}: {builds[0]}." if builds else "Take the Redis tag of the operator's release notes.",
        )
    elif builds and (shippers := shipping(tag)) == [] and _may_be_newer(operator, number, builds[-1]):
        yield UNKNOWN.broken(
            situation.cluster,
            path,
            f"Redis {tag} is newer than any build known for operator {operator}",
            "If it was published, teach it: homeport redis-enterprise releases --update bundle.yaml rec.yaml",
        )
    elif builds and all(each.operator != operator for each, _ in shippers):
        yield UNPUBLISHED.broken(
            situation.cluster,
            path,
            f"Redis {tag} was not published for operator {operator}",
            f"Write one of {', '.join(builds)}." if len(builds) > 1 else f"Write {REDIS.tag}: {builds[0]}.",
        )


def _may_be_newer(operator: str, redis: tuple[int, ...], newest: str) -> bool:
    """Tell whether a build may have been published since: until 7.8.6-2 the last operator of a version got new builds."""
    version = version_of(operator) or ()
    later = any(
        (version_of(it.operator) or ())[:3] == version[:3] and (version_of(it.operator) or ()) > version
        for it in releases()
    )
    return version < ONE_TO_ONE and not later and redis > (version_of(newest) or ())


def _suffix(cluster: Thing, tag: str, number: tuple[int, ...], *, red_hat: bool) -> Iterator[Problem]:
    path = (*REDIS.path, REDIS.tag)
    suffix = ".rhel" in tag
    if suffix and number[:2] >= FIRST_WITHOUT_SUFFIX:
        yield SUFFIX.broken(
            cluster, path, f"{tag} does not exist (RED-152022)", f"Write {REDIS.tag}: {plain_redis(tag)}."
        )
    elif red_hat and not suffix and number[:3] >= FIRST_RED_HAT_REDIS and number[:2] < FIRST_WITHOUT_SUFFIX:
        known = next((build.openshift for _, build in shipping(tag) if build.openshift), f"{tag}.rhel8-openshift")
        yield SUFFIX.broken(cluster, path, f"Red Hat has no {tag}", f"Write {REDIS.tag}: {known}.")


def _most_said(situation: Situation) -> str:
    """Return the tag that the cluster's own specs agree on most, where no operator tells."""
    tags = [
        text_of(dig(situation.cluster.root, (*field.path, field.tag))) for field in (BOOTSTRAPPER, RIGGER, CALL_HOME)
    ]
    said = [tag for tag in tags if version_of(tag)]
    return max(said, key=said.count) if said else ""
