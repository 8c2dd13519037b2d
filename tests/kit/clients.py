"""Registries opened for a test: no stored credentials, no waiting."""

from collections.abc import Iterable

from homeport.oci.transfer import BlobReader
from homeport.registry.credentials import Credential
from homeport.registry.ledger import Ledger
from homeport.registry.retry import Clock, Wait
from homeport.registry.session import Registries
from homeport.registry.settings import Settings
from tests.kit.clock import FakeClock


class Known:
    """One credential for every registry, or none."""

    def __init__(self, credential: Credential | None) -> None:
        self.credential = credential
        self.asked: list[tuple[str, str]] = []

    def resolve(self, registry: str, repository: str = "") -> Credential | None:
        self.asked.append((registry, repository))
        return self.credential


def open_registries(
    credential: Credential | None = None,
    *,
    settings: Settings | None = None,
    endpoints: Iterable[str] = (),
    clock: Clock | None = None,
    waits: list[Wait] | None = None,
    ledger: Ledger | None = None,
) -> Registries:
    """Return registries that wait for nothing; `waits` collects what they would have waited for."""
    return Registries(
        settings or Settings.of(endpoints=endpoints, environment={}),
        Known(credential),
        clock=clock or FakeClock(),
        on_wait=(lambda _: None) if waits is None else waits.append,
        ledger=ledger,
    )


def read_all(reader: BlobReader, step: int = 1 << 16) -> bytes:
    """Read to the end, in steps."""
    buffer = memoryview(bytearray(step))
    content = bytearray()
    while count := reader.readinto(buffer):
        content += buffer[:count]
    return bytes(content)
