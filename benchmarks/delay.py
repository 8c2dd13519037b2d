"""A TCP proxy that hands on at once what a client says, and what the server answers some milliseconds later."""

import asyncio
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import cast


class _Answers(asyncio.Protocol):
    """The server's side."""

    def __init__(self, client: asyncio.Transport, seconds: float) -> None:
        self._client, self._seconds = client, seconds
        self._loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        self._loop.call_later(self._seconds, self._client.write, data)

    def connection_lost(self, _: Exception | None) -> None:
        self._loop.call_later(self._seconds, self._client.close)


class _Questions(asyncio.Protocol):
    """The client's side; what it says before there is a connection to the server waits."""

    def __init__(self, server: tuple[str, int], seconds: float) -> None:
        self._server, self._seconds = server, seconds
        self._waiting: list[bytes] = []
        self._there: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._here = cast(asyncio.Transport, transport)
        self._connecting = asyncio.ensure_future(self._connect())

    async def _connect(self) -> None:
        there, _ = await asyncio.get_running_loop().create_connection(
            lambda: _Answers(self._here, self._seconds), *self._server
        )
        there.writelines(self._waiting)
        self._there = there

    def data_received(self, data: bytes) -> None:
        if self._there:
            self._there.write(data)
        else:
            self._waiting.append(data)

    def connection_lost(self, _: Exception | None) -> None:
        self._connecting.cancel()
        if self._there:
            self._there.close()


async def _serve(server: tuple[str, int], seconds: float, port: Connection) -> None:
    loop = asyncio.get_running_loop()
    proxy = await loop.create_server(lambda: _Questions(server, seconds), "127.0.0.1", 0, backlog=1024)
    port.send(proxy.sockets[0].getsockname()[1])
    await proxy.serve_forever()


def _run(server: tuple[str, int], seconds: float, port: Connection) -> None:
    import uvloop

    uvloop.run(_serve(server, seconds, port))


@contextmanager
def delayed(host: str, seconds: float) -> Iterator[str]:
    """Yield the address of a proxy, in a process of its own, that delays the answers of HOST:PORT."""
    name, _, number = host.rpartition(":")
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_run, args=((name, int(number)), seconds, theirs), daemon=True
    )
    process.start()
    try:
        yield f"127.0.0.1:{ours.recv()}"
    finally:
        process.terminate()
        process.join()
