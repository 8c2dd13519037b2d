"""The form of the data: releases and OLM bundles."""

import msgspec

from homeport.oci.digest import is_digest
from homeport.reference import is_tag


class Build(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A Redis build: its tag on Docker Hub, its name at Red Hat where that is known, and where the row is from.

    `date` is the month of publication (YYYY-MM), `minimal` tells of a variant on a small base image, `olm` names the bundle.
    """

    tag: str
    date: str | None = None
    openshift: str | None = None
    minimal: bool = False
    olm: str | None = None
    source: str = ""

    def __post_init__(self) -> None:
        for tag in (self.tag, self.openshift):
            if tag is not None and not is_tag(tag):
                raise ValueError(f"{tag!r} is not a tag")


class Release(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An operator tag with the Redis builds published for it, the first one first."""

    operator: str
    call_home: bool
    redis: tuple[Build, ...]

    def __post_init__(self) -> None:
        if not is_tag(self.operator):
            raise ValueError(f"{self.operator!r} is not a tag")

    def __add__(self, other: "Release") -> "Release":
        """Return this release with the builds of another that it does not have."""
        own = {build.tag for build in self.redis}
        return Release(
            self.operator, self.call_home, (*self.redis, *(build for build in other.redis if build.tag not in own))
        )


class Bundle(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An OLM bundle: the digests that it pins; the bootstrapper's is the operator's."""

    name: str
    operator: str
    rigger: str | None = None
    redis: str | None = None
    minimal: str | None = None
    call_home: str | None = None

    def __post_init__(self) -> None:
        for digest in self.digests.values():
            if not is_digest(digest):
                raise ValueError(f"{digest!r} is not a digest")

    @property
    def digests(self) -> dict[str, str]:
        """The digests by component."""
        named = {
            "operator": self.operator,
            "rigger": self.rigger,
            "redis": self.redis,
            "minimal": self.minimal,
            "call_home": self.call_home,
        }
        return {component: digest for component, digest in named.items() if digest}


class Taught(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Releases and bundles together; also the form of the file in which a person keeps what was learned."""

    releases: tuple[Release, ...] = ()
    bundles: tuple[Bundle, ...] = ()

    def __add__(self, other: "Taught") -> "Taught":
        """Return both as one: what is known already stays, and what is new comes first."""
        merged = {release.operator: release for release in self.releases}
        new = []
        for release in other.releases:
            if release.operator in merged:
                merged[release.operator] += release
            else:
                new.append(release)
        names = {bundle.name for bundle in self.bundles}
        return Taught((*new, *merged.values()), (*(it for it in other.bundles if it.name not in names), *self.bundles))
