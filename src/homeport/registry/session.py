"""All registries of one job."""

import threading
from collections.abc import Callable, Iterable
from typing import Self

from homeport.quota.experience import Experience, Standing
from homeport.quota.reading import Reading
from homeport.registry.client import RegistryClient
from homeport.registry.clouds import CloudCredentials
from homeport.registry.credentials import Credential, Credentials, OneCredential, Resolver
from homeport.registry.http import Host
from homeport.registry.ledger import Key, Ledger
from homeport.registry.retry import Clock, Pace, Wait
from homeport.registry.settings import Endpoint, Settings
from homeport.registry.traffic import Traffic
from homeport.registry.transport import PooledTransport
from homeport.registry.trust import Trust
from homeport.registry.web import WebSite
from homeport.registry.window import Window


class Registries:
    """One client per registry, with shared connections, credentials and counters; any number of threads may use it.

    Use it in a with statement, or close it: that ends waits and connections.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        credentials: Resolver | None = None,
        *,
        on_wait: Callable[[Wait], None] = lambda _: None,
        clock: Clock | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        """`ledger` is what earlier jobs saw of pull limits; what this one sees is left there when it is closed."""
        self._settings = settings or Settings.of()
        self._on_wait = on_wait
        self._clock = clock or Clock()
        self._transport = PooledTransport(Trust(self._settings), self._settings.connections)
        self._credentials: Resolver = credentials or CloudCredentials(
            Credentials.from_environment(), self._transport.send
        )
        self._ledger = ledger or Ledger()
        self._clients: dict[str, RegistryClient] = {}
        self._hosts: dict[str, Host] = {}
        self._lock = threading.Lock()
        self.traffic = Traffic()

    def client(self, registry: str) -> RegistryClient:
        """Return the client of a registry by its name in references."""
        with self._lock:
            if registry not in self._clients:
                self._clients[registry] = self._open(self._settings.endpoint(registry))
            return self._clients[registry]

    def web(self, url: str) -> WebSite:
        """Return the web server under an address, for files that are no registry's; raises UsageError."""
        return WebSite(
            url,
            settings=self._settings,
            transport=self._transport,
            resolve=self._credentials.resolve,
            clock=self._clock,
            on_wait=self._on_wait,
        )

    def quota(self, registry: str) -> Reading | None:
        """Return the pull limit as the registry last stated it; None: it never stated one."""
        return self.traffic.quota(registry)

    def standing(self, registry: str) -> Standing | None:
        """Return the pull limit with what was seen of it, by this job and earlier ones; None: it never stated one."""
        stated, host = self.quota(registry), self._hosts.get(registry)
        if stated is None or host is None:
            return None
        key = _key(host, host.identity())
        seen = host.experience.get(key[1], Experience())
        return Standing(host.reading(key[1]) or stated, seen.after(self._ledger.get(key)))

    def credential(self, registry: str, repository: str = "") -> Credential | None:
        """Return who one is at a registry; at another endpoint that was set for it, who one is there."""
        endpoint = self._settings.endpoint(registry)
        return self._credentials.resolve(endpoint.credential_name, repository)

    def create_repositories(self, registry: str, names: Iterable[str]) -> list[str]:
        """Create the repositories that are missing at Amazon ECR; return them. Raises UsageError, AuthenticationError."""
        return CloudCredentials(OneCredential(None), self._transport.send).ecr(registry).create(names)

    def seen_by(self, credential: Credential | None) -> "Registries":
        """Return the same registries as another identity sees them, None being nobody; close them as well."""
        return Registries(self._settings, OneCredential(credential), on_wait=self._on_wait)

    def close(self) -> None:
        """End all waits, close idle connections, and leave what was seen of pull limits."""
        self._clock.stop()
        seen = [(host, identity, it) for host in self._hosts.values() for identity, it in host.experience.items()]
        self._ledger.add({_key(host, identity): experience for host, identity, experience in seen})
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, endpoint: Endpoint) -> RegistryClient:
        host = Host(
            endpoint,
            transport=self._transport,
            resolve=lambda repository: self._credentials.resolve(endpoint.credential_name, repository),
            pace=Pace(endpoint.shown, self._clock, self._on_wait),
            traffic=self.traffic,
            window=Window(most=self._settings.connections),
        )
        self._hosts[endpoint.name] = host
        return RegistryClient(host)


def _key(host: Host, identity: str) -> Key:
    return host.endpoint.credential_name, identity
