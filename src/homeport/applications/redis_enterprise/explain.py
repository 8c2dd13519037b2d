"""Say what a tag or a digest is."""

import difflib

import msgspec

from homeport.applications.redis_enterprise.model import Build, Release
from homeport.applications.redis_enterprise.releases import (
    MINIMAL,
    bundles,
    find_release,
    plain_redis,
    release_images,
    releases,
    shipping,
)
from homeport.errors import UsageError


class Explanation(msgspec.Struct, frozen=True):
    """What a name is, facts about it as pairs of label and value, and the sources of the rows."""

    name: str
    what: str
    facts: tuple[tuple[str, str], ...]
    sources: tuple[str, ...] = ()


def explain_name(name: str) -> Explanation:
    """Explain a Redis tag, an operator's tag, an OLM bundle or a digest; raises UsageError where it is none that is known."""
    if (release := find_release(name)) is not None:
        return _operator(release)
    if found := shipping(name):
        return _redis(name, found)
    if (explained := _bundle(name)) is not None:
        return explained
    known = [release.operator for release in releases()]
    tags = [build.tag for release in releases() for build in release.redis]
    near = difflib.get_close_matches(name, [*known, *tags], n=3)
    raise UsageError(
        f"{name!r} is no known operator, Redis tag, OLM bundle or digest",
        hint=f"Near it: {', '.join(near)}." if near else "`homeport redis-enterprise releases` lists what is known.",
    )


def _operator(release: Release) -> Explanation:
    images = release_images(release.operator)
    facts = [("Redis", _told(build)) for build in release.redis]
    facts += [("same tag", f"{images.operator.name}, {images.rigger.name}")]
    facts += [("call-home client", f"{images.call_home}" if release.call_home else "none; it came with 7.22.0-7")]
    return Explanation(
        release.operator, "an operator", tuple(facts), tuple(dict.fromkeys(build.source for build in release.redis))
    )


def _redis(name: str, found: list[tuple[Release, Build]]) -> Explanation:
    notes = []
    if name.endswith(MINIMAL):
        notes = [("variant", "the minimal base image" if found[0][1].minimal else "no minimal image was published")]
    if name != plain_redis(name) and ".rhel" in name:
        notes = [("variant", f"Red Hat's name for {found[0][1].tag}")]
    operators = [("operator", f"{release.operator}{_when(build)}") for release, build in found]
    return Explanation(
        name, "a Redis tag", (*operators, *notes), tuple(dict.fromkeys(build.source for _, build in found))
    )


def _bundle(name: str) -> Explanation | None:
    version = name.removeprefix("redis-enterprise-operator.")
    named = [each for each in bundles() if each.name.removeprefix("v") == version.removeprefix("v")]
    if named:
        return Explanation(name, "an OLM bundle", tuple(named[0].digests.items()), ("olm",))
    pinned = [(each, component) for each in bundles() for component, digest in each.digests.items() if digest == name]
    if pinned:
        facts = tuple((component, f"of OLM bundle {each.name}") for each, component in pinned)
        return Explanation(name, "a digest", facts, ("olm",))
    return None


def _told(build: Build) -> str:
    return f"{build.tag}{_when(build)}" + (f"; at Red Hat {build.openshift}" if build.openshift else "")


def _when(build: Build) -> str:
    return f", published {build.date}" if build.date else ""
