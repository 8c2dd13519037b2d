"""HTTP/1.1 by uvicorn and httptools, with the bounds that neither of them sets.

This leans on private parts of uvicorn's httptools protocol, which is why its version is pinned.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import msgspec
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from homeport.oci.error_codes import ErrorCode, error_body
from homeport.server.requests import PIECES, UNSENT


class Limits(msgspec.Struct, frozen=True):
    """Bounds of a connection. Idleness and silence end it, never the length of a transfer, but for the grace of a registry that stops."""

    head_bytes: int = 64 << 10
    idle_seconds: float = 75
    silence_seconds: float = 300
    grace_seconds: float = 20
    """How long running requests may go on after the registry was asked to stop; uploads can be resumed."""


AnswerNow = Callable[[bytes, bytes, list[tuple[bytes, bytes]], tuple[str, int] | None], bytes | None]
"""Method, URL, headers and client in; a whole answer, or None for the ordinary way."""

GATHERED = 1 << 20
"""How many bytes of a body may wait for the application before the client has to."""


class _Pieces(list[bytes]):
    """A body as it came, in pieces: joining them for each piece that arrives copies everything again and again."""

    size = 0


class _Trailers(list[tuple[bytes, bytes]]):
    """Headers behind a body: nobody asked for them, so they are counted and dropped, and do not join the headers of the request."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._room = most

    def append(self, header: tuple[bytes, bytes], /) -> None:
        self._room -= len(header[0]) + len(header[1]) + 4
        if self._room < 0:
            raise ValueError("the trailers are too long")  # the parser stops at it


def protocol_with(limits: Limits, answer_now: AnswerNow | None = None) -> type[asyncio.Protocol]:
    """Return the protocol class with these bounds, for uvicorn to make one of for each connection."""

    class Bounded(_BoundedProtocol):
        pass

    Bounded.limits = limits
    if answer_now:
        Bounded.answer_now = staticmethod(answer_now)
    return Bounded


async def _receive_pieces(cycle: RequestResponseCycle) -> dict[str, Any]:
    """Do what the cycle's own `receive` does, but hand the body out in pieces."""
    if cycle.waiting_for_100_continue and not cycle.transport.is_closing():
        cycle.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        cycle.waiting_for_100_continue = False
    if not cycle.disconnected and not cycle.response_complete:
        cycle.flow.resume_reading()
        await cycle.message_event.wait()
        cycle.message_event.clear()
    if cycle.disconnected or cycle.response_complete:
        return {"type": "http.disconnect"}
    pieces, cycle.body = cycle.body, _Pieces()  # type: ignore[assignment]  # see _start
    return {"type": "http.request", PIECES: pieces, "more_body": cycle.more_body}


