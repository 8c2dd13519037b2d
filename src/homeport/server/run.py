"""Start the registry on a socket, stop it when asked to."""

import asyncio
import logging
import math
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

import uvloop
from uvicorn.config import Config
from uvicorn.server import Server

from homeport.errors import UsageError
from homeport.server.http import Limits, protocol_with
from homeport.server.requests import ASGIApp

THREADS = 32
"""How many disk operations may wait at a time."""

GRACE_SECONDS = 20
"""How long running requests may go on after the registry was asked to stop; uploads can be resumed."""


class Listen:
    """A bound socket, with what people type to reach it."""

    def __init__(self, host: str, port: int) -> None:
        """Bind; port 0 picks a free one. Raises UsageError."""
        try:
            self.socket = _bound(host, port)
        except OSError as error:
            raise UsageError(
                f"cannot listen on {host}:{port}: {error.strerror}",
                hint="Name an address of this machine and a free port, or port 0 for any free one.",
            ) from None
        shown = f"[{host}]" if ":" in host else host
        self.host = f"{shown}:{self.socket.getsockname()[1]}"
        self.is_loopback = ip_address(self.socket.getsockname()[0]).is_loopback

    @classmethod
    def parse(cls, text: str) -> "Listen":
        """Read HOST:PORT and bind it; an IPv6 host stands in brackets. Raises UsageError."""
        host, colon, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
        if not colon or not host or not (port.isascii() and port.isdecimal()) or int(port) > 65535:
            raise UsageError(f"{text!r} is not an address", hint="Write HOST:PORT, for example 127.0.0.1:5000.")
        return cls(host, int(port))


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Load a certificate with its chain, and its key; raises UsageError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or error.strerror
        raise UsageError(
            f"cannot use the certificate {certificate} with the key {key}: {reason}",
            hint="Both are PEM files; the key is not encrypted and belongs to the first certificate.",
        ) from None
    return context


class RegistryServer(Server):
    """uvicorn's server that says when it is ready, and ends in peace on SIGTERM and SIGINT."""

    def __init__(
        self,
        app: ASGIApp,
        listen: Listen,
        *,
        tls: ssl.SSLContext | None = None,
        on_ready: Callable[[str], None] = lambda _url: None,
        limits: Limits | None = None,
    ) -> None:
        limits = limits or Limits()
        super().__init__(
            Config(
                app,
                http=protocol_with(limits, getattr(app, "answer_now", None)),
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=math.ceil(limits.idle_seconds),
                timeout_graceful_shutdown=GRACE_SECONDS,
                ssl_context_factory=(lambda _config, _default: tls) if tls else None,
            )
        )
        # A malformed request is the client's affair and not worth a line of ours.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        self._listen, self._on_ready = listen, on_ready
        self.url = f"{'https' if tls else 'http'}://{listen.host}"

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until asked to stop."""
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self.serve(sockets or [self._listen.socket]))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then tell."""
        pool = ThreadPoolExecutor(THREADS, thread_name_prefix="homeport-store")
        asyncio.get_running_loop().set_default_executor(pool)
        await super().startup(sockets)
        self._on_ready(self.url)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on a signal without raising it again afterwards, so that the exit code says that all went well."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        here = threading.current_thread() is threading.main_thread()  # the only one that signals come to
        before = {number: signal.signal(number, self.handle_exit) for number in numbers} if here else {}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
