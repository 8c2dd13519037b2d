"""The registry as a bare ASGI application: who asks, for what, and the answer."""

import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import structlog

from homeport.errors import (
    ContentError,
    InvalidDigestError,
    InvalidReferenceError,
    StoreError,
    StoreFullError,
    TagFixedError,
    UploadTakenError,
)
from homeport.oci.error_codes import ErrorCode
from homeport.server import blobs, health, lists, manifests, token_service, uploads
from homeport.server.access import Action, action_of
from homeport.server.gate import Asking, Gate
from homeport.server.immutable import ImmutableTags, is_immutable
from homeport.server.metrics import Metrics
from homeport.server.open_uploads import OpenUploads
from homeport.server.proxies import Proxies
from homeport.server.quick import Quick, RawHeaders
from homeport.server.replies import BlobParts, Disconnected, Refusal, Reply, headers_of_reply
from homeport.server.requests import UNSENT, Receive, Request, Scope, Send, headers_of, length_in, origin_of
from homeport.server.routes import Endpoint, Route, parse_route
from homeport.server.streams import Buffers
from homeport.store.layout import Layout
from homeport.store.protocol import Store

USER, ROUTE = "homeport.user", "homeport.route"
_DIGEST = "docker-content-digest"
_FAILED = Refusal(500, ErrorCode.UNKNOWN, "the registry failed; its log says why")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})

Handler = Callable[[Store, Request], Awaitable[Reply]]


async def _ping(_store: Store, _request: Request) -> Reply:
    return Reply(200, (("content-type", "application/json"),), b"{}")


_HANDLERS: dict[tuple[Endpoint, str], Handler] = {
    (Endpoint.PING, "GET"): _ping,
    (Endpoint.EXTENSIONS, "GET"): lists.extensions,
    (Endpoint.CATALOG, "GET"): lists.catalog,
    (Endpoint.TAGS, "GET"): lists.tags,
    (Endpoint.REFERRERS, "GET"): lists.referrers,
    (Endpoint.MANIFEST, "GET"): manifests.get_manifest,
    (Endpoint.MANIFEST, "PUT"): manifests.put_manifest,
    (Endpoint.MANIFEST, "DELETE"): manifests.delete_manifest,
    (Endpoint.BLOB, "GET"): blobs.get_blob,
    (Endpoint.BLOB, "DELETE"): blobs.delete_blob,
    (Endpoint.UPLOADS, "POST"): uploads.start_upload,
    (Endpoint.UPLOAD, "GET"): uploads.upload_status,
    (Endpoint.UPLOAD, "PATCH"): uploads.append,
    (Endpoint.UPLOAD, "PUT"): uploads.finish,
    (Endpoint.UPLOAD, "DELETE"): uploads.cancel,
}


