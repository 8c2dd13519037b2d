"""Options of all commands that change names from source to target, beside the target itself."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from homeport.mapping import Mapping


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class MappingOptions:
    """Options that say what images are called at the target; the same for mirror, relocate and verify."""

    keep_registry: Annotated[bool, Parameter(negative="", show_default=False)] = False
    """Keep the source's registry as the first part of the path: quay.io/a/b becomes TARGET/quay.io/a/b."""
    map: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = ()
    """FROM=TO: images of FROM (quay.io, or quay.io/org) go to TO, a path below the target; the longest FROM wins. May be repeated."""

    def mapping(self, target: str) -> "Mapping":
        """Return the rule of names; raises UsageError."""
        from homeport.mapping import Mapping

        return Mapping.parse(target, keep_registry=self.keep_registry, redirects=self.map)
