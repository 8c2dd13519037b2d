"""Which images belong to which release of the operator, from the published release notes and what a person has taught.

The tags of operator, bootstrapper, services rigger and call-home client are equal in every release since 5.4.6; the Redis tag is
another one, and one operator is published again with newer Redis builds.
"""

import functools
import re
from collections.abc import Iterable
from importlib import resources
from typing import Final

import msgspec

from homeport.applications.redis_enterprise.learned import read_learned
from homeport.applications.redis_enterprise.model import Build, Bundle, Release, Taught
from homeport.errors import UsageError
from homeport.reference import DOCKER_HUB, Reference, is_tag

RED_HAT: Final = "registry.connect.redhat.com"
FIRST_CALL_HOME: Final = (7, 22, 0, 7)
FIRST_WITHOUT_SUFFIX: Final = (7, 8)
"""Red Hat's Redis tags end in .rhel7-openshift or .rhel8-openshift before 7.8 (RED-152022)."""

FIRST_MINIMAL: Final = (8, 0, 18, 11)
MINIMAL: Final = ".minimal"
_RED_HAT_NAMES: Final = ("redis-enterprise-operator", "services-manager", "redis-enterprise", "call-home-client")
_DOCKER_HUB_NAMES: Final = ("operator", "k8s-controller", "redis", "re-call-home-client")
RED_HAT_NAMES: Final = frozenset(_RED_HAT_NAMES)
_VERSION: Final = re.compile(r"(\d+)\.(\d+)\.(\d+)-(\d+)(?![\d_])")
_OPERATOR: Final = re.compile(r"\d+\.\d+\.\d+-\d+[a-z]?(\.rhel7)?")
_REDIS: Final = re.compile(r"\d+\.\d+\.\d+-\d+(\.\d+)?(\.minimal)?(\.rhel[78]-openshift)?")


RED_HAT_BY_DEFAULT: Final = (8, 2, 0, 12)
"""From this operator on, OpenShift's defaults are Red Hat's repositories (RED-193056); before, they are Docker Hub's."""


class Images(msgspec.Struct, frozen=True):
    """The names of one release's images; the tag of `redis` is None where it is not known."""

    operator: Reference
    rigger: Reference
    redis: Reference
    call_home: Reference


