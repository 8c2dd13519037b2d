"""A stand-in for Docker Hub as its documentation describes it: tokens, a pull limit in headers, redirected blobs.

Manifests carry ``ratelimit-limit`` on GET and HEAD, and only a GET counts (docs.docker.com, Docker Hub pull usage and limits). An
image of several platforms is said there to be one pull for each architecture: `free_indexes` takes that at its word.
"""

import base64
import json
import secrets
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import parse_qs

import msgspec

from homeport.oci.digest import digest_of
from homeport.oci.manifest import is_index
from homeport.server.requests import ASGIApp, Receive, Scope, Send
from homeport.store.memory import MemoryStore
from homeport.store.protocol import Store
from tests.kit.servers import running_registry

SERVICE = "registry.docker.io"
PREVIEW = "/v2/ratelimitpreview/test/manifests/latest"
_PREVIEW_BODY = b'{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json"}'
_EXHAUSTED = (
    "You have reached your pull rate limit. You may increase the limit by authenticating and upgrading: "
    "https://www.docker.com/increase-rate-limits"
)


class Counters:
    """What was asked, by kind: token, head, get (a counted pull), refused, blob, redirect, cdn, cdn_with_credentials, write."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._pulls: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, kind: str) -> None:
        with self._lock:
            self._counts[kind] += 1

    def __getitem__(self, kind: str) -> int:
        return self._counts[kind]

    def pull(self, identity: str, limit: int | None) -> bool:
        """Count a pull of an identity; False where its limit is used up."""
        with self._lock:
            if limit is not None and self._pulls[identity] >= limit:
                return False
            self._pulls[identity] += 1
            return True

    def take_back(self, identity: str) -> None:
        """Count a pull less."""
        with self._lock:
            self._pulls[identity] -= 1

    def forgive(self) -> None:
        """Give all pulls again, as when the window has moved on."""
        with self._lock:
            self._pulls.clear()

    def pulls(self, identity: str) -> int:
        return self._pulls[identity]


class DockerHub(msgspec.Struct, frozen=True):
    """A running stand-in. `endpoint` is what `--endpoint` and HOMEPORT_ENDPOINTS take; `store` is what it serves."""

    host: str
    url: str
    endpoint: str
    counters: Counters
    store: Store


class _Token(msgspec.Struct, frozen=True):
    user: str
    scopes: tuple[str, ...]


class _Hub:
    """The ASGI application before a registry's."""

    def __init__(
        self,
        app: ASGIApp,
        counters: Counters,
        limits: Mapping[str, int | None],
        *,
        window: int,
        users: Mapping[str, str],
        cdn: str | None,
        free_indexes: bool,
    ) -> None:
        self._app, self._counters, self._limits, self._window = app, counters, limits, window
        self._users, self._cdn, self._free_indexes = users, cdn, free_indexes
        self._tokens: dict[str, _Token] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path, method = str(scope["path"]), str(scope["method"])
        headers = {name.decode().lower(): text.decode("latin-1") for name, text in scope["headers"]}
        if path == "/token":
            await self._give_token(scope, headers, send)
            return
        token = self._tokens.get(headers.get("authorization", "").removeprefix("Bearer "))
        if token is None or not _allows(token, path, method):
            await self._challenge(path, headers["host"], method, send)
        elif "/manifests/" in path and method in ("GET", "HEAD"):
            await self._manifest(token.user, scope, receive, send)
        elif "/blobs/sha" in path and method == "GET" and self._cdn:
            self._counters.add("redirect")
            await _reply(send, 307, b"", {"location": f"{self._cdn}{path}"})
        else:
            self._counters.add("blob" if method == "GET" else "write")
            await self._app(scope, receive, send)

    async def _give_token(self, scope: Scope, headers: Mapping[str, str], send: Send) -> None:
        self._counters.add("token")
        user = ""
        if authorization := headers.get("authorization"):
            user, _, password = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
            if self._users.get(user) != password:
                await _refuse(send, 401, "UNAUTHORIZED", "incorrect username or password")
                return
        scopes = parse_qs(scope["query_string"].decode()).get("scope", [])
        name = secrets.token_urlsafe(24)
        self._tokens[name] = _Token(user, tuple(scopes))
        answer = {"token": name, "access_token": name, "expires_in": 300, "issued_at": "2026-01-01T00:00:00Z"}
        await _reply(send, 200, json.dumps(answer).encode(), {"content-type": "application/json"})

    async def _challenge(self, path: str, host: str, method: str, send: Send) -> None:
        repository = _repository(path)
        rights = "pull" if method in ("GET", "HEAD") else "pull,push"
        scope = f',scope="repository:{repository}:{rights}"' if repository else ""
        realm = f'Bearer realm="http://{host}/token",service="{SERVICE}"{scope}'
        await _refuse(send, 401, "UNAUTHORIZED", "authentication required", {"www-authenticate": realm})

    async def _manifest(self, user: str, scope: Scope, receive: Receive, send: Send) -> None:
        limit = self._limits.get(user, self._limits.get("*"))
        is_pull = scope["method"] == "GET"
        if is_pull and not self._counters.pull(user, limit):
            self._counters.add("refused")
            await _refuse(send, 429, "TOOMANYREQUESTS", _EXHAUSTED, self._rate(user, limit))
            return
        self._counters.add("get" if is_pull else "head")
        if scope["path"] == PREVIEW:
            kind = "application/vnd.docker.distribution.manifest.v2+json"
            headers = {"content-type": kind, "docker-content-digest": digest_of(_PREVIEW_BODY)}
            await _reply(send, 200, _PREVIEW_BODY, {**headers, **self._rate(user, limit)}, is_head=not is_pull)
            return

        async def send_rated(message: dict[str, object]) -> None:
            if message["type"] == "http.response.start":
                if is_pull and self._free_indexes and _is_index(message):
                    self._counters.take_back(user)
                rate = [(name.encode(), text.encode()) for name, text in self._rate(user, limit).items()]
                message = {**message, "headers": [*message["headers"], *rate]}  # type: ignore[misc]  # ASGI: a list
            await send(message)

        await self._app(scope, receive, send_rated)  # type: ignore[arg-type]  # a dict is a MutableMapping

    def _rate(self, user: str, limit: int | None) -> dict[str, str]:
        if limit is None:
            return {}
        window = f";w={self._window}" if self._window else ""
        return {
            "ratelimit-limit": f"{limit}{window}",
            "ratelimit-remaining": f"{limit - self._counters.pulls(user)}{window}",
            "docker-ratelimit-source": user or "127.0.0.1",
        }


