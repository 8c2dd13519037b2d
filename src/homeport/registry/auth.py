"""Answering a 401: Basic (RFC 7617) and the token protocol of registries (distribution: docs/spec/auth/token.md, oauth.md)."""

import base64
import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec

from homeport.errors import AuthenticationError
from homeport.oci.challenge import Challenge
from homeport.oci.unreadable import UNREADABLE
from homeport.registry.addresses import check_named, shown
from homeport.registry.answers import Refusal, not_a_registry
from homeport.registry.credentials import Credential
from homeport.registry.retry import Clock
from homeport.registry.settings import Endpoint
from homeport.registry.transport import Request, Response

_CLIENT_ID = "homeport"
_SHORTEST_LIFE = 60.0
"""Seconds that a token lives which does not say (token.md: expires_in)."""
_MOST_BYTES = 1 << 20
_MOST_REFUSALS = 2
"""Logins with one password that may fail before it is taken for wrong; Docker Hub locks a user after some (hub-feedback 2201)."""


class _Answer(msgspec.Struct):
    token: str | None = None
    access_token: str | None = None
    expires_in: float | None = None


class _Token(msgspec.Struct, frozen=True):
    header: str
    renew_at: float


class Post(Protocol):
    """Sends a request to a token service, at the registry's limit of addresses."""

    def __call__(self, request: Request, /) -> Response: ...  # noqa: D102


class Authorizer:
    """The Authorization headers of one registry: tokens kept per realm, service and scope, each fetched by one thread."""

    def __init__(
        self,
        endpoint: Endpoint,
        resolve: Callable[[str], Credential | None],
        send: Post,
        clock: Clock,
        *,
        plain_http: bool,
    ) -> None:
        self._endpoint, self._resolve, self._send = endpoint, resolve, send
        self._clock, self._plain_http = clock, plain_http
        self._challenges: dict[str, Challenge] = {}
        self._tokens: dict[tuple[str, str, str], _Token] = {}
        self._lock = threading.Lock()
        self._refused: dict[str, list[AuthenticationError]] = {}
        self._worked: set[str] = set()

    def learn(self, challenges: Iterable[Challenge], repository: str = "") -> None:
        """Take the strongest challenge that is known here: Bearer before Basic.

        That of a repository holds for it, and for those that have none: Artifactory has a realm for each of its own repositories.
        """
        offered = {challenge.scheme: challenge for challenge in reversed(tuple(challenges))}
        if challenge := offered.get("bearer") or offered.get("basic"):
            self._challenges[repository] = self._challenges[""] = challenge

    def header(self, repository: str, scopes: tuple[str, ...], *, rejected: str | None = None) -> str | None:
        """Return the header for a request, None to go without; one that was rejected is not given again."""
        own = self._challenges.get(repository) if repository else None
        challenge = own or self._challenges.get("")
        if challenge is None:
            return None
        credential = self._resolve(repository)
        if challenge.scheme == "basic":
            header = self._basic(credential) if credential else None
            if header and header != rejected:
                with self._lock:
                    self._check_refusals(header)
            return None if header == rejected else header
        wanted = merge_scopes((*scopes, *challenge.scopes) if rejected or own else scopes)
        return self._bearer(challenge, credential, wanted, rejected)

    def _bearer(self, challenge: Challenge, credential: Credential | None, scopes: str, rejected: str | None) -> str:
        who = credential.username + ("\0token" if credential.is_identity_token else "") if credential else ""
        key = who, f"{challenge.realm} {challenge.parameters.get('service', '')}", scopes
        with self._lock:
            kept = self._tokens.get(key)
            if kept is None or kept.header == rejected or self._clock.now() >= kept.renew_at:
                kept = self._tokens[key] = self._login(who, partial(self._fetch, challenge, credential, scopes))
            return kept.header

    def _login(self, who: str, fetch: Callable[[], _Token]) -> _Token:
        """Fetch a token; a password that was refused again and again is not tried any more, as that locks users out."""
        self._check_refusals(who)
        try:
            token = fetch()
        except AuthenticationError as error:
            if who:
                self._refused.setdefault(who, []).append(error)
            raise
        self._refused.pop(who, None)
        return token

    def heard(self, header: str | None, status: int) -> None:
        """Learn whether a password was taken that goes with each request."""
        if not header or not header.startswith("Basic "):
            return
        with self._lock:
            if status != 401:
                self._refused[header] = []
                self._worked.add(header)
            elif header not in self._worked:
                self._refused.setdefault(header, []).append(AuthenticationError("", status=status))

    def _check_refusals(self, who: str) -> None:
        refused = self._refused.get(who, [])
        if len(refused) >= _MOST_REFUSALS:
            raise AuthenticationError(
                f"{self._endpoint.shown}: not tried again, as the login was refused {len(refused)} times"
                + (f": {refused[-1].message}" if refused[-1].message else ""),
                host=self._endpoint.name,
                status=401,
                hint=f"More tries would lock the account. Log in anew: docker login {self._endpoint.credential_name}",
            )

    def _fetch(self, challenge: Challenge, credential: Credential | None, scopes: str) -> _Token:
        realm = challenge.realm
        check_named(realm, by=self._endpoint.shown, plain_http=self._plain_http)
        asked = f"a token of {shown(realm)}"
        response = self._send(self._request(challenge, credential, scopes))
        try:
            if response.status != 200:
                identity = credential.identity if credential else "anonymous"
                raise Refusal.of(
                    response,
                    host=self._endpoint.shown,
                    asked=asked,
                    identity=identity,
                    login=self._endpoint.credential_name,
                ).failure()
            answer = msgspec.json.decode(response.read(_MOST_BYTES), type=_Answer)
        except UNREADABLE:
            raise not_a_registry(self._endpoint.shown, asked, "no JSON") from None
        finally:
            response.close()
        token = answer.token or answer.access_token
        if not token or not token.isprintable():
            raise not_a_registry(self._endpoint.shown, asked, "an answer without a token")
        life = max(answer.expires_in or _SHORTEST_LIFE, 1.0)
        return _Token(f"Bearer {token}", self._clock.now() + life * 0.8)

    def _request(self, challenge: Challenge, credential: Credential | None, scopes: str) -> Request:
        service = challenge.parameters.get("service", "")
        if credential and credential.is_identity_token:
            form = {
                "grant_type": "refresh_token",
                "service": service,
                "client_id": _CLIENT_ID,
                "scope": scopes,
                "refresh_token": credential.secret,
            }
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            return Request("POST", challenge.realm, headers, urlencode(form).encode())
        query = [("service", service)] if service else []
        query += [("scope", scope) for scope in scopes.split()]
        if credential:
            query.append(("account", credential.username))
        parts = urlsplit(challenge.realm)
        url = urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, urlencode(query)))), fragment=""))
        return Request("GET", url, {"Authorization": self._basic(credential)} if credential else {})

    def _basic(self, credential: Credential) -> str:
        return basic(credential, self._endpoint.shown, self._endpoint.credential_name)


