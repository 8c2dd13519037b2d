"""Files of plain web servers, as chart repositories are, under the rules that hold for registries."""

import socket
import ssl
from collections.abc import Callable
from typing import Final
from urllib.parse import urljoin, urlsplit

from homeport.errors import ContentError, RegistryError, UnreachableError, UsageError
from homeport.registry.addresses import Reach, check_named, is_loopback, origin, shown
from homeport.registry.answers import Refusal
from homeport.registry.auth import basic
from homeport.registry.credentials import Credential
from homeport.registry.retry import Clock, Pace, Transient, Wait
from homeport.registry.settings import Settings, split_port
from homeport.registry.transport import Request, Response, Transport, root_cause

_MOST_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_LASTING = (ssl.SSLError, ConnectionRefusedError, socket.gaierror)


class WebSite:
    """One server, and who one is there: files at other hosts that it names are fetched as nobody."""

    def __init__(
        self,
        url: str,
        *,
        settings: Settings,
        transport: Transport,
        resolve: Callable[[str, str], Credential | None],
        clock: Clock,
        on_wait: Callable[[Wait], None],
    ) -> None:
        """Take the address under which the files are; raises UsageError where it is not https."""
        parts = urlsplit(url)
        host = parts.netloc
        is_plain_allowed = host in settings.plain_http or is_loopback(split_port(host)[0])
        if parts.username is not None or parts.scheme not in ("https", "http") or not parts.hostname:
            raise UsageError(f"{shown(url)} is no address of a web server", hint="Write https://HOST/PATH.")
        if parts.scheme == "http" and not is_plain_allowed:
            raise UsageError(f"{shown(url)} is not https", hint=f"If that is right, say so: --plain-http {host}")
        self._home, self._host, self._path = url, host, parts.path.strip("/")
        self._transport, self._resolve = transport, resolve
        self._pace = Pace(host, clock, on_wait)
        self._reach = Reach.PUBLIC

    def fetch(self, url: str, most: int) -> bytes:
        """Return a file of at most `most` bytes, by its address relative to this one; raises RegistryError, ContentError."""
        return self._pace.run(lambda: self._once(urljoin(f"{self._home.rstrip('/')}/", url), most))

    def _once(self, url: str, most: int) -> bytes:
        try:
            response, url = self._followed(url)
            try:
                return self._content(response, url, most)
            finally:
                response.close()
        except UnreachableError as error:
            if isinstance(root_cause(error), _LASTING):
                raise
            raise Transient(error) from error

    def _followed(self, url: str) -> tuple[Response, str]:
        for _ in range(_MOST_REDIRECTS):
            response = self._send(url)
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or not location:
                return response, url
            response.close()
            url = urljoin(url, location)
        raise RegistryError(f"{self._host}: redirected more than {_MOST_REDIRECTS} times, at last to {shown(url)}")

    def _send(self, url: str) -> Response:
        is_own = origin(url) == origin(self._home)
        if not is_own:
            check_named(url, by=self._host, plain_http=self._home.startswith("http:"))
        credential = self._resolve(self._host, self._path) if is_own else None
        headers = {"Authorization": basic(credential, self._host, self._host)} if credential else {}
        response = self._transport.send(Request("GET", url, headers, limit=Reach.LOCAL if is_own else self._reach))
        if is_own:
            self._reach = response.reach
        return response

    def _content(self, response: Response, url: str, most: int) -> bytes:
        if response.status != 200:
            identity = "these credentials" if origin(url) == origin(self._home) else "anonymous"
            refusal = Refusal.of(
                response, host=urlsplit(url).netloc, asked=f"GET {shown(url)}", identity=identity, login=self._host
            )
            raise refusal.failure()
        body = response.read(most + 1)
        if len(body) > most:
            raise ContentError(f"{shown(url)} has more than {most} bytes")
        announced = response.headers.get("Content-Length", "")
        if announced.isdecimal() and int(announced) != len(body):
            raise Transient(UnreachableError(f"{shown(url)}: {len(body)} of {announced} bytes came", host=self._host))
        return body
