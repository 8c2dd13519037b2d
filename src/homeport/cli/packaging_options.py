"""Options of all commands that read Helm charts."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from homeport.workflow.helm import Settings


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class PackagingOptions:
    """Options that say how charts are rendered."""

    values: Annotated[tuple[Path, ...], Parameter(negative="", show_default=False)] = ()
    """Render charts with this values file; may be repeated, the last one counts."""
    set: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = ()
    """Render charts with KEY=VALUE; may be repeated."""

    def settings(self) -> "Settings":
        """Return what Helm is told."""
        from homeport.workflow.helm import Settings

        return Settings(self.values, self.set)