def basic(credential: Credential, host: str, login: str) -> str:
    """Return the header of Basic authentication; `login` is the name that `docker login` takes. Raises AuthenticationError."""
    if credential.is_identity_token:
        raise AuthenticationError(
            f"{host} asks for user and password; an identity token is stored in {credential.source}",
            host=login,
            hint=f"Log in with user and password, or an access token as password: docker login {login}",
        )
    return "Basic " + base64.b64encode(f"{credential.username}:{credential.secret}".encode()).decode()


def pull_scope(repository: str) -> str:
    """Return the right to read a repository."""
    return f"repository:{repository}:pull"


def push_scope(repository: str) -> str:
    """Return the right to read and write a repository."""
    return f"repository:{repository}:pull,push"


def delete_scope(repository: str) -> str:
    """Return the right to delete from a repository, as Docker's registries call it."""
    return f"repository:{repository}:pull,push,delete"


def merge_scopes(scopes: Iterable[str]) -> str:
    """Join rights, those to the same thing into one, separated by spaces: the same set is always the same text."""
    actions: dict[str, set[str]] = {}
    for scope in scopes:
        thing, colon, verbs = scope.rpartition(":")
        actions.setdefault(thing + colon if ":" in thing else scope, set()).update(
            verbs.split(",") if ":" in thing else ()
        )
    return " ".join(sorted(thing + ",".join(sorted(verbs)) for thing, verbs in actions.items()))
