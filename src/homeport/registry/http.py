"""The one HTTP policy: whoever asks a registry for something asks through a Host.

Here live authentication, redirects, retries and their pace, the pull limit, the number of requests at a time, and the counting of
all of it. What is above sees an answer that it expected, or an exception of homeport.errors.
"""

import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Literal, Self, TypeVar
from urllib.parse import urljoin, urlsplit

import msgspec

from homeport.errors import (
    BlockedAddressError,
    ContentError,
    RateLimitedError,
    RegistryError,
    TLSError,
    UnreachableError,
)
from homeport.oci.challenge import parse_challenges
from homeport.oci.manifest import RawManifest, most_children, parse_manifest
from homeport.quota.budget import Budget
from homeport.quota.experience import Experience
from homeport.quota.reading import Reading
from homeport.registry.addresses import Reach, check_named, origin, shown
from homeport.registry.answers import Refusal, is_page, not_a_registry, used_up
from homeport.registry.auth import Authorizer
from homeport.registry.credentials import Credential
from homeport.registry.retry import Pace, Transient
from homeport.registry.settings import Endpoint
from homeport.registry.traffic import Traffic
from homeport.registry.transport import SILENCE_SECONDS, Body, Request, Response, Transport, root_cause
from homeport.registry.window import Places, Window

T = TypeVar("T")

_MOST_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OUT_OF_DATE = frozenset({400, 403, 410})
"""What object stores answer to a signed address whose time is over; asked again, the registry signs another."""
_LASTING = (ssl.SSLCertVerificationError, ConnectionRefusedError, socket.gaierror)
"""Causes at the first contact that a second try does not heal: a name or port is wrong, rather than a registry restarting."""

_MISNAMED = (
    "The registry sends uploads to an address that is not its own as it is reached from here: its public address is to be set "
    "(Artifactory: custom base URL, or X-JFrog-Override-Base-Url of the proxy; others: Host and X-Forwarded-Proto of the proxy)."
)

Lane = Literal["ask", "download", "upload"]
"""Requests of each kind have places of their own: who downloads may wait for a place to upload, never the other way round."""


class Ask(msgspec.Struct, frozen=True):
    """One request to a registry, in its own terms.

    `path` may be a whole address that the registry gave. `what` is for messages. `body` is bytes, which can be sent again, or a
    Body, which cannot. `expected` are the statuses that the asker understands.
    """

    method: str
    path: str
    what: str
    repository: str = ""
    scopes: tuple[str, ...] = ()
    expected: frozenset[int] = frozenset({200})
    headers: dict[str, str] = {}
    body: bytes | Body | None = None
    lane: Lane | None = "ask"
    """Where to wait for a place; None where the asker has one (`Host.enter`)."""
    silence: float = SILENCE_SECONDS
    leaves: bool = True
    """Whether it is followed to another host; where not, the redirect is the answer."""
    is_pull: bool = False
    """Whether a limited registry counts it: the GET of a manifest."""
    is_manifest: bool = False
    """Whether its answer is a manifest or the head of one: without a limit in it, there is none."""

    @property
    def shown(self) -> str:
        """The request for a message."""
        return f"{self.method} {self.what}"


