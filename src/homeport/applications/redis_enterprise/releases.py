"""Which images belong to which release of the operator, from the published release notes.

The tags of operator, bootstrapper, services rigger and call-home client are equal in every release since 5.4.6; the Redis tag is
another one, and one operator is published again with newer Redis builds.
"""

import functools
import re
from importlib import resources
from typing import Final

import msgspec

from homeport.errors import UsageError
from homeport.reference import DOCKER_HUB, Reference, is_tag

RED_HAT: Final = "registry.connect.redhat.com"
_RED_HAT_NAMES: Final = ("redis-enterprise-operator", "services-manager", "redis-enterprise", "call-home-client")
_DOCKER_HUB_NAMES: Final = ("operator", "k8s-controller", "redis", "re-call-home-client")
FIRST_CALL_HOME: Final = (7, 22, 0, 7)
RED_HAT_NAMES: Final = frozenset(_RED_HAT_NAMES)
_VERSION: Final = re.compile(r"(\d+)\.(\d+)\.(\d+)-(\d+)(?![\d_])")


class Build(msgspec.Struct, frozen=True):
    """A Redis tag on Docker Hub, and its name at Red Hat where that is known."""

    tag: str
    openshift: str | None = None


class Release(msgspec.Struct, frozen=True):
    """An operator tag with the Redis builds published for it, the first one first."""

    operator: str
    redis: tuple[Build, ...]
    call_home: bool


class Images(msgspec.Struct, frozen=True):
    """The names of one release's images; the tag of `redis` is None where it is not known."""

    operator: Reference
    rigger: Reference
    redis: Reference
    call_home: Reference


class _File(msgspec.Struct, frozen=True):
    sources: tuple[str, ...]
    notes: tuple[str, ...]
    releases: tuple[Release, ...]


@functools.cache
def releases() -> tuple[Release, ...]:
    """Return all published releases, the newest operator first."""
    content = resources.files(__package__).joinpath("releases.json").read_bytes()
    return msgspec.json.decode(content, type=_File).releases


def find_release(operator: str) -> Release | None:
    """Return the release of an operator tag; None where none was published under it."""
    return next((release for release in releases() if release.operator == operator), None)


def version_of(tag: str) -> tuple[int, ...] | None:
    """Read a tag as numbers, ``7.2.4-64.rhel8-openshift`` as (7, 2, 4, 64); None where it is no version."""
    match = _VERSION.match(tag)
    return tuple(map(int, match.groups())) if match else None


def has_call_home(operator: str) -> bool | None:
    """Tell whether an operator runs a call-home client; None where its tag is no version."""
    if (release := find_release(operator)) is not None:
        return release.call_home
    version = version_of(operator)
    return None if version is None else version >= FIRST_CALL_HOME


def call_home_with_redis(redis: str) -> bool | None:
    """Tell whether the operators of a Redis tag run a call-home client; None where they differ or none is known."""
    tag = redis.partition(".rhel")[0].removesuffix(".minimal")
    answers = {release.call_home for release in releases() if any(build.tag == tag for build in release.redis)}
    if not answers and (version := version_of(redis)) is not None and version[:3] != FIRST_CALL_HOME[:3]:
        answers = {version[:3] > FIRST_CALL_HOME[:3]}
    return answers.pop() if len(answers) == 1 else None


def release_images(operator: str, redis: str | None = None, *, openshift: bool = False) -> Images:
    """Return the images of an operator tag; the Redis build is the first one published for it unless `redis` names one."""
    release = find_release(operator)
    build = release.redis[0] if release else None
    tag = redis or (None if build is None else build.openshift if openshift else build.tag)
    registry = RED_HAT if openshift else DOCKER_HUB
    names = _RED_HAT_NAMES if openshift else _DOCKER_HUB_NAMES
    tags = (operator, operator, tag, operator)
    return Images(*(Reference(registry, f"redislabs/{name}", at) for name, at in zip(names, tags, strict=True)))


def images_of(operator: str, redis: str | None = None, *, openshift: bool = False) -> list[Reference]:
    """List every image that a release pulls; raises UsageError where the operator's tag or its Redis tag is not known."""
    for tag in (operator, redis):
        if tag is not None and not is_tag(tag):
            raise UsageError(
                f"{tag!r} is not a tag", hint="An operator's tag is like 7.2.4-7, a Redis tag like 7.2.4-64."
            )
    images = release_images(operator, redis, openshift=openshift)
    if images.redis.tag is None:
        raise UsageError(
            f"no published Redis tag is known for operator {operator}",
            hint="Check the operator's tag, or name the Redis tag with --redis.",
        )
    call_home = (images.call_home,) if has_call_home(operator) else ()
    return [images.redis, images.operator, images.rigger, *call_home]
