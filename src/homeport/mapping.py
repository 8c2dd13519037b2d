"""How names change from source to target.

One rule: what is at the target keeps its name. Any other name loses its registry (with `keep_registry` the registry becomes the first
part of the path), keeps its path, and stands below the target; a redirect of the longest matching prefix says another place. Tags
and digests never change.
"""

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from homeport.errors import CollisionError, UsageError
from homeport.reference import DOCKER_HUB, MAX_PATH, Reference, is_host, is_repository, split_registry

_NO_PATH: Final = re.compile(r"[\[\]:]+")


class Target(msgspec.Struct, frozen=True):
    """A place in a registry that images are brought to: ``host[:port][/path]``."""

    registry: str
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> "Target":
        """Read ``host[:port][/path]``; raises UsageError."""
        host, slash, path = text.partition("/")
        if "://" in text or not is_host(host) or (slash and not is_repository(path)):
            raise UsageError(
                f"{text!r} is not a registry",
                hint="Write host[:port][/path] without a scheme, for example registry.example.com:5000/mirror.",
            )
        registry, _ = split_registry(f"{host}/name")
        if registry == DOCKER_HUB and host not in {DOCKER_HUB, "index.docker.io"}:
            raise UsageError(
                f"{text!r} is not a registry: in an image's name, {host} would be read as a path of Docker Hub",
                hint=f"Write the host with a domain or a port, for example {host}:443.",
            )
        return cls(registry, path)

    def __str__(self) -> str:
        return f"{self.registry}/{self.path}" if self.path else self.registry

    def holds(self, reference: Reference) -> bool:
        """Tell whether a reference names something in this place already."""
        prefix = f"{self.path}/" if self.path else ""
        return reference.registry == self.registry and reference.repository.startswith(prefix)


class Redirect(msgspec.Struct, frozen=True):
    """Images of the place `source` go to `home`: the rest of their path is kept. A repository of its own is such a place, too."""

    source: Target
    home: Target

    @classmethod
    def parse(cls, text: str, target: Target) -> "Redirect":
        """Read ``FROM=TO``: a place as ``quay.io/org``, and a path below the target or a full name there; raises UsageError."""
        source, equals, home = text.partition("=")
        if not equals or not source or not home:
            raise UsageError(
                f"--map {text!r} is not FROM=TO",
                hint=f"For example --map quay.io=quay puts quay.io/a/b at {target}/quay/a/b.",
            )
        first, _, rest = home.partition("/")
        full = first == target.registry or (bool(rest) and split_registry(home, "")[0] != "")
        redirect = cls(Target.parse(source), Target.parse(home if full else f"{target}/{home}"))
        if redirect.home.registry != target.registry:
            raise UsageError(
                f"--map {text}: {redirect.home.registry} is not the target's registry",
                hint=f"All images go to one registry; name a path of {target.registry}.",
            )
        return redirect

    def rest(self, reference: Reference) -> str | None:
        """Return what of a reference's path is left behind the source, empty where it is the source; None where it is not in it."""
        return _rest(self.source, reference)


