"""HTTP/1.1 on one connection: what is understood, what is refused, and when another exchange may follow."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.registry import wire
from homeport.registry.wire import MOST_HEAD, Answer, Connection, WireError, parse_head

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Line:
    """A peer that says its pieces, one each time it is listened to, and keeps what it is told."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = [piece for piece in pieces if piece]
        self.heard = b""

    def recv_into(self, buffer: memoryview, /) -> int:
        if not self.pieces:
            return 0
        piece = self.pieces.pop(0)
        count = min(len(buffer), len(piece))
        buffer[:count] = piece[:count]
        if piece[count:]:
            self.pieces.insert(0, piece[count:])
        return count

    def send(self, data: memoryview, /) -> int:
        count = min(len(data), 7)
        self.heard += data[:count]
        return count

    def settimeout(self, seconds: float, /) -> None:
        assert seconds > 0

    def fileno(self) -> int:
        raise AssertionError("never polled")

    def close(self) -> None:
        self.pieces = []


def ask(*pieces: bytes, method: str = "GET") -> Answer:
    return Connection(Line(*pieces), 1024).exchange(method, "/", {}, None, 1)


def body(answer: Answer, step: int = 1000) -> bytes:
    buffer, content = memoryview(bytearray(step)), b""
    while count := answer.readinto(buffer):
        content += buffer[:count]
    return content


@given(
    st.binary(max_size=300),
    st.lists(st.integers(1, 80), max_size=6),
    st.lists(st.integers(1, 500), max_size=20),
    st.integers(1, 200),
)
def test_a_body_is_the_same_however_it_is_framed_and_cut(content: bytes, chunks: list[int], cuts: list[int], step: int):
    framed, rest = b"", content
    for size in chunks:
        framed += b"%x;name=value\r\n%b\r\n" % (len(rest[:size]), rest[:size]) if rest else b""
        rest = rest[size:]
    framed += (b"%x\r\n%b\r\n" % (len(rest), rest) if rest else b"") + b"0\r\nTrailer: x\r\n\r\n"
    plain = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(content), content)
    for whole in (plain, CHUNKED + framed):
        pieces, start = [], 0
        for cut in sorted(set(cuts)):
            pieces.append(whole[start:cut])
            start = max(start, min(cut, len(whole)))
        answer = ask(*pieces, whole[start:])
        assert body(answer, step) == content
        assert answer.may_follow


def test_what_trickles_in_is_handed_on_before_the_other_side_takes_it_for_silence(monkeypatch: pytest.MonkeyPatch):
    seconds = iter(range(0, 1000, 2))
    monkeypatch.setattr(wire, "monotonic", lambda: float(next(seconds)))
    answer = ask(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", *[b"x"] * 100)
    assert [answer.readinto(memoryview(bytearray(100))) for _ in range(2)] == [3, 3]


@pytest.mark.parametrize(
    ("method", "head"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304\r\nContent-Length: 5\r\n\r\n"),
        ("GET", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 204 \r\n\r\n"),
        ("GET", b"HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
    ],
)
def test_answers_without_a_body(method: str, head: bytes):
    answer = ask(head, method=method)
    assert body(answer) == b""
    assert answer.may_follow


@pytest.mark.parametrize(
    ("whole", "content"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", b"until the end"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab", b"ab"),
        (b"HTTP/1.1 200 OK\r\nConnection: Keep-Alive, close\r\nContent-Length: 2\r\n\r\nab", b"ab"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nab", b"ab"),
        (CHUNKED[:-2] + b"Content-Length: 9\r\n\r\n2\r\nab\r\n0\r\n\r\n", b"ab"),
    ],
)
def test_nothing_follows_where_the_end_is_unsure(whole: bytes, content: bytes):
    answer = ask(whole)
    assert body(answer) == content
    assert not answer.may_follow


@pytest.mark.parametrize(
    "whole",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: \xb2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * MOST_HEAD,
        CHUNKED + b"2\r\nabc\r\n0\r\n\r\n",
        CHUNKED + b"-2\r\nab\r\n0\r\n\r\n",
        CHUNKED + b"2\r\nab\r\n",
        CHUNKED + b"2" * 200_000,
    ],
)
def test_what_is_no_whole_answer_is_refused(whole: bytes):
    with pytest.raises(WireError):
        body(ask(whole))


def test_headers_have_any_case_and_may_come_again():
    _, _, headers = parse_head(
        b"HTTP/1.1 401 x\r\nwww-authenticate: Basic\r\nWWW-Authenticate:\tBearer a,\r\n  b\t\r\nx:"
    )
    assert headers.all("Www-Authenticate") == ["Basic", "Bearer a, b"]
    assert headers["WWW-AUTHENTICATE"] == "Basic, Bearer a, b"
    assert (headers["X"], headers.get("y")) == ("", None)


def test_what_is_said():
    parts = [b"ab", b"c", b""]

    class Two:
        def read(self, amount: int, /) -> bytes:
            assert amount == 1024
            return parts.pop(0)

    line = Line(*(b"HTTP/1.1 204 x\r\n\r\n",) * 4)
    connection = Connection(line, 1024)
    connection.exchange("GET", "/ü?q=a b", {"Host": "h"}, None, 1)
    connection.exchange("POST", "/", {}, None, 1)
    connection.exchange("PUT", "/", {}, b"body", 1)
    connection.exchange("PUT", "/", {"Content-Length": "3"}, Two(), 1)
    assert line.heard == (
        b"GET /%C3%BC?q=a%20b HTTP/1.1\r\nHost: h\r\n\r\n"
        b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
        b"PUT / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody"
        b"PUT / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
    )


def test_a_header_cannot_begin_another():
    with pytest.raises(WireError):
        Connection(Line(), 1024).exchange("GET", "/", {"X": "a\r\nEvil: 1"}, None, 1)


@contextmanager
def pair() -> Iterator[tuple[socket.socket, Connection]]:
    there, here = socket.socketpair()
    with there, here:
        yield there, Connection(here, 1024)


def test_who_refuses_a_body_before_it_came_is_heard():
    class Endless:
        def read(self, amount: int, /) -> bytes:
            return bytes(amount)

    with pair() as (there, connection):
        there.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        there.shutdown(socket.SHUT_RD)
        answer = connection.exchange("PUT", "/", {"Content-Length": "100"}, Endless(), 1)
        assert (answer.status, body(answer), answer.may_follow) == (413, b"no", False)


def test_idle_is_who_has_nothing_to_say():
    with pair() as (there, connection):
        assert connection.is_idle()
        there.sendall(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        assert not connection.is_idle()
    with pair() as (there, connection):
        there.close()
        assert not connection.is_idle()
