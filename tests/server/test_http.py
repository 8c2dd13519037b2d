"""The bounds of connections; an end of a connection is waited for, never timed."""

import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
import urllib3
from uvicorn.config import Config
from uvicorn.server import ServerState

from homeport.oci.digest import digest_of
from homeport.server.http import Limits, protocol_with
from tests.kit.servers import RunningRegistry, running_registry

SHORT = Limits(idle_seconds=0.3, silence_seconds=0.3)
LONG = Limits(idle_seconds=600, silence_seconds=600)
GET = b"GET /v2/ HTTP/1.1\r\nhost: x\r\n"


@contextmanager
def connected(registry: RunningRegistry, *, room: int = 0) -> Iterator[socket.socket]:
    """Connect; `room` bounds what the kernel takes in for a client that does not read, which may be 32 MiB otherwise."""
    host, _, port = registry.host.partition(":")
    with closing(socket.socket()) as connection:
        connection.settimeout(30)
        if room:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        connection.connect((host, int(port)))
        yield connection


def until_closed(connection: socket.socket) -> bytes:
    received = b""
    try:
        while data := connection.recv(65536):
            received += data
    except ConnectionResetError:
        pass
    return received


@pytest.fixture(scope="module")
def patient() -> Iterator[RunningRegistry]:
    with running_registry(limits=LONG) as registry:
        yield registry


@pytest.fixture(scope="module")
def hasty() -> Iterator[RunningRegistry]:
    with running_registry(limits=SHORT) as registry:
        yield registry


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"x" * 70_000,
        GET + b"a: " + b"x" * 70_000,
        GET + b"a: " + b"x" * 70_000 + b"\r\n\r\n",
        GET + b"".join(b"name-%d: value\r\n" % number for number in range(5000)),
        GET + b"".join(b"name-%d: value\r\n" % number for number in range(5000)) + b"\r\n",
        b"GET /v2/" + b"x" * 70_000 + b"/tags/list HTTP/1.1\r\nhost: x\r\n\r\n",
    ],
    ids=["path without end", "header without end", "long header", "headers without end", "many headers", "long path"],
)
def test_headers_beyond_64_kib_are_refused(patient, head):
    with connected(patient) as connection:
        connection.sendall(head)
        assert until_closed(connection).startswith(b"HTTP/1.1 431 ")


def test_headers_below_64_kib_are_read_however_they_are_cut(patient):
    head = GET + b"a: " + b"x" * 60_000 + b"\r\nconnection: close\r\n\r\n"
    with connected(patient) as connection:
        for start in range(0, len(head), 7000):
            connection.sendall(head[start : start + 7000])
        assert until_closed(connection).startswith(b"HTTP/1.1 200 ")


def test_a_large_body_is_no_large_header(patient):
    body = b"x" * 1_000_000
    path = f"/v2/a/blobs/uploads/?digest={digest_of(body)}"
    with connected(patient) as connection:
        for ending in (b"", b"connection: close\r\n"):
            head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n".encode() + ending + b"\r\n"
            connection.sendall(head + body)
        assert until_closed(connection).count(b"HTTP/1.1 201 ") == 2


@pytest.mark.parametrize("sent", [b"", b"GET /v2/ HT", GET + b"a: b"], ids=["nothing", "half a line", "half a head"])
def test_a_client_that_falls_silent_before_its_request_is_complete_is_left(hasty, sent):
    with connected(hasty) as connection:
        connection.sendall(sent)
        assert until_closed(connection) == b""


def test_a_client_that_falls_silent_in_its_body_is_left_and_its_bytes_stay(hasty):
    session = hasty.store.start_upload("a")
    with connected(hasty) as connection:
        head = f"PATCH /v2/a/blobs/uploads/{session} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n"
        connection.sendall(head.encode() + b"12345")
        assert until_closed(connection) == b""
    with urllib3.PoolManager() as http:
        status = f"{hasty.url}/v2/a/blobs/uploads/{session}"
        while http.request("GET", status).headers["range"] != "0-4":
            pass


