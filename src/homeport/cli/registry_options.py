"""Options of all commands that talk to registries: how they are reached, and who one is there."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from homeport.registry.retry import Wait
    from homeport.registry.session import Registries


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RegistryOptions:
    """Options that say how registries are reached."""

    ca_file: Annotated[tuple[Path, ...], Parameter(negative="", show_default=False)] = ()
    """Trust the authorities of this file (PEM) too; may be repeated."""
    plain_http: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = ()
    """Reach this host (host[:port]) by plain HTTP; may be repeated."""
    insecure: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = ()
    """Take this host's TLS certificate unseen; may be repeated."""
    endpoint: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = ()
    """Reach a registry elsewhere: NAME=URL, as docker.io=https://cache.example.com; may be repeated."""
    authfile: Path | None = None
    """Take credentials from this file alone (config.json of Docker, auth.json of podman), not from the usual ones."""

    def open(self, on_wait: "Callable[[Wait], None]" = lambda _wait: None) -> "Registries":
        """Return the registries, to be used in a with statement; raises UsageError. `on_wait` is told of pauses."""
        from homeport.errors import UsageError
        from homeport.registry.credentials import Credentials
        from homeport.registry.ledger import Ledger
        from homeport.registry.session import Registries
        from homeport.registry.settings import Settings

        settings = Settings.of(
            plain_http=self.plain_http, insecure=self.insecure, ca_files=self.ca_file, endpoints=self.endpoint
        )
        if self.authfile is None:
            return Registries(settings, on_wait=on_wait, ledger=Ledger.of_user())
        if not self.authfile.is_file():
            raise UsageError(
                f"--authfile {self.authfile}: there is no such file",
                hint="Name a config.json of Docker or an auth.json of podman.",
            )
        return Registries(settings, Credentials((self.authfile,)), on_wait=on_wait, ledger=Ledger.of_user())