@contextmanager
def running_docker_hub(
    limit: int | None = 100,
    window: int = 21600,
    users: Mapping[str, str] | None = None,
    *,
    user_limit: int | None = 200,
    data: Path | None = None,
    cdn: bool = False,
    free_indexes: bool = False,
) -> Iterator[DockerHub]:
    """Serve a stand-in for Docker Hub on 127.0.0.1 and a free port.

    `limit` is that of the anonymous, `user_limit` that of each of `users` (name to password); None is no limit and no headers.
    `users` may push, the anonymous may pull. With `cdn` blobs are redirected to a second host, which takes no credentials.
    With `free_indexes` an index is counted as one with the images that it names.
    """
    counters = Counters()
    limits = {"": limit, "*": user_limit}
    with ExitStack() as stack:
        store = MemoryStore()
        content = None
        if cdn:
            content = stack.enter_context(
                running_registry(data, store=None if data else store, app_wrapper=lambda app: _cdn(app, counters))
            )
        running = stack.enter_context(
            running_registry(
                data,
                store=content.store if content else None if data else store,
                app_wrapper=lambda app: _Hub(
                    app,
                    counters,
                    limits,
                    window=window,
                    users=users or {},
                    cdn=content.url if content else None,
                    free_indexes=free_indexes,
                ),
            )
        )
        yield DockerHub(running.host, running.url, f"docker.io={running.url}", counters, running.store)


def _cdn(app: ASGIApp, counters: Counters) -> ASGIApp:
    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            counters.add("cdn")
            if any(name.lower() == b"authorization" for name, _ in scope["headers"]):
                counters.add("cdn_with_credentials")
        await app(scope, receive, send)

    return serve


def _is_index(message: Mapping[str, object]) -> bool:
    headers = dict(message["headers"])  # type: ignore[call-overload]  # ASGI: pairs
    return is_index({name.lower(): text for name, text in headers.items()}.get(b"content-type", b"").decode())


def _allows(token: _Token, path: str, method: str) -> bool:
    repository = _repository(path)
    if not repository:
        return True
    verb = "pull" if method in ("GET", "HEAD") else "push"
    if verb == "push" and not token.user:
        return False
    granted = (scope.split(":") for scope in token.scopes)
    return any(part[1] == repository and verb in part[2].split(",") for part in granted if len(part) == 3)


def _repository(path: str) -> str:
    rest = path.removeprefix("/v2/")
    for word in ("/manifests/", "/blobs/", "/tags/"):
        if word in rest:
            return rest.partition(word)[0]
    return ""


async def _refuse(send: Send, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    await _reply(send, status, body, {"content-type": "application/json", **(headers or {})})


async def _reply(send: Send, status: int, body: bytes, headers: Mapping[str, str], *, is_head: bool = False) -> None:
    lines = [(name.encode(), text.encode()) for name, text in {**headers, "content-length": str(len(body))}.items()]
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": b"" if is_head else body})
