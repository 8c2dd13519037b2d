"""A registry put together from its configuration, and run."""

import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from homeport.errors import StoreError, UsageError
from homeport.server.access import Rules
from homeport.server.app import Registry
from homeport.server.config import ServerConfig, seconds
from homeport.server.gate import Gate
from homeport.server.login import HtpasswdLogin
from homeport.server.metrics import Metrics, share_between_workers
from homeport.server.proxies import Proxies
from homeport.server.run import Listen, RegistryServer
from homeport.server.tls import Certificate, own_certificate, trust_help
from homeport.server.tokens import Tokens
from homeport.server.workers import run_workers
from homeport.store.collection import Policy, collect
from homeport.store.filesystem import FileSystemStore


class Service:
    """Everything that is needed to serve; made before any worker starts, so that all mistakes are told at once."""

    def __init__(self, config: ServerConfig, *, workers: int = 1) -> None:
        """Open the store, bind the address, load users and certificate; raises UsageError."""
        self.config, self._workers = config, workers
        self.data = config.path(config.data) or Path("data")
        htpasswd = config.path(config.htpasswd)
        login = HtpasswdLogin(htpasswd) if htpasswd else None
        if config.tokens and not login:
            raise UsageError("tokens need users", hint="Name their file: --htpasswd FILE.")
        tokens = Tokens(lifetime=config.token_seconds) if config.tokens else None
        rules = Rules(config.access, config.groups) if config.access else None
        self.gate = Gate(login, rules=rules, tokens=tokens, read_only=config.read_only)
        try:
            self.store = FileSystemStore(self.data)
        except StoreError as error:
            raise UsageError(error.message, hint=error.hint) from None
        self.listen = Listen.parse(config.listen, shared=workers > 1)
        self.certificate, self.trust = self._certificate()

    def run(self, on_ready: Callable[[str], None]) -> bool:
        """Serve until asked to stop; False if the workers ended by themselves."""
        if self._workers == 1:
            self._serve(0, on_ready, self.listen.socket)
            return True
        share_between_workers()
        url = f"{'https' if self.certificate else 'http'}://{self.listen.host}"
        return run_workers(
            self._workers,
            lambda number, ready: self._serve(number, lambda _url: ready(), self.listen.another()),
            lambda: on_ready(url),
        )

    def _serve(self, number: int, on_ready: Callable[[str], None], bound: socket.socket) -> None:
        app = Registry(
            self.store,
            gate=self.gate,
            immutable=self.config.immutable_tags,
            access_log=self.config.access_log,
            metrics=Metrics(self.store.layout),
            layout=self.store.layout,
            proxies=Proxies(self.config.trusted_proxies),
        )
        if number == 0 and self.config.collection.every:
            threading.Thread(target=self._collect, name="homeport-collection", daemon=True).start()
        RegistryServer(app, self.listen, tls=self.certificate, on_ready=on_ready).run([bound])

    def _collect(self) -> None:
        """Remove what is unused, again and again; what goes wrong is told and tried again the next time."""
        settings, never = self.config.collection, threading.Event()
        policy = Policy(grace=seconds(settings.grace), untagged=settings.untagged)
        while not never.wait(seconds(settings.every)):
            try:
                print(f"note: collection: {collect(self.store.layout, policy)}", file=sys.stderr)  # noqa: T201 - a log
            except (StoreError, OSError) as error:
                print(f"note: collection failed: {error}", file=sys.stderr)  # noqa: T201 - a log

    def _certificate(self) -> tuple[Certificate | None, str]:
        tls = self.config.tls
        cert, key, client_ca = (self.config.path(text) for text in (tls.cert, tls.key, tls.client_ca))
        trust = ""
        if tls.auto and not cert:
            host = self.listen.host.rpartition(":")[0].strip("[]")
            names = {"localhost", "127.0.0.1", "::1", socket.gethostname(), host} - {"0.0.0.0", "::"}  # noqa: S104
            ca_file, cert, key = own_certificate(self.data / "tls", sorted(names))
            trust = trust_help(ca_file, self.listen.host)
        if (cert is None) != (key is None):
            raise UsageError("--tls-cert and --tls-key go together", hint="Name both files, or neither for plain HTTP.")
        if client_ca and not cert:
            raise UsageError("client certificates need TLS", hint="Name --tls-cert and --tls-key, or --tls-auto.")
        return (Certificate(cert, key, client_ca) if cert and key else None), trust
