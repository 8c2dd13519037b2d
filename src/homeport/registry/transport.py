"""One HTTP exchange: a request out, an answer in. No policy: no retry, no redirect, no credentials of its own."""

import os
import re
import socket
import ssl
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPException, HTTPResponse, IncompleteRead
from time import monotonic
from typing import Any, Protocol, cast
from urllib.parse import unquote, urlsplit

import msgspec
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from homeport import __version__
from homeport.errors import HomeportError, RegistryError, TLSError, UnreachableError
from homeport.registry.addresses import Reach, check_host, dial, is_loopback, literal_reach, shown
from homeport.registry.trust import Trust

SILENCE_SECONDS = 60.0
"""How long a peer may say nothing, or take nothing."""
BLOCK = 1 << 20
PIECE = 128 << 10
MOST_PIECE = 4 * PIECE
QUICK = 0.05
"""Seconds within which a piece comes on a line that is asked for larger ones: each takes turns of all threads."""
LONGEST_FILL = 5.0
"""Seconds after which a buffer is handed on as it is, looked at after each piece: whoever it is sent to takes a long silence for the end."""
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})\b")
_MOST_STATUS = 1 << 12
USER_AGENT = f"homeport/{__version__}"


class Body(Protocol):
    """A request's body that is made while it is sent; `failure` is the error that ended it, where one did."""

    failure: HomeportError | None

    def read(self, amount: int, /) -> bytes | memoryview:
        """Return the next bytes, nothing at the end; they are sent before the next call."""


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

    def announce(self, request: Request) -> int:
        """Send a request's head alone, and return the status that comes; see PooledTransport."""


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
        pool = self._pool(parts.scheme, parts.netloc.rpartition("@")[2], request.limit)
        try:
            answer = pool.connections.urlopen(
                request.method,
                parts._replace(scheme="", netloc="", fragment="").geturl() if pool.wants_path else request.url,
                body=cast(Any, request.body),
                headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **request.headers},
                retries=False,
                redirect=False,
                assert_same_host=False,
                timeout=urllib3.Timeout(connect=request.silence, read=request.silence),
                preload_content=False,
                decode_content=False,
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _failure(error, request, parts.netloc) from error
        return _Answer(answer, pool.reach, parts.netloc)

    def announce(self, request: Request) -> int:
        """Send a request's head alone, on a connection of its own, and return the status that comes (RFC 9110, 10.1.1).

        It is 100 where the announced body is wanted, 0 where nothing is said in time. Raises UnreachableError, TLSError.
        """
        parts = urlsplit(request.url)
        pool = self._pool(parts.scheme, parts.netloc.rpartition("@")[2], request.limit)
        connection = cast(HTTPConnection, pool.connections._new_conn())  # noqa: SLF001 - has no other name
        connection.timeout = request.silence
        try:
            if pool.connections.proxy and pool.wants_path:
                pool.connections._prepare_proxy(connection)  # noqa: SLF001 - has no other name
            whole = parts._replace(scheme="", netloc="", fragment="").geturl() if pool.wants_path else request.url
            connection.putrequest(request.method, whole, skip_accept_encoding=True)
            headers = {"User-Agent": USER_AGENT, "Expect": "100-continue", **request.headers}
            for name, text in {**headers, **({} if pool.wants_path else pool.connections.proxy_headers)}.items():
                connection.putheader(name, text)
            connection.endheaders()
            with connection.sock.makefile("rb") as lines:
                found = _STATUS.match(lines.readline(_MOST_STATUS))
                return int(found[1]) if found else 0
        except (urllib3.exceptions.HTTPError, HTTPException, OSError) as error:
            if isinstance(root_cause(error), TimeoutError):
                return 0
            raise _failure(error, request, parts.netloc) from error
        finally:
            connection.close()

    def close(self) -> None:
        """Close idle connections."""
        with self._lock:
            for pool in self._pools.values():
                pool.connections.close()
            self._pools.clear()

    def _pool(self, scheme: str, host: str, limit: Reach) -> "_Pool":
        key = scheme, host, limit
        with self._lock:
            if key not in self._pools:
                self._pools[key] = self._open_pool(scheme, host, limit)
            return self._pools[key]

    def _open_pool(self, scheme: str, host: str, limit: Reach) -> "_Pool":
        parts = urlsplit(f"{scheme}://{host}")
        name, port = parts.hostname or "", parts.port or (443 if scheme == "https" else 80)
        pool = _Pool(limit)
        sizes: dict[str, Any] = {"maxsize": 3 * self._connections, "blocksize": BLOCK}
        secure: dict[str, Any] = {"ssl_context": self._trust.context(host)} if scheme == "https" else {}
        if proxy := proxy_for(scheme, name, port):
            check_host(name, limit)
            manager = urllib3.ProxyManager(proxy, proxy_headers=_proxy_headers(proxy), **sizes, **secure)
            pool.wants_path = scheme == "https"  # through a tunnel; else the proxy needs the whole address
            pool.connections = manager.connection_from_host(name, port, scheme)
            # Behind a proxy names are resolved elsewhere: only a number tells how near a host is.
            pool.reach = literal_reach(name, Reach.PUBLIC)
        elif scheme == "https":
            verified = self._trust.is_verified(host)
            pool.connections = _TLSPool(name, port, **sizes, **secure, dialled=pool, verified=verified)
        else:
            pool.connections = _PlainPool(name, port, **sizes, dialled=pool)
        return pool