class _BoundedProtocol(HttpToolsProtocol):
    """Refuses endless headers and closes connections on which nothing moves."""

    limits = Limits()
    answer_now: AnswerNow | None = None

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._in_head = True
        self._answered = False
        self._head_bytes = 0
        self._moved_at = self.loop.time()
        self._unsent = 0
        self._watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self._moved()
        self._watch_on()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watch:
            self._watch.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._moved()
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        # The parser keeps a header to itself until it is complete, so what is unfinished is counted here.
        if self._in_head and self._head_bytes > self.limits.head_bytes:
            self._refuse(431, "the headers are too long")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True

    def on_headers_complete(self) -> None:
        self._in_head = False
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        self._head_bytes = 0
        if size > self.limits.head_bytes:
            self._refuse(431, "the headers are too long")
        elif not self._is_well_addressed():
            self._refuse(400, "the version of HTTP or the host is wrong")
        elif self.parser.should_upgrade():
            self._decline_upgrade()
        elif not self.transport.is_closing() and not self._answer_at_once():
            self._start()

    def _is_well_addressed(self) -> bool:
        """Tell whether version and host are as RFC 9112 section 3.2 demands: proxies may disagree on anything else."""
        version = self.parser.get_http_version()
        if version == "1.1":
            return sum(name == b"host" for name, _ in self.headers) == 1
        return bool(version == "1.0")

    def _start(self) -> None:
        cast("dict[str, Any]", self.scope)[UNSENT] = self.transport.get_write_buffer_size
        super().on_headers_complete()
        self.headers = _Trailers(self.limits.head_bytes)
        self.cycle.body = _Pieces()  # type: ignore[assignment]  # only on_body and _receive below look into it

    def _answer_at_once(self) -> bool:
        """Answer a plain request on a quiet connection without a task, if the application has the answer at hand."""
        method = self.parser.get_method()
        if self.answer_now is None or method not in (b"GET", b"HEAD") or self._answering() or self.pipeline:
            return False
        if self.flow.write_paused or not self.parser.should_keep_alive() or self.parser.get_http_version() != "1.1":
            return False
        if any(name in (b"content-length", b"transfer-encoding", b"expect") for name, _ in self.headers):
            return False
        answer = self.answer_now(method, self.url, self.headers, self.client)
        if answer is None:
            return False
        self._answered = True
        self.server_state.total_requests += 1
        self.transport.write(answer)
        return True

    def _decline_upgrade(self) -> None:
        """Answer in HTTP/1.1 and close: the parser takes what follows for another protocol, a body too."""
        if any(name in (b"content-length", b"transfer-encoding") and value != b"0" for name, value in self.headers):
            self._refuse(400, "a request with a body cannot ask for another protocol")
        else:
            self._start()
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        if self.transport.is_closing() or self.cycle.response_complete:
            return
        pieces = cast("_Pieces", self.cycle.body)
        pieces.append(body)
        pieces.size += len(body)
        if pieces.size > GATHERED:
            self.flow.pause_reading()
        self.cycle.message_event.set()

    def on_message_complete(self) -> None:
        self._in_head = True
        if self._answered:
            self._answered = False
        elif not self.transport.is_closing():
            super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        def in_pieces(scope: Any, _receive: Any, send: Any) -> Any:
            async def unless_closed(message: Any) -> None:
                # The cycle learns of an end one turn of the loop later, or never if requests wait behind it.
                cycle.disconnected = cycle.disconnected or self.transport.is_closing()
                await send(message)

            return app(scope, lambda: _receive_pieces(cycle), unless_closed)

        super()._start_asgi_task(cycle, in_pieces)

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, msg)

    def _refuse(self, status: int, message: str) -> None:
        """Answer and close; where another answer is on its way, these bytes would become a part of it."""
        if self._answering():
            self.transport.abort()
        elif not self.transport.is_closing():
            body = error_body(ErrorCode.UNSUPPORTED, message)
            head = b"connection: close\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
            self.transport.write(STATUS_LINE[status] + head + body)
            self.transport.close()

    def _moved(self) -> None:
        self._moved_at = self.loop.time()

    def _watch_on(self) -> None:
        limit = min(self.limits.idle_seconds, self.limits.silence_seconds)
        self._watch = self.loop.call_later(limit / 4, self._look)

    def _look(self) -> None:
        """Close the connection if it is the client that keeps still; while the server works, time does not count."""
        unsent = self.transport.get_write_buffer_size()
        answering = self._answering()
        if unsent != self._unsent or (answering and not unsent and not self._waits_for_body()):
            self._moved()
        self._unsent = unsent
        busy = answering or unsent
        limit = self.limits.silence_seconds if busy else self.limits.idle_seconds
        if self.loop.time() - self._moved_at > limit:
            if busy:
                self.transport.abort()
            else:
                self.transport.close()
        self._watch_on()

    def _answering(self) -> bool:
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first request, whatever uvicorn says
        return cycle is not None and not cycle.response_complete

    def _waits_for_body(self) -> bool:
        cycle = self.cycle
        return bool(cycle.more_body and not self.flow.read_paused and not cycle.message_event.is_set())
