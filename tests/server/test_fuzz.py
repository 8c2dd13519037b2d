"""Hostile bytes on the socket: nothing is smuggled, no trace of the code comes out, memory has an end, and service goes on."""

import contextlib
import itertools
import random
import re
import select
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest
import urllib3

from homeport.server.open_uploads import MOST
from tests.kit import wire
from tests.kit.servers import RunningRegistry, ServeProcess, running_registry, serve_process

RESPONSE = re.compile(rb"HTTP/1\.1 (\d{3}) ")


@pytest.fixture(scope="module")
def told() -> Iterator[tuple[RunningRegistry, list[str]]]:
    """A registry, and the paths of all requests that come to its application."""
    paths: list[str] = []

    def telling(app):
        async def tell(scope, receive, send):
            paths.append(scope["raw_path"].decode("latin-1"))
            await app(scope, receive, send)

        return tell

    with running_registry(app_wrapper=telling) as registry:
        yield registry, paths


def exchange(host: str, *pieces: bytes, half_close: bool = True) -> bytes:
    """Send, and return all that comes until the server closes."""
    name, _, port = host.partition(":")
    received = bytearray()
    with closing(socket.create_connection((name, int(port)), timeout=30)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                connection.sendall(piece)
            if half_close:
                select.select([connection], [], [], 0.02)  # to half-close at once would break most answers off
                with contextlib.suppress(OSError):  # where the server has closed
                    connection.shutdown(socket.SHUT_WR)
            while data := connection.recv(1 << 16):
                received += data
    return bytes(received)


def statuses(received: bytes) -> list[int]:
    return [int(status) for status in RESPONSE.findall(received)]


@pytest.mark.parametrize("name", wire.REFUSED)
def test_what_two_parties_could_read_in_two_ways_is_refused(told, name):
    registry, paths = told
    paths.clear()
    assert statuses(exchange(registry.host, wire.REFUSED[name], half_close=False)) == [400]
    assert paths == []


@pytest.mark.parametrize("name", wire.BROKEN_OFF)
def test_behind_a_body_without_a_right_end_nothing_is_read(told, name):
    registry, paths = told
    paths.clear()
    assert statuses(exchange(registry.host, wire.BROKEN_OFF[name], half_close=False)) == []
    assert paths == ["/v2/a/blobs/uploads/"]


@pytest.mark.parametrize("name", wire.ONE_REQUEST)
def test_what_is_odd_and_right_is_one_request(told, name):
    registry, paths = told
    paths.clear()
    assert len(statuses(exchange(registry.host, wire.ONE_REQUEST[name], half_close=False))) == 1
    assert len(paths) == 1


class Watch:
    """What a process holds."""

    def __init__(self, server: ServeProcess) -> None:
        self._home = Path(f"/proc/{server.process.pid}")

    def memory(self) -> int:
        """Return the bytes in memory at the most."""
        [kilobytes] = re.findall(r"VmHWM:\s+(\d+) kB", (self._home / "status").read_text())
        return int(kilobytes) * 1024

    def handles(self) -> int:
        return len(list((self._home / "fd").iterdir()))


def fuzz(data: Path, count: int, seed: int) -> Mapping[int, int]:
    """Send so many mutated requests to the real process; return how often each status was answered."""
    answered: dict[int, int] = {}
    with serve_process(data) as server:
        watch = Watch(server)
        for pieces in itertools.islice(wire.mutated(random.Random(seed)), 50):
            exchange(server.host, *pieces)
        memory, handles = watch.memory(), watch.handles()
        for number, pieces in enumerate(itertools.islice(wire.mutated(random.Random(seed)), count)):
            for status in statuses(exchange(server.host, *pieces)):
                assert status not in (500, 502), (seed, number, pieces)
                answered[status] = answered.get(status, 0) + 1
            assert server.process.poll() is None, (seed, number, pieces)
        assert urllib3.request("GET", f"{server.url}/v2/").status == 200
        deadline = time.monotonic() + 60
        while watch.handles() > handles + 3:  # what was open for requests that were broken off is closed
            assert time.monotonic() < deadline
        assert watch.memory() < memory + (32 << 20)
        assert server.stop() == 0
        assert "".join(server.lines) == f"listening on {server.url}\n"
    return answered


needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")


@needs_proc
def test_requests_with_something_changed_at_random(tmp_path):
    answered = fuzz(tmp_path / "data", 600, seed=1)
    assert {200, 400, 404} <= answered.keys(), answered


@needs_proc
@pytest.mark.long
def test_very_many_requests_with_something_changed_at_random(tmp_path):
    answered = fuzz(tmp_path / "data", 100_000, seed=time.time_ns())
    print(f"100,000 mutated requests, answered {dict(sorted(answered.items()))}, no trace, memory bounded")


def open_uploads(folder: Path, owners: int) -> None:
    """Let so many owners open as many uploads as they may, and one more each."""
    config = folder / "registry.yaml"
    config.write_text("trustedProxies: [127.0.0.1]\n")
    with (
        serve_process(folder / "data", "--config", str(config)) as server,
        urllib3.PoolManager(retries=False, timeout=30) as http,
    ):
        url = f"{server.url}/v2/a/blobs/uploads/"
        location = http.request("POST", url).headers["location"]
        memory = Watch(server).memory()
        for owner in range(owners):
            headers = {"x-forwarded-for": f"10.0.{owner // 250}.{owner % 250}"}
            assert {http.request("POST", url, headers=headers).status for _ in range(MOST)} == {202}
            refused = http.request("POST", url, headers=headers)
            assert (refused.status, refused.headers["retry-after"]) == (429, "60")
        assert Watch(server).memory() < memory + (16 << 20) + owners * MOST * 500
        assert http.request("PATCH", f"{server.url}{location}", body=b"12345").status == 202
        assert (
            f"homeport_uploads_open {owners * MOST + 1}.0" in http.request("GET", f"{server.url}/metrics").data.decode()
        )
    with serve_process(folder / "data") as server:  # starts, and knows them still
        assert urllib3.request("GET", f"{server.url}{location}").headers["range"] == "0-4"


@needs_proc
def test_open_uploads_are_bounded_for_each_owner(folder):
    open_uploads(folder, owners=1)


@needs_proc
@pytest.mark.long
def test_a_hundred_thousand_open_uploads(folder):
    open_uploads(folder, owners=100)