class _Releases(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sources: dict[str, str]
    notes: tuple[str, ...]
    releases: tuple[Release, ...]


class _Bundles(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    source: str
    notes: tuple[str, ...]
    bundles: tuple[Bundle, ...]


@functools.cache
def _published() -> tuple[_Releases, _Bundles]:
    folder = resources.files(__package__)
    return (
        msgspec.json.decode(folder.joinpath("releases.json").read_bytes(), type=_Releases),
        msgspec.json.decode(folder.joinpath("bundles.json").read_bytes(), type=_Bundles),
    )


@functools.cache
def known() -> Taught:
    """Return what is published and what was taught, as one; raises UsageError where the person's file cannot be read."""
    published, bundles = _published()
    return Taught(published.releases, bundles.bundles) + read_learned()


def forget_learned() -> None:
    """Read the person's file again when it is needed next."""
    known.cache_clear()


def sources() -> dict[str, str]:
    """Return what the first part of a row's `source` stands for."""
    return {**_published()[0].sources, "olm": _published()[1].source}


def releases() -> tuple[Release, ...]:
    """Return all known releases, the newest operator first."""
    return known().releases


def bundles() -> tuple[Bundle, ...]:
    """Return all known OLM bundles, the newest first."""
    return known().bundles


def at_red_hat(references: Iterable[Reference]) -> bool:
    """Tell whether images are called as Red Hat calls them, at whatever registry: then the platform is OpenShift."""
    return any(reference.repository.rpartition("/")[2] in RED_HAT_NAMES for reference in references)


def find_release(operator: str) -> Release | None:
    """Return the release of an operator tag; None where none is known under it."""
    return next((release for release in releases() if release.operator == operator), None)


def plain_redis(tag: str) -> str:
    """Return a Redis tag as Docker Hub has it: without ``.minimal`` and without Red Hat's suffix."""
    return tag.partition(".rhel")[0].removesuffix(MINIMAL)


def shipping(redis: str) -> list[tuple[Release, Build]]:
    """Return the releases that ship a Redis tag, on Docker Hub or at Red Hat, minimal or not; newest operator first."""
    names = {plain_redis(redis), redis.removesuffix(MINIMAL)}
    return [
        (release, build) for release in releases() for build in release.redis if names & {build.tag, build.openshift}
    ]


def version_of(tag: str) -> tuple[int, ...] | None:
    """Read a tag as numbers, ``7.2.4-64.rhel8-openshift`` as (7, 2, 4, 64); None where it is no version."""
    match = _VERSION.match(tag)
    return tuple(map(int, match.groups())) if match else None


def check_operator(tag: str) -> str:
    """Return an operator's tag; raises UsageError where it is not of the form that all have."""
    if not _OPERATOR.fullmatch(tag):
        raise UsageError(
            f"{tag!r} is not an operator's version",
            hint="An operator's tag is like 7.2.4-7; `homeport redis-enterprise releases` lists them.",
        )
    return tag


def check_redis(tag: str) -> str:
    """Return a Redis tag; raises UsageError where it is not of the form that all have."""
    if not (is_tag(tag) and _REDIS.fullmatch(tag)):
        raise UsageError(f"{tag!r} is not a Redis tag", hint="A Redis tag is like 7.2.4-64 or 8.2.0-46.13.minimal.")
    return tag


def has_call_home(operator: str) -> bool | None:
    """Tell whether an operator runs a call-home client; None where its tag is no version."""
    if (release := find_release(operator)) is not None:
        return release.call_home
    version = version_of(operator)
    return None if version is None else version >= FIRST_CALL_HOME


def call_home_with_redis(redis: str) -> bool | None:
    """Tell whether the operators of a Redis tag run a call-home client; None where they differ or none is known."""
    answers = {release.call_home for release, _ in shipping(redis)}
    if not answers and (version := version_of(redis)) is not None and version[:3] != FIRST_CALL_HOME[:3]:
        answers = {version[:3] > FIRST_CALL_HOME[:3]}
    return answers.pop() if len(answers) == 1 else None


def release_images(operator: str, redis: str | None = None, *, openshift: bool = False) -> Images:
    """Return the images of an operator tag; the Redis build is the first one published for it unless `redis` names one."""
    release = find_release(operator)
    builds = release.redis if release else ()
    build = next((build for build in builds if redis in (None, build.tag)), None)
    tag = redis
    if build is not None and (redis is None or build.openshift):
        tag = build.openshift if openshift else build.tag
    registry = RED_HAT if openshift else DOCKER_HUB
    names = _RED_HAT_NAMES if openshift else _DOCKER_HUB_NAMES
    tags = (operator, operator, tag, operator)
    return Images(*(Reference(registry, f"redislabs/{name}", at) for name, at in zip(names, tags, strict=True)))


def default_images(operator: str, redis: str | None = None, *, openshift: bool = False) -> Images:
    """Return the images that an operator takes where no repository is named; one that is not known is taken for a recent one.

    On OpenShift before 8.2.0-12 these are Docker Hub's repositories with Red Hat's tags, which need not be there.
    """
    images = release_images(operator, redis, openshift=openshift)
    number = version_of(operator)
    if not openshift or number is None or number >= RED_HAT_BY_DEFAULT:
        return images
    hub = release_images(operator, redis)
    fields = ("operator", "rigger", "redis", "call_home")
    pairs = ((getattr(hub, field), getattr(images, field).tag) for field in fields)
    return Images(*(msgspec.structs.replace(name, tag=tag) for name, tag in pairs))


def images_of(
    operator: str,
    redis: str | None = None,
    *,
    openshift: bool = False,
    minimal: bool = False,
    call_home: bool = True,
) -> list[Reference]:
    """List every image that a release pulls; raises UsageError where a tag is none or its Redis tag is not known.

    `minimal` takes the small base image of Redis; without `call_home` the client is left out, as it is where it is disabled.
    """
    check_operator(operator)
    if redis is not None:
        check_redis(redis)
    images = release_images(operator, redis, openshift=openshift)
    if images.redis.tag is None:
        raise UsageError(
            f"no published Redis tag is known for operator {operator}",
            hint="Check the operator's tag, name the Redis tag with --redis, or teach the release: "
            "homeport redis-enterprise releases --update FILE.",
        )
    node = _minimal(operator, images.redis) if minimal else images.redis
    clients = (images.call_home,) if call_home and has_call_home(operator) else ()
    return [node, images.operator, images.rigger, *clients]


def bundle_images(operator: str) -> list[Reference]:
    """List the images that the newest OLM bundle of an operator pins, by digest; none where no bundle is known."""
    names = {"operator": 0, "rigger": 1, "redis": 2, "minimal": 2, "call_home": 3}
    for bundle in bundles():
        version = bundle.name.removeprefix("v")
        if version == operator or version.startswith(f"{operator}.") or version[:-1] == operator:
            return [
                Reference(RED_HAT, f"redislabs/{_RED_HAT_NAMES[names[component]]}", digest=digest)
                for component, digest in bundle.digests.items()
            ]
    return []


def doubts(operator: str, redis: str | None = None) -> list[str]:
    """Say what is not known of a release, or not published, in one sentence each."""
    release = find_release(operator)
    if release is None:
        return [f"operator {operator} is not among the known releases; its images follow from the rules of all others"]
    if redis is None or any(redis_of is release for redis_of, _ in shipping(redis)):
        return []
    known = ", ".join(build.tag for build in release.redis) or "none"
    return [f"Redis {redis} was not published for operator {operator}; published for it: {known}"]


def _minimal(operator: str, redis: Reference) -> Reference:
    tag = (redis.tag or "").removesuffix(MINIMAL)
    builds = {build.tag: build for _, build in shipping(tag)}
    if builds and not any(build.minimal for build in builds.values()):
        raise UsageError(
            f"there is no minimal image of Redis {tag} (operator {operator})",
            hint="The minimal image came with operator 8.0.18-11; leave --minimal out.",
        )
    return msgspec.structs.replace(redis, tag=tag + MINIMAL)