class Answer:
    """An expected answer, to be closed; it holds a place in its lane until then."""

    def __init__(self, response: Response, url: str, on_close: Callable[[], None]) -> None:
        self._response, self._on_close = response, on_close
        self.status: int = response.status
        self.headers: Mapping[str, str] = response.headers
        self.url = url
        """Where it came from in the end."""
        self.readinto = response.readinto
        self.read = response.read

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Be done, and make room in the lane."""
        try:
            self._response.close()
        finally:
            self._on_close()


class Host:
    """One registry as it is reached, with all its state: scheme, tokens, pace, lanes."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        transport: Transport,
        resolve: Callable[[str], Credential | None],
        pace: Pace,
        traffic: Traffic,
        window: Window,
    ) -> None:
        self.endpoint = endpoint
        self.name = endpoint.name
        self.pace = pace
        self._transport, self._resolve, self._traffic = transport, resolve, traffic
        self._places = Places(window)
        self._scheme = ""
        self._reach = Reach.PUBLIC
        self._auth: Authorizer | None = None
        self._meeting = threading.Lock()
        self._budgets: dict[str, Budget] = {}

    @property
    def is_limited(self) -> bool:
        """Whether the registry has stated a limit on pulls."""
        return self._traffic.quota(self.name) is not None

    @property
    def speaks_tls(self) -> bool:
        """Whether it was found to; False before the first request."""
        return self._scheme == "https"

    def request(self, ask: Ask, use: Callable[[Answer], T]) -> T:
        """Ask, use the answer and close it, again while that may help; the body must be bytes. Raises RegistryError."""

        def once() -> T:
            with self.attempt(ask) as answer:
                try:
                    return use(answer)
                except UnreachableError as error:
                    raise Transient(error) from error

        return self.pace.run(once)

    def open(self, ask: Ask) -> Answer:
        """Ask, again while that may help, for content that the caller streams. Raises RegistryError."""
        return self.pace.run(lambda: self.attempt(ask))

    def announce(self, ask: Ask) -> int:
        """Ask whether a body would be taken that `ask` announces; return the status, 100 where it would be. Raises RegistryError."""
        auth = self._meet()
        request = self._outgoing(ask, self._absolute(ask.path), auth.header(ask.repository, ask.scopes))
        return self._transport.announce(request)

    def enter(self, lane: Lane) -> Callable[[], None]:
        """Wait for a place in a lane; return what gives it back."""
        self._places.enter(lane)
        return partial(self._places.leave, lane)

    def received(self, amount: int) -> None:
        """Count content that came."""
        self._traffic.add(self.name, received=amount)

    def sent(self, amount: int) -> None:
        """Count content that went."""
        self._traffic.add(self.name, sent=amount)

    def saw_index(self, repository: str, raw: RawManifest) -> None:
        """Learn from an index of a registry that limits pulls how many manifests the next ones may name."""
        budget = self._budgets.get(self.identity(repository))
        if budget and budget.reading:
            with suppress(ContentError):
                budget.saw_index(len(parse_manifest(raw).children), most_children(len(raw.body)))

    def identity(self, repository: str = "") -> str:
        """Return who one is there, for a message."""
        credential = self._resolve(repository)
        return credential.identity if credential else "anonymous"

    def reading(self, identity: str) -> Reading | None:
        """Return the pull limit of an identity as it stands, whatever the order in which answers came."""
        budget = self._budgets.get(identity)
        return budget.reading if budget else None

    @property
    def experience(self) -> dict[str, Experience]:
        """What was seen of its pull limits, by who one is there."""
        return {identity: budget.experience for identity, budget in dict(self._budgets).items()}

    def attempt(self, ask: Ask) -> Answer:
        """Ask once; the answer has an expected status. Raises Transient where asking again may help, else RegistryError."""
        auth = self._meet()
        leave = self.enter(ask.lane) if ask.lane else _stay
        number = self._places.begin()
        try:
            response, url = self._expected(ask, auth, number)
        except UnreachableError as error:
            leave()
            if isinstance(ask.body, bytes | None) or ask.body.failure is not error:
                self._places.heard(number, well=False)
                raise Transient(error) from error
            raise
        except BaseException:
            leave()
            raise
        return Answer(response, url, leave)

    def _expected(self, ask: Ask, auth: Authorizer, number: int) -> tuple[Response, str]:
        if not ask.is_pull:
            return self._answered(ask, auth, number)
        budget = self._budget(ask)
        end = budget.begin(ask.repository)
        if end is None:
            self._look_at_limit(ask, auth)
            end = budget.begin(ask.repository)
        if end is None:
            raise self._used_up(ask, budget)
        try:
            return self._answered(ask, auth, number)
        finally:
            end()

    def _budget(self, ask: Ask) -> Budget:
        return self._budgets.setdefault(self.identity(ask.repository), Budget())

    def _look_at_limit(self, ask: Ask, auth: Authorizer) -> None:
        """Ask by HEAD, which is free, whether there are pulls again."""
        head = msgspec.structs.replace(ask, method="HEAD", is_pull=False)
        asked = self._budget(ask).answers
        response, _ = self._authorized(head, auth)
        self._note(head, response, asked)
        response.close()

    def _used_up(self, ask: Ask, budget: Budget) -> RateLimitedError:
        left = f" ({budget.reading})" if budget.reading else ""
        return used_up(f"{self.endpoint.shown}: {ask.shown}", self.identity(ask.repository), left)

    def _answered(self, ask: Ask, auth: Authorizer, number: int) -> tuple[Response, str]:
        asked = self._budget(ask).answers
        response, url = self._authorized(ask, auth)
        if response.status in _OUT_OF_DATE and ask.method == "GET" and not ask.is_pull and not self._is_own(url):
            response.close()
            response, url = self._authorized(ask, auth)
        self._places.heard(number, well=response.status != 429 and response.status < 500)
        self._note(ask, response, asked)
        if response.status in ask.expected:
            return response, url
        try:
            raise self._refusal(response, url, ask.shown, self.identity(ask.repository)).failure()
        finally:
            response.close()

    def _authorized(self, ask: Ask, auth: Authorizer) -> tuple[Response, str]:
        header = auth.header(ask.repository, ask.scopes)
        response, url = self._followed(ask, header)
        auth.heard(header, response.status)
        if response.status != 401 or not self._is_own(url):
            return response, url
        try:
            auth.learn(parse_challenges(response.header_list("WWW-Authenticate")), ask.repository)
            fresh = auth.header(ask.repository, ask.scopes, rejected=header or "")
        except BaseException:
            response.close()
            raise
        if fresh is None:
            return response, url
        if not isinstance(ask.body, bytes | None):
            # What was streamed is gone: who streams it finds out what has arrived, and asks with the fresh token.
            refusal = self._refusal(response, url, ask.shown, self.identity(ask.repository)).failure()
            response.close()
            raise Transient(refusal, 0.0) if isinstance(refusal, RegistryError) else refusal
        response.close()
        return self._followed(ask, fresh)

    def _followed(self, ask: Ask, authorization: str | None) -> tuple[Response, str]:
        url = self._absolute(ask.path)
        for _ in range(_MOST_REDIRECTS):
            response = self._send(ask, url, authorization)
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or not location or not isinstance(ask.body, bytes | None):
                return response, url
            if not ask.leaves and not self._is_own(urljoin(url, location)):
                return response, url
            response.close()
            url = urljoin(url, location)
        raise RegistryError(
            f"{self.endpoint.shown}: {ask.shown}: redirected more than {_MOST_REDIRECTS} times, at last to {shown(url)}",
            host=self.name,
            hint="Check the registry's address; a proxy before it may redirect in a circle.",
        )

    def _send(self, ask: Ask, url: str, authorization: str | None) -> Response:
        is_own = self._is_own(url)
        try:
            response = self._transport.send(self._outgoing(ask, url, authorization))
        except (BlockedAddressError, UnreachableError) as error:
            if not is_own and not ask.path.startswith("/v2/"):
                error.hint = _MISNAMED
            raise
        if is_own:
            self._reach = response.reach
        return response

    def _outgoing(self, ask: Ask, url: str, authorization: str | None) -> Request:
        is_own = self._is_own(url)
        if not is_own:
            check_named(url, by=self.endpoint.shown, plain_http=self._scheme == "http")
        headers = {**ask.headers, "Authorization": authorization} if authorization and is_own else ask.headers
        limit = Reach.LOCAL if is_own else self._reach
        self._traffic.add(self.name, requests=1)
        return Request(ask.method, url, headers, ask.body, limit, ask.silence)

    def _absolute(self, path: str) -> str:
        """Return the address of a path, or one that the registry gave; behind many a TLS proxy it says http of itself."""
        if path.startswith("/v2/"):
            return f"{self._scheme}://{self.endpoint.host}{path}"
        url = urljoin(f"{self._scheme}://{self.endpoint.host}", path)
        parts = urlsplit(url)
        if (parts.scheme, self._scheme) == ("http", "https") and parts.netloc == self.endpoint.host:
            url = parts._replace(scheme="https").geturl()
        return url

    def _is_own(self, url: str) -> bool:
        own = f"{self._scheme}://{self.endpoint.host}"
        return url.startswith(f"{own}/") or origin(url) == origin(own)

    def _at(self, url: str) -> str:
        return self.endpoint.shown if self._is_own(url) else f"{self.endpoint.shown}, redirected to {shown(url)}"

    def _refusal(self, response: Response, url: str, asked: str, identity: str) -> Refusal:
        login = self.endpoint.credential_name
        return Refusal.of(response, host=self._at(url), asked=asked, identity=identity, login=login)

    def _note(self, ask: Ask, response: Response, asked: int) -> None:
        reading = Reading.of(response.headers)
        if reading or (response.status == 200 and ask.is_manifest):
            is_pull = ask.is_pull and response.status == 200
            self._budget(ask).learn(ask.repository, reading, asked, is_pull=is_pull)
        if reading:
            self._traffic.note(self.name, reading)
            if ask.is_pull and response.status == 200:
                self._traffic.add(self.name, counted_pulls=1)

    def _meet(self) -> Authorizer:
        """Ask /v2/ once: is it a registry, over which scheme, where is it, and what does it want to see?"""
        with self._meeting:
            if self._auth is None:
                response, url = self._first_contact()
                try:
                    self._auth = self._introduced(response, url)
                finally:
                    response.close()
            return self._auth

    def _first_contact(self) -> tuple[Response, str]:
        *tried, last = self.endpoint.schemes
        for scheme in tried:
            # What does not speak TLS is asked again in plain HTTP; a wrong certificate is TLS all the same.
            try:
                return self._ping(scheme)
            except (TLSError, UnreachableError) as error:
                if isinstance(root_cause(error), _LASTING):
                    raise
        try:
            return self._ping(last)
        except UnreachableError as error:
            if isinstance(root_cause(error), _LASTING):
                raise
            raise Transient(error) from error

    def _ping(self, scheme: str) -> tuple[Response, str]:
        self._scheme = scheme
        return self._followed(Ask("GET", "/v2/", "/v2/"), None)

    def _introduced(self, response: Response, url: str) -> Authorizer:
        if response.status not in (200, 401, 404):
            raise self._refusal(response, url, "GET /v2/", "anonymous").failure()
        challenges = parse_challenges(response.header_list("WWW-Authenticate"))
        # A proxy's log-in comes as a page with its 401 (nginx auth_basic); any other page is no registry's.
        if response.status == 404 or (is_page(response.headers) and not (response.status == 401 and challenges)):
            came = "a web page" if is_page(response.headers) else "nothing"
            raise not_a_registry(self._at(url), "GET /v2/", f"{came} (status {response.status})")
        plain_http = self._scheme == "http"
        auth = Authorizer(self.endpoint, self._resolve, self._ask_for_token, self.pace.clock, plain_http=plain_http)
        if self._is_own(url):
            auth.learn(challenges)
        return auth

    def _ask_for_token(self, request: Request) -> Response:
        limit = Reach.LOCAL if self._is_own(request.url) else self._reach
        self._traffic.add(self.name, requests=1)
        return self._transport.send(msgspec.structs.replace(request, limit=limit))


def _stay() -> None:
    """Keep a place that was taken elsewhere."""