def test_a_client_that_does_not_read_is_left():
    ended = threading.Event()

    def telling(app):
        async def tell(scope, receive, send):
            await app(scope, receive, send)
            ended.set()

        return tell

    content = bytes(16 << 20)
    get = f"GET /v2/a/blobs/{digest_of(content)} HTTP/1.1\r\nhost: x\r\n\r\n".encode()
    with running_registry(limits=SHORT, app_wrapper=telling) as registry:
        upload = registry.store.open_upload("a", registry.store.start_upload("a"))
        upload.write(content)
        upload.commit(digest_of(content))
        with connected(registry, room=65536) as connection:
            connection.sendall(get)
            assert ended.wait(30)
            assert len(until_closed(connection)) < len(content)


class Still:
    """A connection without a network, under a clock that the test moves."""

    def __init__(self) -> None:
        self.now, self.unsent, self.ended = 0.0, 0, ""
        self._due: list[tuple[float, Callable[[], None]]] = []
        config = Config(lambda: None, log_config=None, http=protocol_with(SILENCES), ws="none", lifespan="off")
        self.protocol = config.http(config, ServerState(), {}, self)
        self.protocol.connection_made(self)

    def __getattr__(self, _name: str) -> Callable[..., Any]:
        """Stand in for the rest of a loop, a transport and a task: nothing happens."""
        return lambda *_args, **_kwargs: None

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, callback: Callable[[], None]) -> "Still":
        self._due.append((self.now + seconds, callback))
        return self

    def create_task(self, coroutine: Coroutine[Any, Any, None]) -> "Still":
        coroutine.close()
        return self

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return bool(self.ended)

    def close(self) -> None:
        self.ended = "closed"

    def abort(self) -> None:
        self.ended = "aborted"

    def pass_time(self, seconds: float) -> str:
        """Move the clock, run what is due in the order of time, and tell how the connection ended, if it did."""
        until = self.now + seconds
        while due := [entry for entry in self._due if entry[0] <= until]:
            first = min(due, key=lambda entry: entry[0])
            self._due.remove(first)
            self.now = first[0]
            first[1]()
        self.now = until
        return self.ended


SILENCES = Limits(idle_seconds=60, silence_seconds=300)
UPLOAD = b"PATCH /v2/a/blobs/uploads/x HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n"


def test_a_client_may_send_as_slowly_as_it_likes_but_not_fall_silent():
    still = Still()
    still.protocol.data_received(UPLOAD)
    for _ in range(100):
        assert still.pass_time(290) == ""
        still.protocol.data_received(b"x")
        still.protocol.cycle.message_event.clear()  # the application took it
    assert still.pass_time(400) == "aborted"


def test_a_client_may_read_as_slowly_as_it_likes_but_not_stop():
    still = Still()
    still.protocol.data_received(GET + b"\r\n")
    for unsent in range(1_000_000, 0, -10_000):
        still.unsent = unsent
        assert still.pass_time(200) == ""
    assert still.pass_time(400) == "aborted"


def test_a_server_that_takes_its_time_does_not_count_as_silence():
    still = Still()
    still.protocol.data_received(GET + b"\r\n")
    assert still.pass_time(100_000) == ""


def test_a_connection_without_a_request_is_closed_earlier():
    still = Still()
    still.protocol.data_received(b"GET /v2/ HT")
    assert still.pass_time(59) == ""
    assert still.pass_time(30) == "closed"


