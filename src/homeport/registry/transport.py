"""One HTTP exchange: a request out, an answer in. No policy: no retry, no redirect, no credentials of its own."""

import os
import socket
import ssl
import threading
from base64 import b64encode
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol
from urllib.parse import unquote, urlsplit

import msgspec

from homeport import __version__
from homeport.errors import HomeportError, RegistryError, TLSError, UnreachableError
from homeport.registry.addresses import Reach, check_host, dial, is_loopback, literal_reach, shown
from homeport.registry.trust import Trust, encrypted
from homeport.registry.wire import Answer, Connection, Content, Stream, WireError

SILENCE_SECONDS = 60.0
"""How long a peer may say nothing, or take nothing."""
BLOCK = 1 << 20
USER_AGENT = f"homeport/{__version__}"
_PORTS = {"http": 80, "https": 443}


class Body(Content, Protocol):
    """A request's body that is made while it is sent; `failure` is the error that ended it, where one did."""

    failure: HomeportError | None


class Request(msgspec.Struct, frozen=True):
    """What is sent. `limit` is how near an address may be that the URL leads to; `silence` in seconds."""

    method: str
    url: str
    headers: dict[str, str] = {}
    body: bytes | Body | None = None
    limit: Reach = Reach.LOCAL
    silence: float = SILENCE_SECONDS


class Response(Protocol):
    """What came back; its body streams, undecoded."""

    status: int
    headers: Mapping[str, str]
    """By their names, in whatever case."""
    reach: Reach
    """Of the address that was dialled."""

    def header_list(self, name: str) -> list[str]:
        """Return every header of a name."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the buffer from its start; return the number of bytes, 0 at the end; raises UnreachableError."""

    def read(self, most: int) -> bytes:
        """Return the body's first bytes, at most so many; raises UnreachableError."""

    def close(self) -> None:
        """Be done; the connection is used again when nothing is left to read."""


class Transport(Protocol):
    """Does one exchange."""

    def send(self, request: Request) -> Response:
        """Send and wait for the answer's head; raises UnreachableError, TLSError, BlockedAddressError."""


class PooledTransport:
    """HTTP/1.1 over kept connections; any number of threads may use it."""

    def __init__(self, trust: Trust, connections: int) -> None:
        self._trust = trust
        self._connections = connections
        self._pools: dict[tuple[str, str, Reach], _Pool] = {}
        self._lock = threading.Lock()

    def send(self, request: Request) -> Response:
        """Send and wait for the answer's head; raises UnreachableError, TLSError, BlockedAddressError."""
        parts = urlsplit(request.url)
        host = parts.netloc.rpartition("@")[2]
        pool = self._pool(parts.scheme, host, request.limit)
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection, answer = pool.exchange(request, target)
        except (WireError, OSError) as error:
            raise _failure(error, request, host) from error
        return _Received(answer, connection, pool, host)

    def close(self) -> None:
        """Close idle connections."""
        with self._lock:
            for pool in self._pools.values():
                pool.close()
            self._pools.clear()

    def _pool(self, scheme: str, host: str, limit: Reach) -> "_Pool":
        key = scheme, host, limit
        with self._lock:
            if key not in self._pools:
                self._pools[key] = _Pool(scheme, host, limit, self._trust, 3 * self._connections)
            return self._pools[key]


class _Pool:
    """Connections to one host, the limit they keep to, and the farthest address that was dialled for it."""

    def __init__(self, scheme: str, host: str, limit: Reach, trust: Trust, most: int) -> None:
        parts = urlsplit(f"{scheme}://{host}")
        self._name, self._port = parts.hostname or "", parts.port or _PORTS[scheme]
        self._host = self._name if parts.port in (None, _PORTS[scheme]) and ":" not in self._name else host
        self._context = trust.context(host) if scheme == "https" else None
        self._limit, self._most = limit, most
        self._idle: deque[Connection] = deque()
        self._proxy = proxy_for(scheme, self._name, self._port)
        self.reach = Reach.LOCAL
        self._fixed: dict[str, str] = {"Host": self._host, "User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
        self._before = ""
        if self._proxy:
            check_host(self._name, limit)
            # Behind a proxy names are resolved elsewhere: only a number tells how near a host is.
            self.reach = literal_reach(self._name, Reach.PUBLIC)
            if scheme == "http":  # the proxy needs the whole address; TLS goes through a tunnel
                self._before = f"http://{self._host}"
                self._fixed |= _proxy_headers(self._proxy)

    def exchange(self, request: Request, target: str) -> tuple[Connection, Answer]:
        """Send over a connection that is idle, or a new one; a new one also where the idle one was about to end."""
        connection = self._take()
        if connection:
            try:
                return connection, self._over(connection, request, target)
            except (WireError, OSError) as error:
                if isinstance(error, TimeoutError) or not isinstance(request.body, bytes | None):
                    raise
        connection = Connection(self._dial(), BLOCK)
        return connection, self._over(connection, request, target)

    def give_back(self, connection: Connection) -> None:
        """Keep a connection for the next exchange."""
        if len(self._idle) < self._most:
            self._idle.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> Connection | None:
        with suppress(IndexError):
            while True:
                connection = self._idle.pop()
                if connection.is_idle():
                    return connection
                connection.close()
        return None

    def _over(self, connection: Connection, request: Request, target: str) -> Answer:
        headers = {**self._fixed, **request.headers}
        try:
            return connection.exchange(request.method, self._before + target, headers, request.body, request.silence)
        except BaseException:
            connection.close()
            raise

    def _dial(self) -> Stream:
        if self._proxy:
            stream = self._dial_proxy(self._proxy)
        else:
            stream, reach = dial(self._name, self._port, self._limit)
            self.reach = min(self.reach, reach)
        try:
            return encrypted(stream, self._context, self._name) if self._context else stream
        except BaseException:
            stream.close()
            raise

    def _dial_proxy(self, proxy: str) -> socket.socket:
        """Connect to a proxy and, where TLS is to follow, through it (RFC 9110 section 9.3.6)."""
        parts = urlsplit(proxy)
        name, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 80)
        stream, _ = dial(name, port, Reach.LOCAL)
        try:
            if parts.scheme == "https":
                stream = ssl.create_default_context().wrap_socket(stream, server_hostname=name)
            if self._context:
                self._tunnel(Connection(stream, BLOCK), proxy)
        except BaseException:
            stream.close()
            raise
        return stream

    def _tunnel(self, connection: Connection, proxy: str) -> None:
        name = f"[{self._name}]" if ":" in self._name else self._name
        there = f"{name}:{self._port}"
        headers = {"Host": there, "User-Agent": USER_AGENT, **_proxy_headers(proxy)}
        answer = connection.exchange("CONNECT", there, headers, None, SILENCE_SECONDS)
        if not 200 <= answer.status < 300:
            raise WireError(f"the proxy refuses the tunnel (status {answer.status})")