class _Pool:
    """Connections to one host, the limit they keep to, and the farthest address that was dialled for it."""

    connections: urllib3.HTTPConnectionPool

    def __init__(self, limit: Reach) -> None:
        self.limit = limit
        self.reach = Reach.LOCAL
        self.wants_path = True

    def dial(self, host: str, port: int) -> socket.socket:
        connection, reach = dial(host, port, self.limit)
        self.reach = min(self.reach, reach)
        return connection


class _Dialling(HTTPConnection):
    """Dials the very address that was judged, and counts silence, not duration, when it sends."""

    def __init__(self, *arguments: Any, dialled: _Pool, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._dialled = dialled

    def _new_conn(self) -> socket.socket:
        return self._dialled.dial(self.host, self.port)

    def connect(self) -> None:
        # Until here, TLS included, the shorter time-out of connecting holds.
        super().connect()
        self.sock.settimeout(self.timeout)

    def send(self, data: Any) -> None:
        # socket.sendall's time-out is for the whole of the data: a slow line would look like a dead one.
        if not isinstance(data, memoryview) or self.sock is None:
            super().send(data)
            return
        while data:
            data = data[self.sock.send(data) :]


class _TLSDialling(_Dialling, HTTPSConnection):
    def __init__(self, *arguments: Any, verified: bool, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._verified = verified

    def connect(self) -> None:
        super().connect()
        if not self._verified:
            self.is_verified = True  # urllib3 warns otherwise; --insecure has named this host


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Dialling


class _TLSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TLSDialling


class _Answer:
    """An answer whose body goes from the socket into the reader's buffer: urllib3 makes two copies on the way."""

    def __init__(self, answer: urllib3.BaseHTTPResponse, reach: Reach, host: str) -> None:
        self._answer = answer
        self._content = cast(HTTPResponse, answer._fp)  # type: ignore[attr-defined]  # noqa: SLF001 - has no other name
        self._left = answer.length_remaining
        self._came, self._ended, self._piece = 0, False, PIECE
        self._failure: UnreachableError | None = None
        self._host = host
        self.status = answer.status
        self.headers: Mapping[str, str] = answer.headers
        self.reach = reach

    def header_list(self, name: str) -> list[str]:
        return list(self._answer.headers.getlist(name))

    def readinto(self, buffer: memoryview, /) -> int:
        if self._failure:
            raise self._failure
        now, filled = monotonic(), 0
        until = now + LONGEST_FILL
        while filled < len(buffer) and not self._ended and now < until:
            begun = now
            try:
                filled += self._fill(buffer[filled : filled + self._piece])
            except UnreachableError as error:
                if not filled:
                    raise
                self._failure = error  # what came counts
                break
            now = monotonic()
            self._piece = MOST_PIECE if now - begun < QUICK else PIECE
        return filled

    def read(self, most: int) -> bytes:
        content = bytearray()
        chunk = memoryview(bytearray(min(most, 1 << 16)))
        while len(content) < most and (count := self.readinto(chunk[: most - len(content)])):
            content += chunk[:count]
        return bytes(content)

    def close(self) -> None:
        if not self._ended and self._left is not None and self._left <= BLOCK:
            rest = memoryview(bytearray(1 << 16))
            with suppress(UnreachableError):
                while self.readinto(rest):
                    pass
        if self._ended:
            self._answer.release_conn()
        self._answer.close()

    def _fill(self, buffer: memoryview) -> int:
        try:
            count = self._content.readinto(buffer)
        except (HTTPException, OSError) as error:
            raise self._broke_off(_reason(error)) from error
        self._came += count
        if self._left is not None:
            self._left -= count
        if not count and self._left:
            raise self._broke_off(f"{self._came} bytes came, {self._left} more were announced")
        self._ended = self._left == 0 or not count
        return count

    def _broke_off(self, reason: str) -> UnreachableError:
        return UnreachableError(f"{self._host}: the connection broke off: {reason}", host=self._host)


def proxy_for(scheme: str, host: str, port: int) -> str | None:
    """Return the proxy that the environment names for a host (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY), if any.

    This machine is never reached through one, as with Go's clients (net/http, ProxyFromEnvironment).
    """
    if sys.platform == "linux" and not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    # It brings the mail parser along, and few have a proxy.
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
    return dict(urllib3.make_headers(proxy_basic_auth=f"{user}:{password}"))


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
    if isinstance(cause, TimeoutError | urllib3.exceptions.TimeoutError):
        return "silence: it did not answer in time"
    if isinstance(cause, ConnectionRefusedError):
        return "the connection is refused"
    if isinstance(cause, IncompleteRead):
        return "the last chunk is missing"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror.lower()
    return str(cause) or type(cause).__name__


def _advice(cause: BaseException) -> str:
    if isinstance(cause, socket.gaierror):
        return "Check the registry's name, and DNS or HTTPS_PROXY on this machine."
    if isinstance(cause, ConnectionRefusedError):
        return "Check host and port, and that the registry runs."
    return "Try again; if it stays so, check the network between here and there, and HTTPS_PROXY."
