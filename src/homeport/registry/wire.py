"""HTTP/1.1 over one connection (RFC 9112): a request goes out, an answer's head comes in, its body as it is read.

Strict where content could be mistaken for another (lengths, field names), bounded everywhere. Bodies go from the socket into the
reader's buffer and from its buffer to the socket, with no copy between: that is what bringing images costs.
"""

import re
import select
from collections.abc import Iterator, Mapping, Sequence
from time import monotonic
from typing import Final, Protocol
from urllib.parse import quote

MOST_HEAD: Final = 64 << 10
"""Bytes of an answer's head, or of a line within a body."""
_HEAD: Final = 8 << 10
LONGEST_FILL: Final = 5.0
"""Seconds after which a buffer is handed on as it is: whoever it is sent to takes a long silence for the end."""
_HEAD_END: Final = re.compile(rb"\r?\n\r?\n")
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: .*)?")
_TOKEN: Final = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;.*)?")
_UNSENDABLE: Final = re.compile(r"[\r\n\0]")
_SAFE: Final = "%/:=&?~#+!$,;'@()*[]|"
_SENDABLE: Final = re.compile(r"[%/:=&?~#+!$,;'@()*\[\]|\w.-]*", re.ASCII)
_WITHOUT_BODY: Final = frozenset({204, 304})


class WireError(Exception):
    """What came is no answer, or not a whole one; the text says which."""


class Stream(Protocol):
    """A connected socket, plain or with TLS."""

    def recv_into(self, buffer: memoryview, /) -> int:
        """Receive into a buffer's start; 0 at the end."""

    def send(self, data: memoryview, /) -> int:
        """Send some of the data."""

    def settimeout(self, seconds: float, /) -> None:
        """Bound each wait."""

    def fileno(self) -> int:
        """Return what to poll."""

    def close(self) -> None:
        """Hang up."""


class Content(Protocol):
    """A request's body that is made while it is sent; its length is among the request's headers."""

    def read(self, amount: int, /) -> bytes | memoryview:
        """Return the next bytes, nothing at the end; they are sent before the next call."""


