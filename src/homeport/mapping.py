"""How names change from source to target."""

from collections.abc import Iterable

import msgspec

from homeport.errors import CollisionError, UsageError
from homeport.reference import Reference, is_host, is_repository


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
        return cls(host, path)

    def __str__(self) -> str:
        return f"{self.registry}/{self.path}" if self.path else self.registry

    def holds(self, reference: Reference) -> bool:
        """Tell whether a reference names something in this place already."""
        prefix = f"{self.path}/" if self.path else ""
        return reference.registry == self.registry and reference.repository.startswith(prefix)


class Mapping(msgspec.Struct, frozen=True):
    """The rule from a source's name to the target's: the registry is dropped, path, tag and digest are kept."""

    target: Target

    def relocate(self, reference: Reference) -> Reference:
        """Return the name at the target; what is there already keeps its name."""
        if self.target.holds(reference):
            return reference
        path = f"{self.target.path}/{reference.repository}" if self.target.path else reference.repository
        return msgspec.structs.replace(reference, registry=self.target.registry, repository=path)

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
                    hint="Mirror one of them to another path (--to REGISTRY/PATH) in a run of its own.",
                )
        return mapped
