"""The way from one release to another: which hops, which steps, what each suspends, restarts and pulls."""

from collections.abc import Iterator
from typing import Final

import msgspec

from homeport.applications.redis_enterprise.checks.problem import PUBLIC
from homeport.applications.redis_enterprise.facts import Facts, read_image
from homeport.applications.redis_enterprise.fields import FIELDS, REDIS
from homeport.applications.redis_enterprise.manifests import Wish
from homeport.applications.redis_enterprise.releases import (
    check_operator,
    find_release,
    images_of,
    version_of,
)
from homeport.applications.redis_enterprise.steps import Step, hop_steps
from homeport.discovery.tree import dig, is_true, text_of
from homeport.errors import UsageError
from homeport.mapping import Target
from homeport.reference import Reference

UNKNOWN_TARGET: Final = Target("REGISTRY")
"""Stands in commands for a registry that nobody has named."""

_UPGRADE_PAGE: Final = "redis/docs, content/operate/kubernetes/upgrade/upgrade-redis-cluster.md"
_OPENSHIFT_PAGE: Final = "redis/docs, content/operate/kubernetes/upgrade/openshift-cli.md"
_OLM_GAP: Final = ("7.22.2-43", "8.0.20-26")
_OLM_SOURCE: Final = "redis/docs, release-notes/7-22-2-releases/7-22-2-43-august2026.md"

FIRST_RHEL8: Final = (7, 2, 4, 7)
LAST_RHEL7_ONLY: Final = (6, 2, 10, 4)


class Milestone(msgspec.Struct, frozen=True):
    """A release that must be reached before those from `before` on, and the source that says so."""

    release: str
    before: tuple[int, ...]
    why: str


MILESTONES: Final = (
    Milestone("6.2.10-45", (6, 2, 18), f"6.2.18 and later need it first ({_UPGRADE_PAGE})"),
    Milestone("7.4.2-2", (7, 8), f"7.8 and later, which move nodes to RHEL 9, need it first ({_OPENSHIFT_PAGE})"),
)


class Route(msgspec.Struct, frozen=True):
    """What is asked for. `olm` is None where that is not known; `rhel7` tells that the nodes run a RHEL 7 image."""

    begin: str
    wish: Wish
    olm: bool | None = None
    rhel7: bool = False


class Hop(msgspec.Struct, frozen=True):
    """One upgrade of operator, cluster and databases; `why` says which rule asks for it, empty for the last one.

    `pulls` bounds the manifests that the nodes pull while it rolls out.
    """

    operator: str
    redis: str
    why: str
    steps: tuple[Step, ...]
    pulls: int


class UpgradePlan(msgspec.Struct, frozen=True):
    """The whole way, and what to look after before it."""

    begin: str
    end: str
    before: tuple[str, ...]
    hops: tuple[Hop, ...]


def plan_upgrade(route: Route) -> UpgradePlan:
    """Plan an upgrade; raises UsageError, with the source, where it is not supported."""
    begin, end = _checked(route)
    points: list[tuple[str, str, str | None]] = [
        (it.release, it.why, None)
        for it in MILESTONES
        if begin < (version_of(it.release) or ()) < end and end >= it.before
    ]
    points.append((route.wish.operator, "", None))
    if route.rhel7 or (route.wish.openshift and begin <= LAST_RHEL7_ONLY):
        points = _through_rhel8(points, begin, end)
    hops, last = [], route.begin
    for operator, why, tag in points:
        is_end = operator == route.wish.operator
        wish = msgspec.structs.replace(
            route.wish,
            operator=operator,
            redis=route.wish.redis if is_end and route.wish.redis else tag,
            minimal=route.wish.minimal and is_end,
        )
        hops.append(_hop(last, wish, why, olm=bool(route.olm)))
        last = operator
    return UpgradePlan(route.begin, route.wish.operator, _before(begin, end), tuple(hops))


