"""Options of all commands that find images by rules and schemas beside the manifests."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from homeport.discovery.inputs import Source
    from homeport.discovery.knowledge import Knowledge
    from homeport.errors import InputError


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RuleOptions:
    """Options that say how images are found."""

    rules: Annotated[tuple[Path, ...], Parameter(negative="", show_default=False)] = ()
    """A file of rules of your own; may be given again. docs/discovery.md describes them."""
    crds: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = ()
    """CustomResourceDefinitions to learn fields from, a file or folder, beside those among the manifests."""

    def taught(self, sources: "Sequence[Source]", max_size: int) -> "tuple[Knowledge, list[InputError]]":
        """Return what rules and schemas say of the manifests; schemas that cannot be read are errors. Raises UsageError."""
        from homeport.cli.scan import read_own_rules
        from homeport.cli.sources import read_sources
        from homeport.discovery.knowledge import Knowledge
        from homeport.discovery.secret_fields import teach

        schemas, errors = read_sources(self.crds, max_size)
        return Knowledge(rules=read_own_rules(self.rules)) + teach([*schemas, *sources]), errors