class Headers(Mapping[str, str]):
    """An answer's headers by name, whatever its case; several of one name are joined by commas (RFC 9110 section 5.3)."""

    def __init__(self, fields: Sequence[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in fields:
            self._values.setdefault(name.lower(), []).append(value)

    def __getitem__(self, name: str) -> str:
        return ", ".join(self._values[name.lower()])

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def all(self, name: str) -> list[str]:
        """Return every value of a name."""
        return list(self._values.get(name.lower(), ()))


class Connection:
    """A connection for one exchange after the other; not for several threads."""

    def __init__(self, stream: Stream, block: int) -> None:
        self._stream, self._block = stream, block
        self._held = b""
        self._heads = memoryview(bytearray(_HEAD))

    def exchange(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | Content | None, silence: float
    ) -> "Answer":
        """Send a request and wait for its answer's head; `silence` bounds each wait, in seconds. Raises OSError, WireError."""
        self._stream.settimeout(silence)
        head = _request_head(method, target, headers, body)
        try:
            self._send(head, body)
        except (BrokenPipeError, ConnectionResetError):
            # Who refuses a body may say so and hang up before it has come.
            try:
                return self._receive(method, is_last=True)
            except (OSError, WireError):
                pass
            raise
        return self._receive(method)

    def read_into(self, buffer: memoryview) -> int:
        """Fill a buffer as far as content comes in some seconds; return the number of bytes. Raises OSError if none came."""
        until = monotonic() + LONGEST_FILL
        filled = min(len(buffer), len(self._held))
        buffer[:filled] = self._held[:filled]
        self._held = self._held[filled:]
        while filled < len(buffer):
            try:
                count = self._stream.recv_into(buffer[filled:])
            except OSError:
                if not filled:
                    raise
                break  # what came counts; the next call meets the error again
            filled += count
            if not count or monotonic() > until:
                break
        return filled

    def read_line(self) -> bytes:
        """Return the next line without its end."""
        while (end := self._held.find(b"\n")) < 0:
            self._hold_more("a line")
        line, self._held = self._held[:end], self._held[end + 1 :]
        return line.removesuffix(b"\r")

    def is_idle(self) -> bool:
        """Tell whether another exchange may begin: nothing came unasked, the end least of all."""
        if self._held:
            return False
        if not hasattr(select, "poll"):
            return not select.select([self._stream], [], [], 0)[0]
        poll = select.poll()
        poll.register(self._stream, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Hang up."""
        self._stream.close()

    def _send(self, head: bytes, body: bytes | Content | None) -> None:
        if body is None or isinstance(body, bytes):
            self._send_all(head + (body or b""))
            return
        self._send_all(head)
        while part := body.read(self._block):
            self._send_all(part)

    def _send_all(self, data: bytes | memoryview) -> None:
        # socket.sendall's time-out is for the whole of the data: a slow line would look like a dead one.
        rest = memoryview(data)
        while rest:
            rest = rest[self._stream.send(rest) :]

    def _receive(self, method: str, *, is_last: bool = False) -> "Answer":
        while True:
            minor, status, headers = self._receive_head()
            if status == 101:
                raise WireError("it changed to another protocol, which was not asked for")
            if status >= 200:
                break
        ends = is_last or minor == 0 or "close" in _words(headers.get("Connection", ""))
        return Answer(self, method, status, headers, ends=ends)

    def _receive_head(self) -> tuple[int, int, Headers]:
        while not (end := _HEAD_END.search(self._held)):
            self._hold_more("the head of an answer")
        head, self._held = self._held[: end.start()], self._held[end.end() :]
        return parse_head(head)

    def _hold_more(self, what: str) -> None:
        if len(self._held) > MOST_HEAD:
            raise WireError(f"{what} is longer than {MOST_HEAD >> 10} KiB")
        count = self._stream.recv_into(self._heads)
        if not count:
            raise WireError("it hung up in the middle of an answer" if self._held else "it hung up without an answer")
        self._held += self._heads[:count]


class Answer:
    """An answer whose body is read as it comes."""

    def __init__(self, connection: Connection, method: str, status: int, headers: Headers, *, ends: bool) -> None:
        self.status, self.headers = status, headers
        self._connection, self._came = connection, 0
        self._chunked = self._first = False
        self._left: int | None = 0
        codings = _words(headers.get("Transfer-Encoding", ""))
        if method == "HEAD" or status in _WITHOUT_BODY or (method == "CONNECT" and status < 300):
            pass
        elif codings:
            # A length beside it is a lie or an attack: the connection is not used again (RFC 9112 section 6.3).
            ends = ends or codings != ["chunked"] or "Content-Length" in headers
            self._chunked = self._first = codings[-1] == "chunked"
            self._left = 0 if self._chunked else None
        else:
            self._left = _length(headers)
        self._ends = ends or self._left is None

    @property
    def left(self) -> int | None:
        """Bytes of the body that are still to come; None where nobody knows."""
        return None if self._chunked else self._left

    @property
    def may_follow(self) -> bool:
        """Whether the connection is at the end of this answer and stays open for another exchange."""
        return self.left == 0 and not self._ends

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the buffer from its start; return the number of bytes, 0 at the end. Raises OSError, WireError."""
        if self._left == 0 and not (self._chunked and self._begin_chunk()):
            return 0
        count = self._connection.read_into(buffer if self._left is None else buffer[: self._left])
        self._came += count
        if self._left is not None:
            if not count and len(buffer):
                raise WireError(f"{self._came} bytes came, {self._left} more were announced")
            self._left -= count
        return count

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def _begin_chunk(self) -> bool:
        """Read what is before the next chunk's content (RFC 9112 section 7.1); False at the end of the last."""
        if not self._first and self._connection.read_line():
            raise WireError("a chunk is longer than it was announced")
        self._first = False
        line = _CHUNK.fullmatch(self._connection.read_line())
        if not line:
            raise WireError("a chunk came without its length")
        self._left = int(line[1], 16)
        if self._left == 0:
            while self._connection.read_line():
                pass
            self._chunked = False
        return self._left > 0


def parse_head(head: bytes) -> tuple[int, int, Headers]:
    """Return minor version, status and headers of an answer; raises WireError."""
    first, *lines = head.replace(b"\r\n", b"\n").split(b"\n")
    status = _STATUS_LINE.fullmatch(first)
    if not status:
        raise WireError("it does not speak HTTP/1.1")
    fields: list[tuple[str, str]] = []
    for line in lines:
        if line[:1] in (b" ", b"\t") and fields:  # a line that goes on (RFC 9112 section 5.2)
            fields[-1] = fields[-1][0], f"{fields[-1][1]} {line.strip().decode('latin-1')}"
            continue
        name, _, value = line.partition(b":")
        if not name or name.translate(None, _TOKEN) or b"\0" in value or b"\r" in value or len(name) == len(line):
            raise WireError("a header came that is none")
        fields.append((name.decode(), value.strip(b" \t").decode("latin-1")))
    return int(status[1]), int(status[2]), Headers(fields)


def _request_head(method: str, target: str, headers: Mapping[str, str], body: bytes | Content | None) -> bytes:
    fields = dict(headers)
    if isinstance(body, bytes) or (body is None and method not in ("GET", "HEAD", "CONNECT")):
        fields["Content-Length"] = str(len(body or b""))
    # A registry may name an address as a person would write it; a request's line takes no space and no umlaut.
    target = target if _SENDABLE.fullmatch(target) else quote(target, safe=_SAFE)
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    if _UNSENDABLE.search("".join(lines)):
        raise WireError("a header to be sent holds a line's end")
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")


def _length(headers: Headers) -> int | None:
    lengths = {part.strip() for value in headers.all("Content-Length") for part in value.split(",")}
    if not lengths:
        return None
    length = lengths.pop()
    if lengths or not (length.isascii() and length.isdigit() and len(length) < 20):
        raise WireError("its length is none, or several")
    return int(length)


def _words(value: str) -> list[str]:
    return [word.strip().lower() for word in value.split(",") if word.strip()]