def read_route(facts: Facts, route: Route) -> Route:
    """Learn from manifests what was not said; raises UsageError where they show that an upgrade must not begin."""
    rhel7 = route.rhel7
    for cluster in facts.clusters:
        state = text_of(dig(cluster.root, ("status", "state")))
        if state in ("Upgrade", "InvalidUpgrade"):
            raise UsageError(
                f"{cluster.key} is in state {state}: an upgrade has begun already",
                hint="Wait for the state Running, or mend what `homeport redis-enterprise check` names.",
            )
        if is_true(dig(cluster.root, ("spec", "upgradeSpec", "autoUpgradeRedisEnterprise"))):
            for field in FIELDS.images:
                if text_of(dig(cluster.root, (*field.path, field.digest))):
                    raise UsageError(
                        f"{cluster.key} has a digestHash beside autoUpgradeRedisEnterprise: the upgrade would be invalid",
                        hint="Remove the digestHash first (rule RE040).",
                    )
        rhel7 = rhel7 or ".rhel7" in text_of(dig(cluster.root, (*REDIS.path, REDIS.tag)))
    found = sorted({it.version for it in facts.operators if it.version} - {route.begin, route.wish.operator})
    if found:
        raise UsageError(
            f"these files are of operator {', '.join(found)}, not of {route.begin}",
            hint=f"Plan from what runs: homeport redis-enterprise upgrade {found[-1]} {route.wish.operator} ...",
        )
    olm = route.olm
    if facts.operators:
        olm = any(it.olm for it in facts.operators)
    nodes = [int(text) for it in facts.clusters if (text := text_of(dig(it.root, ("spec", "nodes")))).isdigit()]
    names = [it.key.name for it in facts.clusters if it.key.name]
    wish = msgspec.structs.replace(
        _at_home(facts, route.wish),
        nodes=max(nodes, default=route.wish.nodes),
        cluster=names[0] if names else route.wish.cluster,
        openshift=route.wish.openshift or bool(olm) or any(it.openshift for it in facts.operators),
    )
    return msgspec.structs.replace(route, olm=olm, rhel7=rhel7, wish=wish)


def _at_home(facts: Facts, wish: Wish) -> Wish:
    """Fill in what files tell of the private registry, its pull secret and the namespace, where a person has not said it."""
    homes = {home for image in _private_images(facts) if (home := _home_of(image))}
    secrets = {
        text_of(dig(entry, ("name",)))
        for cluster in facts.clusters
        for entry in dig(cluster.root, ("spec", "pullSecrets")) or ()
    }
    spaces = {cluster.key.namespace for cluster in facts.clusters}
    return msgspec.structs.replace(
        wish,
        target=Target.parse(homes.pop()) if wish.target == UNKNOWN_TARGET and len(homes) == 1 else wish.target,
        pull_secret=wish.pull_secret or (secrets.pop() if len(secrets) == 1 else None) or None,
        namespace=wish.namespace or (spaces.pop() if len(spaces) == 1 else ""),
    )


def _private_images(facts: Facts) -> Iterator[Reference]:
    written = [
        text_of(dig(it.root, (*field.path, field.repository))) for it in facts.clusters for field in FIELDS.images
    ]
    named = [image for text in written if (image := read_image(text))]
    yield from (
        it for it in (*named, *(image for one in facts.operators for image in one.images)) if it.registry not in PUBLIC
    )


def _home_of(image: Reference) -> str:
    """Return the place in a registry that an image was mirrored to; empty where its path does not tell."""
    folder, _, name = image.name.rpartition("/")
    return folder.removesuffix("/redislabs") if folder.endswith("/redislabs") and name else ""


