"""What applications teach the walker, as values: which fields of which kinds name images and pull secrets."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import msgspec

from homeport.discovery.findings import ObjectKey
from homeport.discovery.rules import Rules
from homeport.reference import Reference


class ImageField(msgspec.Struct, frozen=True):
    """A mapping that names an image in parts: under `path`, with the keys of its repository, tag and digest.

    `rule` is the name that findings show; `role` says in words what the image is for.
    """

    rule: str
    group: str
    kind: str
    path: tuple[str, ...]
    role: str
    repository: str = "repository"
    tag: str = "tag"
    digest: str = "digest"


class ContainersField(msgspec.Struct, frozen=True):
    """A list of containers under `path`."""

    rule: str
    group: str
    kind: str
    path: tuple[str, ...]


class PodField(msgspec.Struct, frozen=True):
    """A pod specification under `path`, whole or in part; its images' pull secrets stand elsewhere."""

    rule: str
    group: str
    kind: str
    path: tuple[str, ...]


SecretForm = Literal["objects", "names", "object", "name"]
"""How a field takes pull secrets: a list of ``{name: SECRET}``, a list of names, one ``{name: SECRET}``, one name."""


class SecretField(msgspec.Struct, frozen=True):
    """A field under `path` that a kind takes its images' pull secrets from; a step ``*`` stands for all entries.

    `when` tells for an object whether it has the field, where its kind does not tell. So many first steps as `inside` counts lead to a
    text, and the others into the document that it is.
    """

    group: str
    kind: str
    path: tuple[str, ...]
    form: SecretForm = "objects"
    when: Callable[[Mapping[str, Any]], bool] | None = None
    inside: int = 0


class Implied(msgspec.Struct, frozen=True):
    """An image that an object pulls although its `field` does not name the repository.

    `reference` is what belongs there, where that is known; `reason` says in words why it is pulled, or what is not known. `default` is
    what is pulled until that stands there, where it is another image. `inside` is that of `SecretField`, for the field's path.
    """

    field: ImageField
    reason: str
    reference: Reference | None = None
    default: Reference | None = None
    inside: int = 0


DefaultTag = Callable[[Mapping[str, Any], ImageField], str]
"""Tells for an object's field that names a repository alone which tag is pulled; empty where it is not known."""


class Knowledge(msgspec.Struct, frozen=True):
    """All rules. `implied` are pure functions that tell for an object which images it pulls without naming them.

    `rules` are a person's own; those that come with Homeport are known without. `examples` count like anything else where a person
    asks for it. `own` is the host of the person's registry, which may be called anything.
    """

    images: tuple[ImageField, ...] = ()
    containers: tuple[ContainersField, ...] = ()
    pods: tuple[PodField, ...] = ()
    secrets: tuple[SecretField, ...] = ()
    implied: tuple[Callable[[ObjectKey, Mapping[str, Any]], Iterable[Implied]], ...] = ()
    default_tags: tuple[DefaultTag, ...] = ()
    rules: Rules = Rules()
    examples: bool = False
    own: str = ""

    def __add__(self, other: "Knowledge") -> "Knowledge":
        return Knowledge(
            self.images + other.images,
            self.containers + other.containers,
            self.pods + other.pods,
            self.secrets + other.secrets,
            self.implied + other.implied,
            self.default_tags + other.default_tags,
            self.rules + other.rules,
            self.examples or other.examples,
            self.own or other.own,
        )

    def default_tag(self, root: Mapping[str, Any], field: ImageField) -> str:
        """Return the tag that is pulled where a field names a repository alone; empty where it is not known."""
        return next(filter(None, (tell(root, field) for tell in self.default_tags)), "")


def group_of(api_version: str) -> str:
    """Return the API group of an apiVersion; the core group's is empty."""
    return api_version.partition("/")[0] if "/" in api_version else ""