@pytest.mark.parametrize("length", [b"content-length: 30\r\n", b"transfer-encoding: chunked\r\n"])
def test_a_body_behind_an_upgrade_is_not_taken_for_a_request(patient, length):
    upgrade = b"connection: upgrade\r\nupgrade: h2c\r\n"
    with connected(patient) as connection:
        connection.sendall(b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\nhost: x\r\n" + length + upgrade + b"\r\n")
        connection.sendall(GET + b"\r\n")
        answers = until_closed(connection)
    assert answers.startswith(b"HTTP/1.1 400 ")
    assert answers.count(b"HTTP/1.1") == 1


def test_an_offer_to_upgrade_is_declined(patient):
    with connected(patient) as connection:
        connection.sendall(GET + b"connection: upgrade\r\nupgrade: h2c\r\n\r\n")
        assert until_closed(connection).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\0\0\0\0\r\n\r\n",
        b"GET /v2/\xff HTTP/1.1\r\nhost: x\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n",
        b"GET /v2/\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused_and_the_next_client_served(patient, request_bytes):
    with connected(patient) as connection:
        connection.sendall(request_bytes)
        assert until_closed(connection).startswith(b"HTTP/1.1 400 ")
    with connected(patient) as connection:
        connection.sendall(GET + b"connection: close\r\n\r\n")
        assert until_closed(connection).startswith(b"HTTP/1.1 200 ")


def test_requests_sent_at_once_are_answered_in_order(patient):
    with connected(patient) as connection:
        missing = b"GET /v2/none/tags/list HTTP/1.1\r\nhost: x\r\n\r\n"
        connection.sendall(GET + b"\r\n" + missing + GET + b"connection: close\r\n\r\n")
        answers = until_closed(connection)
    assert [part[:3] for part in answers.split(b"HTTP/1.1 ")[1:]] == [b"200", b"404", b"200"]


def test_a_fault_behind_a_request_is_not_written_into_its_answer(patient):
    upload = patient.store.open_upload("a", patient.store.start_upload("a"))
    content = bytes(16 << 20)
    upload.write(content)
    upload.commit(digest_of(content))
    with connected(patient) as connection:
        get = f"GET /v2/a/blobs/{digest_of(content)} HTTP/1.1\r\nhost: x\r\n\r\n"
        connection.sendall(get.encode())
        connection.recv(10)
        connection.sendall(b"no request\r\n\r\n")
        assert b"HTTP/1.1 4" not in until_closed(connection)


def test_a_client_that_asks_first_is_told_to_go_on_or_why_not(patient):
    head = b"host: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n"
    with connected(patient) as connection:
        connection.sendall(b"PUT /v2/NO/manifests/x HTTP/1.1\r\n" + head)
        assert connection.recv(65536).startswith(b"HTTP/1.1 400 ")
    with connected(patient) as connection:
        too_long = head.replace(b"length: 2", b"length: 4194305")
        connection.sendall(b"PUT /v2/a/manifests/x HTTP/1.1\r\n" + too_long)
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")
    with connected(patient) as connection:
        connection.sendall(b"PUT /v2/a/manifests/x HTTP/1.1\r\ncontent-type: application/vnd.any\r\n" + head)
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"{}")
        assert connection.recv(65536).startswith(b"HTTP/1.1 201 ")


CHUNKED = (
    b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n0\r\n"
)


def test_headers_behind_a_body_do_not_join_those_before_it():
    scopes = []

    def keeping(app):
        async def keep(scope, receive, send):
            await app(scope, receive, send)
            scopes.append(scope)

        return keep

    with running_registry(app_wrapper=keeping) as registry, connected(registry) as connection:
        connection.sendall(CHUNKED + b"x-forwarded-for: 192.0.2.7\r\nx-request-id: mine\r\n\r\n")
        assert until_closed(connection).startswith(b"HTTP/1.1 202 ")
    assert [name for name, _ in scopes[0]["headers"]] == [b"host", b"connection", b"transfer-encoding"]


def test_headers_behind_a_body_have_an_end_too(patient):
    with connected(patient) as connection:
        try:
            connection.sendall(CHUNKED)
            while True:
                connection.sendall(b"name: value\r\n" * 1000)
        except ConnectionError:
            pass
