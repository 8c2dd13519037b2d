"""Between a client and a registry: counts requests, and refuses, corrupts or holds what a test says."""

import asyncio
import threading
from collections.abc import Callable

import msgspec

from homeport.server.requests import ASGIApp, Receive, Scope, Send


class Asked(msgspec.Struct, frozen=True):
    """One request that came over the wire."""

    method: str
    path: str
    range: str = ""
    """The bytes that were asked for, where not all were."""

    @property
    def kind(self) -> str:
        """``HEAD manifests``, ``POST blobs``, ``GET /v2/``."""
        for word in ("manifests", "blobs"):
            if f"/{word}/" in self.path:
                return f"{self.method} {word}"
        return f"{self.method} {self.path}"


class Refusal(msgspec.Struct, frozen=True):
    """What to answer instead of the registry."""

    status: int
    code: str
    message: str


class Tally:
    """Give `wrap` to running_registry.

    `refuse` says which requests get an error, `corrupt` which bodies come with another byte, `cut` which end halfway, `hold` which wait: then
    `held` is set, until `go` is. Without `has_ranges` all of a blob comes, whatever part of it was asked for.
    """

    def __init__(self) -> None:
        self.requests: list[Asked] = []
        self.refuse: Callable[[Asked], Refusal | None] = lambda _asked: None
        self.corrupt: Callable[[Asked], bool] = lambda _asked: False
        self.cut: Callable[[Asked], bool] = lambda _asked: False
        self.hold: Callable[[Asked], bool] = lambda _asked: False
        self.has_ranges = True
        self.held = threading.Event()
        self.go = threading.Event()

    def count(self, *kinds: str) -> int:
        """Return how many requests of some kinds came, or in all."""
        return sum(not kinds or asked.kind in kinds for asked in self.requests)

    def kinds(self) -> dict[str, int]:
        """Return all kinds of requests with their numbers."""
        return {kind: self.count(kind) for kind in sorted({asked.kind for asked in self.requests})}

    def wrap(self, app: ASGIApp) -> ASGIApp:
        """Stand before an application."""

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            headers = dict(scope["headers"])
            asked = Asked(scope["method"], scope["path"], headers.get(b"range", b"").decode())
            self.requests.append(asked)
            if self.hold(asked):
                self.held.set()
                await asyncio.to_thread(self.go.wait)
            if not self.has_ranges:
                scope["headers"] = [header for header in scope["headers"] if header[0] != b"range"]
                send = without_ranges(send)
            if self.cut(asked):
                send = cutting(send)
            if refusal := self.refuse(asked):
                await _refuse(refusal, receive, send)
            else:
                await app(scope, receive, corrupting(send) if self.corrupt(asked) else send)

        return serve


def cutting(send: Send) -> Send:
    """End the body of an answer halfway; the server closes the connection, as less came than was announced."""
    ended = False

    async def cut(message: dict[str, object]) -> None:
        nonlocal ended
        if ended:
            return
        body = message.get("body")
        if isinstance(body, bytes | bytearray | memoryview) and len(body):
            ended = True
            message = {**message, "body": bytes(body[: len(body) // 2]), "more_body": False}
        await send(message)

    return cut  # type: ignore[return-value]  # a dict is a MutableMapping


def without_ranges(send: Send) -> Send:
    async def silent(message: dict[str, object]) -> None:
        if message["type"] == "http.response.start":
            headers = [header for header in message["headers"] if header[0] != b"accept-ranges"]  # type: ignore[attr-defined]  # ASGI: a list
            message = {**message, "headers": headers}
        await send(message)

    return silent  # type: ignore[return-value]  # a dict is a MutableMapping


def corrupting(send: Send) -> Send:
    async def changed(message: dict[str, object]) -> None:
        body = message.get("body")
        if isinstance(body, bytes | bytearray | memoryview) and len(body):
            message = {**message, "body": bytes(body[:-1]) + bytes([body[-1] ^ 1])}
        await send(message)

    return changed  # type: ignore[return-value]  # a dict is a MutableMapping


async def _refuse(refusal: Refusal, receive: Receive, send: Send) -> None:
    body = msgspec.json.encode({"errors": [{"code": refusal.code, "message": refusal.message}]})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