class Mapping(msgspec.Struct, frozen=True):
    """The rule from a source's name to the target's; see this module's docstring."""

    target: Target
    keep_registry: bool = False
    redirects: tuple[Redirect, ...] = ()

    @classmethod
    def parse(cls, target: str, *, keep_registry: bool = False, redirects: Iterable[str] = ()) -> "Mapping":
        """Read a target and redirects ``FROM=TO``; raises UsageError where they cannot hold together."""
        home = Target.parse(target)
        mapping = cls(home, keep_registry, tuple(dict.fromkeys(Redirect.parse(text, home) for text in redirects)))
        named: dict[Target, Redirect] = {}
        for redirect in mapping.redirects:
            if named.setdefault(redirect.source, redirect) != redirect:
                raise UsageError(f"--map names {redirect.source} twice: {named[redirect.source].home}, {redirect.home}")
            source = Reference(redirect.source.registry, f"{redirect.source.path}/any".lstrip("/"))
            if mapping.holds(source):
                raise UsageError(
                    f"--map {redirect.source}={redirect.home}: {redirect.source} is at the target already",
                    hint="What is at the target keeps its name, so that a second run changes nothing.",
                )
        return mapping

    def holds(self, reference: Reference) -> bool:
        """Tell whether a reference names something at the target already, in one of its places."""
        if self.target.holds(reference):
            return True
        homes = (redirect.home for redirect in self.redirects)
        return any(_rest(home, reference) is not None for home in homes)

    def relocate(self, reference: Reference) -> Reference:
        """Return the name at the target; what is there already keeps its name. Raises UsageError where it would be too long."""
        if self.holds(reference):
            return reference
        matching = [it for it in self.redirects if it.rest(reference) is not None]
        longest = max(matching, key=lambda redirect: len(redirect.source.path), default=None)
        kept = component_of(reference.registry) if self.keep_registry else ""
        below = f"{self.target.path}/{kept}/{reference.repository}"
        path = f"{longest.home.path}/{longest.rest(reference)}" if longest else below
        # Docker Hub's own names have two parts at least; any other registry's path stays as it is.
        registry, path = split_registry("/".join((self.target.registry, *filter(None, path.split("/")))))
        if len(path) > MAX_PATH:
            raise UsageError(
                f"{reference.name} would become {registry}/{path}, and a repository has at most {MAX_PATH} characters",
                hint="Choose a shorter path, or --map FROM=TO for it.",
            )
        return msgspec.structs.replace(reference, registry=registry, repository=path)

    def sources(self, reference: Reference, registry: str) -> list[Reference]:
        """Return the names of a registry that become this name at the target: the way back, which may be open or closed."""
        ways = [(redirect.home, redirect.source) for redirect in self.redirects if redirect.source.registry == registry]
        below = "/".join(filter(None, (self.target.path, component_of(registry) if self.keep_registry else "")))
        ways.append((Target(self.target.registry, below), Target(registry)))
        rests = ((source, _rest(home, reference)) for home, source in ways)
        paths = ["/".join(filter(None, (source.path, rest))) for source, rest in rests if rest is not None]
        names = (split_registry(f"{registry}/{path}") for path in paths if path)
        found = (msgspec.structs.replace(reference, registry=host, repository=path) for host, path in names)
        return [source for source in dict.fromkeys(found) if self.relocate(source) == reference]

    def relocate_all(self, references: Iterable[Reference]) -> dict[Reference, Reference]:
        """Map each source to its target; raises CollisionError where two repositories would share a tag at the target.

        What is at the target already is no source and collides with nothing; neither do equal digests, which are equal content.
        """
        mapped: dict[Reference, Reference] = {}
        owners: dict[tuple[str, str | None], Reference] = {}
        for source in references:
            target = mapped[source] = self.relocate(source)
            tag = target.pinned.tag
            if target == source or tag is None:
                continue
            owner = owners.setdefault((target.name, tag), source)
            if owner.name != source.name:
                raise CollisionError(
                    f"{owner} and {source} would both become {target}",
                    hint="Keep them apart with --keep-registry, or with --map FROM=TO for one of them.",
                )
        return mapped


def component_of(registry: str) -> str:
    """Return a registry's host as a part of a path: in lower case, a dash for what a path cannot hold (``localhost-5000``)."""
    return _NO_PATH.sub("-", registry.lower()).strip("-")


def _rest(place: Target, reference: Reference) -> str | None:
    """Return what of a reference's path is left behind a place, empty where it is the place itself; None outside of it."""
    if reference.registry != place.registry:
        return None
    if not place.path or split_registry(str(place)) == (reference.registry, reference.repository):
        return "" if place.path else reference.repository
    below = reference.repository.removeprefix(f"{place.path}/")
    return below if below != reference.repository else None
