"""What makes an application: rules as data, and one pure function that learns the release from what a first look found."""

from collections.abc import Callable, Sequence

import msgspec

from homeport.discovery.findings import Finding
from homeport.discovery.knowledge import Knowledge


class Versions(msgspec.Struct, frozen=True):
    """What a person says of the release; otherwise the manifests tell."""

    operator: str | None = None
    redis: str | None = None


class Learned(msgspec.Struct, frozen=True):
    """Rules that know the release. `operators` are the tags of the operator that the manifests may belong to."""

    knowledge: Knowledge
    operators: tuple[str, ...] = ()


class Application(msgspec.Struct, frozen=True):
    """One product: its rules where nothing is known of the release, and how they are made where something is."""

    name: str
    knowledge: Knowledge
    learn: Callable[[Sequence[Finding], Versions], Learned]
