"""Blobs: asking for them, reading them whole or in part, deleting them."""

import secrets
from asyncio import to_thread

from homeport.oci.error_codes import ErrorCode
from homeport.oci.ranges import ByteRange, multipart, parse_ranges
from homeport.server.replies import BlobParts, Headers, Refusal, Reply
from homeport.server.requests import Request
from homeport.store.protocol import Store

_TYPE = "application/octet-stream"


async def get_blob(store: Store, request: Request) -> Reply:
    """Answer GET and HEAD, whole or in parts (end-2)."""
    digest = request.route.identifier
    blob = store.open_blob(request.route.repository, digest)
    if blob is None:
        raise _unknown(digest)
    headers: Headers = (
        ("docker-content-digest", digest),
        ("accept-ranges", "bytes"),
    )
    parts = parse_ranges(request.headers.get("range", ""), blob.size) if request.method == "GET" else None
    if parts is None and request.method == "GET" and (content := blob.at_hand()) is not None:
        blob.close()
        return Reply(200, (("content-type", _TYPE), *headers), content)
    if parts is None:
        return Reply(200, (("content-type", _TYPE), *headers), BlobParts(blob, (ByteRange(0, blob.size),)))
    if not parts:
        blob.close()
        content_range = ByteRange(0, 0).content_range(blob.size)
        raise Refusal(
            416, ErrorCode.SIZE_INVALID, "the blob does not reach that far", headers=(("content-range", content_range),)
        )
    if len(parts) == 1:
        headers = (("content-type", _TYPE), *headers, ("content-range", parts[0].content_range(blob.size)))
        return Reply(206, headers, BlobParts(blob, parts))
    boundary = secrets.token_hex(16)  # not to be guessed by whoever made the blob
    headers = (("content-type", f"multipart/byteranges; boundary={boundary}"), *headers)
    return Reply(206, headers, BlobParts(blob, multipart(parts, blob.size, _TYPE, boundary)))


async def delete_blob(store: Store, request: Request) -> Reply:
    """Take a blob from the repository (end-10)."""
    digest = request.route.identifier
    if not await to_thread(store.delete_blob, request.route.repository, digest):
        raise _unknown(digest)
    return Reply(202)


def _unknown(digest: str) -> Refusal:
    return Refusal(404, ErrorCode.BLOB_UNKNOWN, "the repository does not hold this blob", detail={"digest": digest})
