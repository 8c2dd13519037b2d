"""The registry as a bare ASGI application: who asks, for what, and the answer."""

import time
from asyncio import sleep, to_thread
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from homeport.errors import ContentError, InvalidDigestError, InvalidReferenceError, StoreFullError, UploadTakenError
from homeport.oci.error_codes import ErrorCode
from homeport.oci.ranges import ByteRange
from homeport.server import blobs, lists, manifests, uploads
from homeport.server.login import Login
from homeport.server.replies import BlobParts, Disconnected, Refusal, Reply
from homeport.server.requests import Receive, Request, Scope, Send, headers_of
from homeport.server.routes import Endpoint, parse_route
from homeport.store.protocol import Blob, Store

CHUNK_BYTES = 512 << 10

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
    """The ASGI application over a store; without a login it serves whoever reaches it."""

    def __init__(self, store: Store, *, login: Login | None = None, access_log: bool = False) -> None:
        self._store, self._login, self._access_log = store, login, access_log
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
            await _send(reply, scope["method"], send)
        if self._access_log:
            client = scope.get("client")
            self._log.info(
                "request",
                method=scope["method"],
                path=scope["raw_path"].decode("latin-1"),
                status=reply.status if reply else "gone",
                ms=round((time.perf_counter() - started) * 1000, 1),
                client=client[0] if client else "-",
                user=scope.get("user", "-"),
            )

    async def _reply(self, scope: Scope, receive: Receive) -> Reply:
        """Turn every error into an answer; what nobody foresaw is logged and told in general terms only."""
        try:
            if self._login:
                scope["user"] = await self._login.check(headers_of(scope))
            method = scope["method"]
            route = parse_route(method, scope["raw_path"])
            handler = _HANDLERS[route.endpoint, "GET" if method == "HEAD" else method]
            return await handler(self._store, Request.of(scope, route, receive))
        except Refusal as refusal:
            return refusal.reply
        except InvalidDigestError as error:
            return Refusal(400, ErrorCode.DIGEST_INVALID, error.message).reply
        except InvalidReferenceError as error:
            return Refusal(400, ErrorCode.NAME_INVALID, error.message).reply
        except UploadTakenError as error:
            return Refusal(409, ErrorCode.BLOB_UPLOAD_INVALID, error.message).reply
        except StoreFullError as error:
            self._log.error("the disk is full", error=error.message, path=scope["raw_path"].decode("latin-1"))
            return Refusal(507, ErrorCode.UNAVAILABLE, "the registry has no room left").reply
        except ContentError as error:
            self._log.error("content is spoilt", error=error.message)
            return Refusal(500, ErrorCode.UNKNOWN, error.message).reply
        except Disconnected:
            raise
        except Exception:  # noqa: BLE001 - whatever happens, the client gets an answer and the others their service
            self._log.exception("request failed", method=scope["method"], path=scope["raw_path"].decode("latin-1"))
            return Refusal(500, ErrorCode.UNKNOWN, "the registry failed; its log says why").reply


async def _send(reply: Reply, method: str, send: Send) -> None:
    body = reply.body
    length = body.length if isinstance(body, BlobParts) else len(body)
    headers = [(b"docker-distribution-api-version", b"registry/2.0")]
    headers += [(name.encode("ascii"), value.encode("latin-1")) for name, value in reply.headers]
    if reply.status != 204:
        headers.append((b"content-length", b"%d" % length))
    try:
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        if isinstance(body, BlobParts) and method != "HEAD":
            await _stream(body, send)
        await send({"type": "http.response.body", "body": body if isinstance(body, bytes) else b""})
    finally:
        if isinstance(body, BlobParts):
            body.blob.close()


async def _stream(body: BlobParts, send: Send) -> None:
    for piece in body.pieces:
        if isinstance(piece, ByteRange):
            await _stream_part(body.blob, piece, send)
        else:
            await send({"type": "http.response.body", "body": piece, "more_body": True})


async def _stream_part(blob: Blob, part: ByteRange, send: Send) -> None:
    offset = part.start
    while offset < part.stop:
        length = min(CHUNK_BYTES, part.stop - offset)
        chunk: Any = blob.read_now(offset, length)
        if chunk is None:
            chunk = await to_thread(blob.read, offset, length)
        if len(chunk) < length:
            raise EOFError("a blob ended before its size")
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
        offset += length
        await sleep(0)  # sending to a fast client never waits: without this, downloads make everybody else wait