def _checked(route: Route) -> tuple[tuple[int, ...], tuple[int, ...]]:
    versions = []
    for tag in (route.begin, route.wish.operator):
        if find_release(check_operator(tag)) is None:
            raise UsageError(
                f"operator {tag} is not among the known releases, so no way to it or from it is known",
                hint="Teach it: homeport redis-enterprise releases --update bundle.yaml rec.yaml",
            )
        versions.append(version_of(tag) or ())
    begin, end = versions
    images_of(route.wish.operator, route.wish.redis, openshift=route.wish.openshift, minimal=route.wish.minimal)
    if end < begin:
        raise UsageError(
            f"{route.begin} to {route.wish.operator} goes back, and no way back is documented ({_UPGRADE_PAGE})",
            hint="Rolling back means going back to public names of images at unchanged versions.",
        )
    if end == begin and route.wish.redis is None:
        raise UsageError(
            f"operator {route.begin} is there already",
            hint="Name a newer build of Redis with --redis, if there is one.",
        )
    if (route.begin, route.wish.operator) == _OLM_GAP and route.olm is not False:
        raise UsageError(
            f"{route.begin} to {route.wish.operator} is not supported in deployments by OLM ({_OLM_SOURCE})",
            hint=f"Stay on {route.begin} until a later release of 8.0.20. Where the operator is not installed by OLM, "
            "give its manifests, or --no-olm.",
        )
    return begin, end


def _through_rhel8(
    points: list[tuple[str, str, str | None]], begin: tuple[int, ...], end: tuple[int, ...]
) -> list[tuple[str, str, str | None]]:
    """Add the hops that bring nodes from RHEL 7 to RHEL 8: 7.2.4-2 with an image of RHEL 7, then one of RHEL 8 from 7.2.4-7 on."""
    if end < FIRST_RHEL8:
        return [(operator, why, _rhel7(operator)) for operator, why, _ in points]
    hops = [
        (operator, why, _rhel7(operator)) for operator, why, _ in points if (version_of(operator) or ()) < (7, 2, 4)
    ]
    if begin < (7, 2, 4, 2):
        hops.append(("7.2.4-2", f"nodes leave RHEL 7 from there ({_OPENSHIFT_PAGE})", _rhel7("7.2.4-2")))
    if begin < FIRST_RHEL8 < end:
        hops.append(("7.2.4-7", f"it brings nodes from RHEL 7 to RHEL 8 ({_OPENSHIFT_PAGE})", None))
    return hops + [point for point in points if (version_of(point[0]) or ()) >= FIRST_RHEL8]


def _rhel7(operator: str) -> str | None:
    release = find_release(operator)
    return f"{release.redis[0].tag}.rhel7-openshift" if release and release.redis else None


def _hop(begin: str, wish: Wish, why: str, *, olm: bool) -> Hop:
    images = images_of(
        wish.operator, wish.redis, openshift=wish.openshift, minimal=wish.minimal, call_home=wish.call_home
    )
    steps = hop_steps(begin, wish, images, olm=olm)
    # Each node pulls Redis and the bootstrapper; operator, rigger and call-home client run once each.
    pulls = 2 * wish.nodes + len(images) - 1
    return Hop(wish.operator, images[0].tag or "", why, steps, pulls)


def _before(begin: tuple[int, ...], end: tuple[int, ...]) -> tuple[str, ...]:
    """Return what a person looks after before the first step."""
    notes = [
        "kubectl get rec: the state is Running and the license state Valid.",
        "The Kubernetes version is supported by every operator on the way (redis/docs, reference/supported_k8s_distributions).",
    ]
    if begin < (7, 8) <= end:
        notes += [
            "Databases are at Redis 7.2 or later before the cluster goes to 7.8 (spec.redisVersion of each REDB).",
            "Modules of your own are built for RHEL 9 before the cluster goes to 7.8.",
        ]
    if begin < (7, 22, 0, 7) <= end:
        notes.append("From 7.22.0-7 on there is a fourth image, the call-home client: mirror it or disable it.")
    if begin < (6, 4, 2) <= end:
        notes.append(
            "The admission webhook is called redisenterprise.admission.redislabs from 6.4.2 on; delete the old one."
        )
    return tuple(notes)
