"""Blobs: asking for them, reading them whole or in part, deleting them."""

from asyncio import to_thread

from homeport.oci.error_codes import ErrorCode
from homeport.oci.ranges import ByteRange, parse_range
from homeport.server.replies import BlobPart, Refusal, Reply
from homeport.server.requests import Request
from homeport.store.protocol import Store


async def get_blob(store: Store, request: Request) -> Reply:
    """Answer GET and HEAD, with a single range where one is asked for (end-2)."""
    digest = request.route.identifier
    blob = store.open_blob(request.route.repository, digest)
    if blob is None:
        raise _unknown(digest)
    headers = (
        ("content-type", "application/octet-stream"),
        ("docker-content-digest", digest),
        ("accept-ranges", "bytes"),
    )
    part = parse_range(request.headers.get("range", ""), blob.size) if request.method == "GET" else None
    if part is None:
        return Reply(200, headers, BlobPart(blob, ByteRange(0, blob.size)))
    content_range = ("content-range", part.content_range(blob.size))
    if not part.length:
        blob.close()
        raise Refusal(416, ErrorCode.SIZE_INVALID, "the blob does not reach that far", headers=(content_range,))
    return Reply(206, (*headers, content_range), BlobPart(blob, part))


async def delete_blob(store: Store, request: Request) -> Reply:
    """Take a blob from the repository (end-10)."""
    digest = request.route.identifier
    if not await to_thread(store.delete_blob, request.route.repository, digest):
        raise _unknown(digest)
    return Reply(202)


def _unknown(digest: str) -> Refusal:
    return Refusal(404, ErrorCode.BLOB_UNKNOWN, "the repository does not hold this blob", detail={"digest": digest})
