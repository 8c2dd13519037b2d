"""An HTTP server that plays what a test wrote: right answers, lies, cuts and silence."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import msgspec


class Seen(msgspec.Struct, frozen=True):
    """A request as it came; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Reply(msgspec.Struct, frozen=True):
    """What to answer. `announced` lies about the length; `cut_at` breaks the connection after so many bytes of the body."""

    status: int = 200
    headers: dict[str, str] = {}
    body: bytes = b""
    announced: int | None = None
    cut_at: int | None = None
    raw: bytes | None = None
    """Sent instead of all the rest."""


Play = Callable[[Seen], Reply]


class Scripted:
    """A server that answers by a play and remembers what it was asked."""

    def __init__(self, play: Play, tls: ssl.SSLContext | None) -> None:
        self.play = play
        self.takes: Callable[[Seen], int | None] = lambda _seen: None
        """How much of a request's body is read before it is answered and the connection broken; None for all of it."""
        self.seen: list[Seen] = []
        self.connections = 0
        self._tls = tls
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.url = f"{'https' if tls else 'http'}://{self.host}"
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def asked(self, method: str = "") -> list[str]:
        """Return the paths that were asked for, in order, by all methods or one."""
        return [seen.path for seen in self.seen if method in ("", seen.method)]

    def stop(self) -> None:
        """Close all connections and end all threads."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for connection in tuple(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            self._open.add(connection)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, plain: socket.socket) -> None:
        connection = plain
        try:
            if not self._tls and plain.recv(1, socket.MSG_PEEK) == b"\x16":
                plain.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")  # as web servers say to a client that tries TLS
                return
            if self._tls:
                connection = self._tls.wrap_socket(plain, server_side=True)
                self._open.add(connection)
            with connection.makefile("rb") as lines:
                while (request := _receive(lines.readline)) and self._take(connection, request, lines.read):
                    pass
        except OSError:
            pass
        finally:
            self._open -= {plain, connection}
            connection.close()

    def _take(self, connection: socket.socket, request: Seen, read: Callable[[int], bytes]) -> bool:
        most = self.takes(request)
        length = int(request.headers.get("content-length", "0"))
        body = read(length if most is None else min(most, length))
        return self._answer(connection, msgspec.structs.replace(request, body=body)) and most is None

    def _answer(self, connection: socket.socket, seen: Seen) -> bool:
        """Answer one request; tell whether the connection goes on."""
        self.seen.append(seen)
        reply = self.play(seen)
        if reply.raw is not None:
            connection.sendall(reply.raw)
            return False
        length = len(reply.body) if reply.announced is None else reply.announced
        headers = {"Content-Length": str(length), **reply.headers}
        head = "".join(f"{name}: {text}\r\n" for name, text in headers.items())
        body = b"" if seen.method == "HEAD" else reply.body[: reply.cut_at]
        connection.sendall(f"HTTP/1.1 {reply.status} Scripted\r\n{head}\r\n".encode("latin-1") + body)
        return reply.cut_at is None


def _receive(read_line: Callable[[], bytes]) -> Seen | None:
    start = read_line().decode("latin-1").split()
    if len(start) != 3:
        return None
    headers: dict[str, str] = {}
    while line := read_line().decode("latin-1").strip():
        name, _, text = line.partition(":")
        headers[name.lower()] = text.strip()
    return Seen(start[0], start[1], headers, b"")


@contextmanager
def scripted(play: Play, *, tls: ssl.SSLContext | None = None) -> Iterator[Scripted]:
    """Serve a play on 127.0.0.1 and a free port."""
    server = Scripted(play, tls)
    try:
        yield server
    finally:
        server.stop()


def registry_play(answers: dict[tuple[str, str], Reply | list[Reply]]) -> Play:
    """Make a play of a registry: /v2/ answers, a list is played in order and its last reply again and again; else 404."""
    counts: dict[tuple[str, str], int] = {}

    def play(seen: Seen) -> Reply:
        key = seen.method, seen.path.partition("?")[0]
        found = answers.get(key)
        if found is None:
            return Reply(200) if key == ("GET", "/v2/") else Reply(404, body=b'{"errors":[{"code":"NAME_UNKNOWN"}]}')
        if isinstance(found, Reply):
            return found
        counts[key] = counts.get(key, -1) + 1
        return found[min(counts[key], len(found) - 1)]

    return play
