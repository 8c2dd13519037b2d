"""A request as the handlers see it."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qs

import msgspec

from homeport.errors import InvalidDigestError
from homeport.oci.digest import check_digest
from homeport.oci.error_codes import ErrorCode
from homeport.server.open_uploads import OpenUploads
from homeport.server.replies import Disconnected, Refusal
from homeport.server.routes import Route

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

BUFFER_BYTES = 1 << 20
"""How much of a body is gathered before it goes to the store in one step."""

PIECES = "homeport.pieces"
"""In a message of our own protocol: the body as it came, not copied into one."""

UNSENT = "homeport.unsent"
"""In a scope of our own protocol: how many bytes the connection has not sent yet."""

_HOST = re.compile(r"[A-Za-z0-9._-]+(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](?::[0-9]{1,5})?")
_MAX_QUERY_FIELDS = 64


class Request(msgspec.Struct, frozen=True):
    """A method, what it is asked of, its parameters and its body."""

    method: str
    route: Route
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    receive: Receive
    may_pull: Callable[[str], bool]
    fixed: Callable[[str], bool]
    uploads: OpenUploads
    owner: str

    @classmethod
    def of(
        cls,
        scope: Scope,
        route: Route,
        receive: Receive,
        *,
        may_pull: Callable[[str], bool],
        fixed: Callable[[str], bool],
        uploads: OpenUploads,
        owner: str,
    ) -> "Request":
        """Read an ASGI scope; raises Refusal."""
        try:
            query = parse_qs(
                scope["query_string"].decode("latin-1"), keep_blank_values=True, max_num_fields=_MAX_QUERY_FIELDS
            )
        except ValueError:
            raise Refusal(414, ErrorCode.UNSUPPORTED, "there are too many parameters") from None
        return cls(scope["method"], route, query, headers_of(scope), receive, may_pull, fixed, uploads, owner)

    def parameter(self, name: str) -> str | None:
        """Return a parameter of the query, the first if it is there more than once."""
        values = self.query.get(name)
        return values[0] if values else None

    def digest(self, name: str = "digest") -> str | None:
        """Return a parameter that is a digest; raises Refusal."""
        value = self.parameter(name)
        try:
            return None if value is None else check_digest(value)
        except InvalidDigestError as error:
            raise Refusal(400, ErrorCode.DIGEST_INVALID, error.message) from None

    @property
    def content_length(self) -> int | None:
        """The length of the body in bytes, if it was said."""
        return length_in(self.headers.get("content-length", "").encode("latin-1"))

    @property
    def is_small(self) -> bool:
        """Whether the whole body is known to fit into one step."""
        return self.content_length is not None and self.content_length <= BUFFER_BYTES

    def chunks(self) -> AsyncIterator[list[bytes]]:
        """Stream the body in steps of about BUFFER_BYTES, each in pieces; raises Disconnected after the last step."""
        return chunks(self.receive)

    async def body(self, limit: int) -> bytes:
        """Return the whole body; raises Refusal with 413 where it is longer than the limit in bytes."""
        if (self.content_length or 0) > limit:
            raise _too_large(limit, "a manifest")
        return await read_body(self.receive, limit, "a manifest")


async def chunks(receive: Receive) -> AsyncIterator[list[bytes]]:
    """Stream a body in steps of about BUFFER_BYTES, each in pieces; raises Disconnected after the last step."""
    gathered: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            if gathered:
                yield gathered
            raise Disconnected
        pieces = message.get(PIECES) or [message.get("body", b"")]
        gathered += pieces
        size += sum(map(len, pieces))
        more = message.get("more_body", False)
        if size >= BUFFER_BYTES or (size and not more):
            yield gathered
            gathered, size = [], 0
        if not more:
            return


async def read_body(receive: Receive, limit: int, what: str) -> bytes:
    """Return a whole body; raises Refusal with 413 where it is longer than the limit in bytes."""
    content: list[bytes] = []
    async for pieces in chunks(receive):
        content += pieces
        if sum(map(len, content)) > limit:
            raise _too_large(limit, what)
    return b"".join(content)


def _too_large(limit: int, what: str) -> Refusal:
    return Refusal(413, ErrorCode.MANIFEST_INVALID, f"{what} has at most {limit} bytes")


def length_in(value: bytes) -> int | None:
    """Read a content-length; None where it is no number, or has more digits, be they zeros, than any body needs."""
    return int(value) if value.isdigit() and len(value) < 19 else None


def origin_of(scheme: str, headers: Mapping[str, str]) -> str:
    """Return scheme and host as the client wrote them, which a proxy in front tells.

    It goes back to this client alone, so a client that makes it up misleads nobody but itself.
    """
    proto = headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower()
    host = headers.get("x-forwarded-host", "").partition(",")[0].strip() or headers.get("host", "")
    return f"{proto if proto in ('http', 'https') else scheme}://{host if _HOST.fullmatch(host) else 'localhost'}"


def headers_of(scope: Scope) -> dict[str, str]:
    """Return the headers by their names in lower case; the first of a name counts."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.decode("latin-1"), value.decode("latin-1"))
    return headers