class Registry:
    """The ASGI application over a store; without a gate it serves whoever reaches it."""

    def __init__(
        self,
        store: Store,
        *,
        gate: Gate | None = None,
        immutable: Sequence[ImmutableTags] = (),
        access_log: bool = False,
        metrics: Metrics | None = None,
        layout: Layout | None = None,
        proxies: Proxies | None = None,
    ) -> None:
        """`layout` is the store's where it is on a disk, to tell whether that is well; without `proxies` none is trusted."""
        self._store, self._gate, self._immutable = store, gate or Gate(), immutable
        self._access_log, self._metrics, self._layout = access_log, metrics, layout
        self._proxies = proxies or Proxies()
        self._tells = access_log or metrics is not None
        self._quick = Quick(store, self._gate)
        self._buffers = Buffers()
        self._uploads = OpenUploads()
        self._log = structlog.get_logger("homeport.server")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started = time.perf_counter()
        reply: Reply | None
        try:
            reply = await self._reply(scope, receive)
        except Disconnected:
            reply = None
        if reply is not None:
            await self._send(reply, scope, send)
        if self._tells:
            self._tell(scope, reply, started)

    def answer_now(
        self, method: bytes, url: bytes, headers: RawHeaders, client: tuple[str, int] | None
    ) -> bytes | None:
        """Return a whole answer where nothing has to be waited for; None where the request takes the ordinary way."""
        started = time.perf_counter()
        quick = self._quick.answer(method, url, headers)
        if quick is None:
            return None
        answer, user, route, digest = quick
        if self._tells:
            path = url.partition(b"?")[0]
            said = {"method": method.decode("ascii"), "raw_path": path, "client": client, "headers": headers}
            reply = Reply(200, ((_DIGEST, digest),), answer)
            self._tell({**said, USER: user, ROUTE: route}, reply, started)
        return answer

    def _tell(self, scope: Scope, reply: Reply | None, started: float) -> None:
        """Count a request, and write a line for it where that is wanted."""
        seconds = time.perf_counter() - started
        route: Route | None = scope.get(ROUTE)
        sent = reply.length if reply and scope["method"] != "HEAD" else 0
        received = next((length_in(value) or 0 for name, value in scope["headers"] if name == b"content-length"), 0)
        if self._metrics:
            endpoint = str(route.endpoint) if route else "other"
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.count(method, endpoint, reply.status if reply else 499, seconds, received, sent)
        if self._access_log:
            self._log.info(
                "request",
                id=_said(scope, b"x-request-id", 64) or secrets.token_hex(8),
                method=scope["method"],
                path=scope["raw_path"].decode("latin-1"),
                repository=route.repository if route else "",
                status=reply.status if reply else "gone",
                bytes=max(sent, received),
                ms=round(seconds * 1000, 1),
                client=self._client(scope),
                user=scope.get(USER) or "-",
                agent=_said(scope, b"user-agent", 256),
                digest=next((value for name, value in reply.headers if name == _DIGEST), "") if reply else "",
            )

    def _client(self, scope: Scope) -> str:
        peer = scope.get("client")
        return self._proxies.client(peer[0], scope["headers"]) if peer else "-"

    async def _reply(self, scope: Scope, receive: Receive) -> Reply:
        """Turn every error into an answer; what nobody foresaw is logged and told in general terms only."""
        try:
            return await self._handle(scope, receive)
        except Refusal as refusal:
            return refusal.reply
        except InvalidDigestError as error:
            return Refusal(400, ErrorCode.DIGEST_INVALID, error.message).reply
        except InvalidReferenceError as error:
            return Refusal(400, ErrorCode.NAME_INVALID, error.message).reply
        except UploadTakenError as error:
            return Refusal(409, ErrorCode.BLOB_UPLOAD_INVALID, error.message).reply
        except TagFixedError as error:
            return Refusal(409, ErrorCode.DENIED, error.message).reply
        except StoreFullError as error:
            self._log.error("the disk is full", error=error.message, path=scope["raw_path"].decode("latin-1"))
            return Refusal(507, ErrorCode.UNAVAILABLE, "the registry has no room left").reply
        except StoreError as error:
            self._log.error("the disk failed", error=error.message, path=scope["raw_path"].decode("latin-1"))
            return _FAILED.reply
        except ContentError as error:
            self._log.error("content is spoilt", error=error.message)
            return Refusal(500, ErrorCode.UNKNOWN, error.message).reply
        except Disconnected:
            raise
        except Exception:  # noqa: BLE001 - whatever happens, the client gets an answer and the others their service
            self._log.exception("request failed", method=scope["method"], path=scope["raw_path"].decode("latin-1"))
            return _FAILED.reply

    async def _handle(self, scope: Scope, receive: Receive) -> Reply:
        """Learn who asks before telling whether there is what they ask for."""
        method, path, headers = scope["method"], scope["raw_path"], headers_of(scope)
        if path in health.PATHS and method in ("GET", "HEAD"):
            return await health.answer_health(path, self._metrics, self._layout)
        if path == token_service.PATH and self._gate.tokens:
            return await token_service.answer_token(self._gate, self._gate.tokens, scope, headers, receive)
        route, wrong = None, None
        try:
            route = parse_route(method, path)
        except Refusal as refusal:
            wrong = refusal
        action = action_of(route.endpoint, method) if route else None
        asking = Asking(headers.get("authorization", ""), origin_of(scope["scheme"], headers), route, action)
        identity = await self._gate.identify(asking)
        scope[USER] = identity.user
        if route is None:
            raise wrong or AssertionError(path)
        scope[ROUTE] = route
        self._gate.check(identity, asking)
        handler = _HANDLERS[route.endpoint, "GET" if method == "HEAD" else method]
        # Mounts and the catalog ask what the user may pull: no client asks for a token for whatever they may turn up.
        may_pull = partial(self._gate.rules.allows, identity.user, action=Action.PULL)
        fixed = partial(is_immutable, self._immutable, route.repository)
        owner = identity.user or f"nobody at {self._client(scope)}"
        request = Request.of(scope, route, receive, may_pull=may_pull, fixed=fixed, uploads=self._uploads, owner=owner)
        return await handler(self._store, request)

    async def _send(self, reply: Reply, scope: Scope, send: Send) -> None:
        body = reply.body
        try:
            await send({"type": "http.response.start", "status": reply.status, "headers": headers_of_reply(reply)})
            if isinstance(body, BlobParts) and scope["method"] != "HEAD":
                await self._buffers.stream(body, send, scope.get(UNSENT))
            await send({"type": "http.response.body", "body": body if isinstance(body, bytes) else b""})
        finally:
            if isinstance(body, BlobParts):
                body.blob.close()


def _said(scope: Scope, header: bytes, most: int) -> str:
    """Return what a client says in a header, cut to so many characters."""
    return next((value for name, value in scope["headers"] if name == header), b"").decode("latin-1")[:most]
