"""What the registry answers."""

from http import HTTPStatus
from typing import Any

import msgspec

from homeport.oci.error_codes import ErrorCode, error_body
from homeport.oci.ranges import ByteRange
from homeport.store.protocol import Blob

Headers = tuple[tuple[str, str], ...]

JSON = "application/json"


class BlobParts(msgspec.Struct, frozen=True):
    """Parts of an open blob with texts between them, to be streamed; the blob is closed afterwards."""

    blob: Blob
    pieces: tuple[bytes | ByteRange, ...]

    @property
    def length(self) -> int:
        """The number of bytes in all."""
        return sum(piece.length if isinstance(piece, ByteRange) else len(piece) for piece in self.pieces)


class Reply(msgspec.Struct, frozen=True):
    """A status, headers and a body; the length header comes from the body unless it is given."""

    status: int
    headers: Headers = ()
    body: bytes | BlobParts = b""

    @property
    def length(self) -> int:
        """The number of bytes in the body."""
        return self.body.length if isinstance(self.body, BlobParts) else len(self.body)


def headers_of_reply(reply: Reply) -> list[tuple[bytes, bytes]]:
    """Return the headers as they go out: the reply's own, the protocol's name, and the length."""
    headers = [(b"docker-distribution-api-version", b"registry/2.0")]
    headers += [(name.encode("ascii"), value.encode("latin-1")) for name, value in reply.headers]
    if reply.status != 204:
        headers.append((b"content-length", b"%d" % reply.length))
    return headers


def head_of(reply: Reply) -> bytes:
    """Write the head of an answer."""
    lines = [name + b": " + value for name, value in headers_of_reply(reply)]
    status = f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}".encode("ascii")
    return b"\r\n".join((status, *lines, b"", b""))


class Refusal(Exception):  # noqa: N818 - an answer, not a fault of the server
    """A request that is answered with an error of the protocol."""

    def __init__(
        self, status: int, code: ErrorCode, message: str, *, detail: Any = None, headers: Headers = ()
    ) -> None:
        super().__init__(message)
        self.reply = Reply(status, (("content-type", JSON), *headers), error_body(code, message, detail))


class Disconnected(Exception):  # noqa: N818 - nobody is left to answer
    """The client went away before it had sent everything."""


def warning(text: str) -> tuple[str, str]:
    """Return the header that tells a person what is amiss (distribution-spec, Warnings): at most 4096 bytes."""
    return "warning", f'299 - "{text.replace(chr(34), chr(39))[:1000]}"'


def json_reply(value: Any, *, headers: Headers = (), media_type: str = JSON) -> Reply:
    """Answer with a JSON document."""
    return Reply(200, (("content-type", media_type), *headers), msgspec.json.encode(value))
