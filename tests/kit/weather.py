"""What befalls requests on their way to a registry: each trouble comes at every so-many-th request that it can befall.

Counted, not drawn: whatever the order in which threads come, each trouble comes as often.
"""

import asyncio
import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, MutableMapping
from email.utils import formatdate
from typing import Any

from homeport.server.requests import ASGIApp, Receive, Scope, Send
from tests.kit.tally import corrupting, cutting

Message = MutableMapping[str, Any]
_LIE = "sha256:" + "0" * 64


class Weather:
    """Give `wrap` to running_registry. `every` says how often each trouble comes; no word of one is never.

    refuse (a 503), throttle (a 429; Retry-After as seconds, date, Unix time in turn), expire (a token is good for so many requests), cut
    (half a body), corrupt (another byte), short (a byte less, and so announced), lie (another digest in the header), redirect (a blob
    elsewhere: on `cdn`, or on this host by a relative address), outdate (a signed address that is over), stall (some time passes),
    move (`move` is called).
    """

    def __init__(self, every: Mapping[str, int], *, cdn: "Cdn | None" = None, wants_token: bool = False) -> None:
        self.every = dict(every)
        self.met: Counter[str] = Counter()
        self.move: Callable[[], None] = lambda: None
        self._asked: Counter[str] = Counter()
        self._cdn = cdn
        self._wants_token = wants_token
        self._tokens: Counter[str] = Counter()
        self._lock = threading.Lock()

    def clear(self) -> None:
        """Let the sun shine."""
        self.every = {}

    def wrap(self, app: ASGIApp) -> ASGIApp:
        """Stand before an application."""

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            path = str(scope.get("path"))
            if scope["type"] != "http" or path == "/v2/":
                await (self._knock(scope, app, receive, send) if path == "/v2/" else app(scope, receive, send))
            elif path == "/token":
                await self._give_token(send)
            elif path.startswith("/elsewhere/"):
                path = path.removeprefix("/elsewhere")
                await app({**scope, "path": path, "raw_path": path.encode()}, receive, send)
            elif not self._is_known(scope):
                await self._ask_for_token(scope, receive, send)
            else:
                await self._befall(app, scope, receive, send)

        return serve

    async def _befall(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        path, is_get = str(scope["path"]), scope["method"] == "GET"
        is_blob, is_manifest = is_get and "/blobs/sha256:" in path, is_get and "/manifests/sha256:" in path
        if "/manifests/" in path and self._meets("move"):
            self.move()
        if self._meets("stall"):
            await asyncio.sleep(0.05)
        if self._meets("refuse"):
            await _answer(receive, send, 503, {})
        elif self._meets("throttle"):
            await _answer(receive, send, 429, {"retry-after": self._later()})
        elif is_blob and self._meets("redirect"):
            await _answer(receive, send, 307, {"location": self._elsewhere(path)})
        else:
            for trouble, change in _CHANGES.items():
                if (is_blob or (is_manifest and trouble != "cut")) and self._meets(trouble):
                    send = change(send)
                    break
            await app(scope, receive, send)

    def _meets(self, trouble: str) -> bool:
        with self._lock:
            if trouble not in self.every:
                return False
            self._asked[trouble] += 1
            is_met = self._asked[trouble] % self.every[trouble] == 0
            self.met[trouble] += is_met
            return is_met

    def _later(self) -> str:
        forms = ("1", formatdate(time.time() + 2, usegmt=True), str(int(time.time()) + 2))
        return forms[self.met["throttle"] % 3]

    def _elsewhere(self, path: str) -> str:
        if self._cdn is None or self.met["redirect"] % 2:
            return f"/elsewhere{path}"
        return self._cdn.sign(path, is_over=self._meets("outdate"))

    def _is_known(self, scope: Scope) -> bool:
        if not self._wants_token:
            return True
        token = dict(scope["headers"]).get(b"authorization", b"").decode().removeprefix("Bearer ")
        with self._lock:
            if token not in self._tokens:
                return False
            self._tokens[token] += 1
            is_over = self._tokens[token] > self.every.get("expire", self._tokens[token])
            self.met["expire"] += is_over
            if is_over:
                del self._tokens[token]
            return not is_over

    async def _knock(self, scope: Scope, app: ASGIApp, receive: Receive, send: Send) -> None:
        if self._is_known(scope):
            await app(scope, receive, send)
        else:
            await self._ask_for_token(scope, receive, send)

    async def _ask_for_token(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = dict(scope["headers"])[b"host"].decode()
        await _answer(receive, send, 401, {"www-authenticate": f'Bearer realm="http://{host}/token",service="weather"'})

    async def _give_token(self, send: Send) -> None:
        token = secrets.token_urlsafe()
        self._tokens[token] = 0
        await _send(send, 200, {"content-type": "application/json"}, json.dumps({"token": token}).encode())


class Cdn:
    """A second host that serves blobs to whoever has a signed address, once, and takes no credentials."""

    def __init__(self) -> None:
        self.url = ""
        self.with_credentials = 0
        self._signed: set[str] = set()

    def sign(self, path: str, *, is_over: bool) -> str:
        """Return an address for a blob, one that is over already if so wished."""
        signature = secrets.token_urlsafe()
        if not is_over:
            self._signed.add(signature)
        return f"{self.url}{path}?signature={signature}"

    def wrap(self, app: ASGIApp) -> ASGIApp:
        """Stand before the application that has the blobs."""

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                self.with_credentials += b"authorization" in dict(scope["headers"])
                signature = bytes(scope["query_string"]).decode().removeprefix("signature=")
                if signature not in self._signed:
                    await _answer(receive, send, 403, {})
                    return
                self._signed.discard(signature)
            await app(scope, receive, send)

        return serve


def _lying(send: Send) -> Send:
    async def changed(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = {**dict(message["headers"]), b"docker-content-digest": _LIE.encode()}
            message = {**message, "headers": list(headers.items())}
        await send(message)

    return changed


def _shortened(send: Send) -> Send:
    """Announce a byte less, and hold the last one back."""
    left = 0

    async def changed(message: Message) -> None:
        nonlocal left
        if message["type"] == "http.response.start":
            headers = dict(message["headers"])
            left = int(headers.get(b"content-length", b"0")) - 1
            if left >= 0:
                headers[b"content-length"] = str(left).encode()
            await send({**message, "headers": list(headers.items())})
            return
        body = bytes(message.get("body") or b"")[: max(left, 0)]
        left -= len(body)
        await send({**message, "body": body})

    return changed


_CHANGES: dict[str, Callable[[Send], Send]] = {
    "cut": cutting,
    "corrupt": corrupting,
    "short": _shortened,
    "lie": _lying,
}


async def _answer(receive: Receive, send: Send, status: int, headers: Mapping[str, str]) -> None:
    """Answer instead of the registry, once the request has come whole."""
    while (await receive()).get("more_body"):
        pass
    await _send(send, status, headers, b"{}")


async def _send(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    lines = [(name.encode(), text.encode()) for name, text in {**headers, "content-length": str(len(body))}.items()]
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})
