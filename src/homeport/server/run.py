"""Start the registry on a socket, stop it when asked to."""

import asyncio
import logging
import math
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import ip_address

import uvloop
from uvicorn.config import Config
from uvicorn.server import Server

from homeport.errors import UsageError
from homeport.server.http import Limits, protocol_with
from homeport.server.requests import ASGIApp
from homeport.server.tls import Certificate

THREADS = 32
"""How many disk operations may wait at a time."""

FAREWELL_SECONDS = 10
"""How long requests may take to notice that their connections are gone; what is written to the disk is finished."""


class Listen:
    """A bound socket, with what people type to reach it."""

    def __init__(self, host: str, port: int, *, shared: bool = False) -> None:
        """Bind, if `shared` so that `another` can bind too; port 0 picks a free one. Raises UsageError."""
        try:
            self.socket = _bound(host, port, shared=shared)
        except OSError as error:
            raise UsageError(
                f"cannot listen on {host}:{port}: {error.strerror}",
                hint="Name an address of this machine and a free port, or port 0 for any free one.",
            ) from None
        shown = f"[{host}]" if ":" in host else host
        self.host = f"{shown}:{self.socket.getsockname()[1]}"
        self.is_loopback = ip_address(self.socket.getsockname()[0]).is_loopback

    def another(self) -> socket.socket:
        """Bind the address once more, for another process to listen on."""
        another = socket.socket(self.socket.family, self.socket.type, self.socket.proto)
        another.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        another.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        another.bind(self.socket.getsockname())
        return another

    @classmethod
    def parse(cls, text: str, *, shared: bool = False) -> "Listen":
        """Read HOST:PORT and bind it; an IPv6 host stands in brackets. Raises UsageError."""
        host, colon, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
        if not colon or not host or not (port.isascii() and port.isdecimal()) or int(port) > 65535:
            raise UsageError(f"{text!r} is not an address", hint="Write HOST:PORT, for example 127.0.0.1:5000.")
        return cls(host, int(port), shared=shared)


def _bound(host: str, port: int, *, shared: bool) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound


class RegistryServer(Server):
    """uvicorn's server that says when it is ready, and ends in peace on SIGTERM and SIGINT."""

    def __init__(
        self,
        app: ASGIApp,
        listen: Listen,
        *,
        tls: Certificate | None = None,
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
                timeout_graceful_shutdown=math.ceil(limits.grace_seconds) + FAREWELL_SECONDS,
                ssl_context_factory=(lambda _config, _default: tls.context) if tls else None,
            )
        )
        # A malformed request is the client's affair and not worth a line of ours.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        self._listen, self._on_ready, self._tls = listen, on_ready, tls
        self._grace = limits.grace_seconds
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

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let running requests end for a while, then hang up: what is left ends as for a client that went away."""
        grace = asyncio.get_running_loop().call_later(self._grace, self._hang_up)
        await super().shutdown(sockets)
        grace.cancel()
        self._hang_up()
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=FAREWELL_SECONDS)

    def _hang_up(self) -> None:
        for connection in self.server_state.connections:
            connection.transport.abort()

    async def on_tick(self, counter: int) -> bool:
        """Look at the certificate's files every five seconds; uvicorn ticks ten times a second."""
        if self._tls and counter % 50 == 0:
            await asyncio.to_thread(self._tls.refresh)
        return await super().on_tick(counter)

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