class _Received:
    """An answer; its connection goes back where it came from once all of it is read."""

    def __init__(self, answer: Answer, connection: Connection, pool: _Pool, host: str) -> None:
        self._answer, self._connection, self._pool, self._host = answer, connection, pool, host
        self._open = True
        self.status = answer.status
        self.headers: Mapping[str, str] = answer.headers
        self.reach = pool.reach

    def header_list(self, name: str) -> list[str]:
        return self._answer.headers.all(name)

    def readinto(self, buffer: memoryview, /) -> int:
        try:
            return self._answer.readinto(buffer)
        except (WireError, OSError) as error:
            raise UnreachableError(
                f"{self._host}: the connection broke off: {_reason(error)}", host=self._host
            ) from error

    def read(self, most: int) -> bytes:
        content = bytearray()
        chunk = memoryview(bytearray(min(most, self._answer.left or 1 << 16)))
        while len(content) < most and (count := self.readinto(chunk[: most - len(content)])):
            content += chunk[:count]
        return bytes(content)

    def close(self) -> None:
        if not self._open:
            return
        self._open = False
        with suppress(WireError, OSError):
            self._drain()
        if self._answer.may_follow:
            self._pool.give_back(self._connection)
        else:
            self._connection.close()

    def _drain(self) -> None:
        """Read what little is left, so that the connection can be used again."""
        left = self._answer.left
        if left == 0 or (left or 0) > BLOCK:
            return
        rest = memoryview(bytearray(min(left or BLOCK, 1 << 16)))
        read = 0
        while read <= BLOCK and (count := self._answer.readinto(rest)):
            read += count


def proxy_for(scheme: str, host: str, port: int) -> str | None:
    """Return the proxy that the environment names for a host (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY), if any.

    This machine is never reached through one, as with Go's clients (net/http, ProxyFromEnvironment).
    """
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    # Kept out of the way of most: it takes as long to import as ten requests take.
    from urllib.request import getproxies, proxy_bypass

    proxies = getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    if not proxy or is_loopback(host) or proxy_bypass(f"{host}:{port}"):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _proxy_headers(proxy: str) -> dict[str, str]:
    parts = urlsplit(proxy)
    if not parts.username:
        return {}
    user, password = unquote(parts.username), unquote(parts.password or "")
    return {"Proxy-Authorization": f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"}


def _failure(error: Exception, request: Request, host: str) -> RegistryError:
    cause = root_cause(error)
    asked = f"{request.method} {shown(request.url)}"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return TLSError(
            f"{asked}: the certificate is not trusted: {cause.verify_message or cause.reason}",
            host=host,
            hint=f"Trust its authority: --ca-file FILE, or FILE as /etc/docker/certs.d/{host}/ca.crt.",
        )
    if isinstance(cause, ssl.SSLError):
        return TLSError(
            f"{asked}: no TLS: {_tls_reason(cause)}",
            host=host,
            hint=f"If the registry speaks plain HTTP, say so: --plain-http {host}.",
        )
    return UnreachableError(f"{asked}: {_reason(error)}", host=host, hint=_advice(cause))


def root_cause(error: BaseException) -> BaseException:
    """Dig for the cause of a failed exchange below all wrappings."""
    seen: set[int] = set()
    while id(error) not in seen and not isinstance(error, ssl.SSLError):
        seen.add(id(error))
        inner = next((part for part in reversed(error.args) if isinstance(part, BaseException)), None)
        error = inner or error.__cause__ or error
    return error


def _tls_reason(cause: ssl.SSLError) -> str:
    return (cause.reason or str(cause)).replace("_", " ").lower()


def _reason(error: Exception) -> str:
    cause = root_cause(error)
    if isinstance(cause, socket.gaierror):
        return "the name is unknown"
    if isinstance(cause, TimeoutError):
        return "silence: it did not answer in time"
    if isinstance(cause, ConnectionRefusedError):
        return "the connection is refused"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror.lower()
    return str(cause) or type(cause).__name__


def _advice(cause: BaseException) -> str:
    if isinstance(cause, socket.gaierror):
        return "Check the registry's name, and DNS or HTTPS_PROXY on this machine."
    if isinstance(cause, ConnectionRefusedError):
        return "Check host and port, and that the registry runs."
    return "Try again; if it stays so, check the network between here and there, and HTTPS_PROXY."
