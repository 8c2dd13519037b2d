"""Blobs on their way out: read into lent buffers, one chunk at a time, so that everybody is served in turn."""

from asyncio import sleep, to_thread
from collections.abc import Callable
from typing import Final

from homeport.oci.ranges import ByteRange
from homeport.server.replies import BlobParts
from homeport.server.requests import Send
from homeport.store.protocol import Blob

CHUNK_BYTES: Final = 512 << 10
KEPT: Final = 32
"""How many buffers wait for the next transfer; more are made when they are needed."""

Unsent = Callable[[], int]
"""How many bytes a connection has not sent yet."""


class Buffers:
    """Buffers that are lent to transfers: making one for each chunk costs as much as reading it."""

    def __init__(self) -> None:
        self._free: list[bytearray] = []

    async def stream(self, body: BlobParts, send: Send, unsent: Unsent | None) -> None:
        """Send a body piece by piece; raises EOFError where the blob is shorter than its size."""
        lent: list[bytearray] = []
        for piece in body.pieces:
            if isinstance(piece, ByteRange):
                await self._part(body.blob, piece, send, unsent, lent)
            else:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        if unsent and not unsent():
            self._free += lent[: KEPT - len(self._free)]

    async def _part(
        self, blob: Blob, part: ByteRange, send: Send, unsent: Unsent | None, lent: list[bytearray]
    ) -> None:
        offset = part.start
        while offset < part.stop:
            length = min(CHUNK_BYTES, part.stop - offset)
            if not (lent and unsent and not unsent()):  # what is not sent yet must not be written over
                lent.append(self._free.pop() if self._free else bytearray(CHUNK_BYTES))
            chunk: memoryview | bytes = memoryview(lent[-1])[:length]
            if not blob.read_into(chunk, offset):  # type: ignore[arg-type]  # a view until here
                chunk = await to_thread(blob.read, offset, length)
            if len(chunk) < length:
                raise EOFError("a blob ended before its size")
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            offset += length
            if offset < part.stop:
                await sleep(0)  # sending to a fast client never waits: without this, downloads make everybody else wait
