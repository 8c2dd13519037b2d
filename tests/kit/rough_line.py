"""A line to a server that breaks, or falls silent, where a test says."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import msgspec

_HARD = struct.pack("ii", 1, 0)
"""SO_LINGER: what is closed so is reset."""


class Fate(msgspec.Struct, frozen=True):
    """What becomes of one connection: after so many bytes `up`, to the server, or `down`, it breaks, or falls silent."""

    up: int | None = None
    down: int | None = None
    falls_silent: bool = False


class RoughLine:
    """Connections to `host`, each with the fate that `fate` gives it by its number. `silent` is set where one has fallen so."""

    def __init__(self, host: str, fate: Callable[[int], Fate]) -> None:
        self.fate = fate
        self._mended = 0
        self.silent = threading.Event()
        name, _, port = host.rpartition(":")
        self._server = (name, int(port))
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._open: set[socket.socket] = set()
        self._wake = threading.Event()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Condition()
        self._latest: object = None
        self.connections = 0
        self._start(self._accept)

    def mend(self) -> None:
        """Let all connections be good ones, those too that are there and have not broken."""
        self.fate = lambda _number: Fate()
        self._mended += 1

    def speak(self) -> None:
        """Break what has fallen silent."""
        self._wake.set()
        self._wake = threading.Event()

    def hang_up(self) -> None:
        """Break all connections, those too that wait to be taken, and wait until all is said that was on its way to the server."""
        with socket.create_connection(self._socket.getsockname()) as last:
            with self._lock:
                assert self._lock.wait_for(lambda: self._latest == last.getsockname(), 60)
            self._break()
            with self._lock:
                assert self._lock.wait_for(lambda: not self._open, 60)

    def stop(self) -> None:
        """Break all connections and end all threads."""
        self._wake.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._threads[0].join()
        self._break()
        for thread in self._threads:
            thread.join()

    def _break(self) -> None:
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments)
        thread.start()
        self._threads.append(thread)  # what hangs up joins these

    def _accept(self) -> None:
        while True:
            try:
                client, name = self._socket.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._server)
            except OSError:
                client.close()
                continue
            fate = self.fate(self.connections)
            self.connections += 1
            with self._lock:
                self._open |= {client, server}
                self._latest = name
                self._lock.notify_all()
            ends = threading.Semaphore(0)
            self._start(self._carry, client, server, fate.up, fate.falls_silent, ends)
            self._start(self._carry, server, client, fate.down, fate.falls_silent, ends)
            self._start(self._close, client, server, ends)

    def _carry(
        self, here: socket.socket, there: socket.socket, most: int | None, silent: bool, ends: threading.Semaphore
    ) -> None:
        count, mended = 0, self._mended
        with suppress(OSError):
            while data := here.recv(1 << 16):
                if most is not None and count + len(data) > most and mended == self._mended:
                    there.sendall(data[: most - count])
                    if silent:
                        self.silent.set()
                        self._wake.wait(120)
                    else:
                        here.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _HARD)
                    break
                there.sendall(data)
                count += len(data)
        for side in (here, there):
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
        ends.release()

    def _close(self, client: socket.socket, server: socket.socket, ends: threading.Semaphore) -> None:
        ends.acquire()
        ends.acquire()
        with self._lock:
            self._open -= {client, server}
            self._lock.notify_all()
        client.close()
        server.close()


@contextmanager
def rough_line(host: str, fate: Callable[[int], Fate] = lambda _number: Fate()) -> Iterator[RoughLine]:
    """Stand between clients and a server, on 127.0.0.1 and a free port."""
    line = RoughLine(host, fate)
    try:
        yield line
    finally:
        line.stop()
