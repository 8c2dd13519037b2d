"""A request as the handlers see it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qs

import msgspec

from homeport.errors import InvalidDigestError
from homeport.oci.digest import check_digest
from homeport.oci.error_codes import ErrorCode
from homeport.server.replies import Disconnected, Refusal
from homeport.server.routes import Route

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

BUFFER_BYTES = 1 << 20
"""How much of a body is gathered before it goes to the store in one step."""

_MAX_QUERY_FIELDS = 64


class Request(msgspec.Struct, frozen=True):
    """A method, what it is asked of, its parameters and its body."""

    method: str
    route: Route
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    receive: Receive
    may_pull: Callable[[str], bool] = lambda _repository: True

    @classmethod
    def of(cls, scope: Scope, route: Route, receive: Receive) -> "Request":
        """Read an ASGI scope; raises Refusal."""
        try:
            query = parse_qs(
                scope["query_string"].decode("latin-1"), keep_blank_values=True, max_num_fields=_MAX_QUERY_FIELDS
            )
        except ValueError:
            raise Refusal(414, ErrorCode.UNSUPPORTED, "there are too many parameters") from None
        return cls(scope["method"], route, query, headers_of(scope), receive)

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
        value = self.headers.get("content-length", "")
        return int(value) if value.isdecimal() and len(value) < 19 else None

    async def chunks(self) -> AsyncIterator[bytearray]:
        """Stream the body in steps of about BUFFER_BYTES; raises Disconnected after the last complete step."""
        gathered = bytearray()
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                if gathered:
                    yield gathered
                raise Disconnected
            gathered += message.get("body", b"")
            more = message.get("more_body", False)
            if len(gathered) >= BUFFER_BYTES or (gathered and not more):
                yield gathered
                gathered = bytearray()
            if not more:
                return

    async def body(self, limit: int) -> bytes:
        """Return the whole body; raises Refusal with 413 where it is longer than the limit in bytes."""
        too_large = Refusal(413, ErrorCode.MANIFEST_INVALID, f"a manifest has at most {limit} bytes")
        if (self.content_length or 0) > limit:
            raise too_large
        content = bytearray()
        async for chunk in self.chunks():
            content += chunk
            if len(content) > limit:
                raise too_large
        return bytes(content)


def headers_of(scope: Scope) -> dict[str, str]:
    """Return the headers by their names in lower case; the first of a name counts."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.decode("latin-1"), value.decode("latin-1"))
    return headers
