"""What is measured: each function does one kind of work and returns figures; every body is read and counted."""

import hashlib
import os
import re
import select
import socket
import ssl
import statistics
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import urllib3

from benchmarks.server.peers import CLIENT_CORE, Server
from homeport.oci.digest import digest_of

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
ACCEPT = {"accept": MANIFEST_TYPE}  # distribution knows no OCI manifest without it
SECONDS = 3
BIG, MEGABYTE = os.urandom(1 << 20) * 100, os.urandom(1 << 20)
CONFIG = b'{"architecture":"amd64","os":"linux"}'


def manifest() -> bytes:
    blobs = [("config", CONFIG, "config"), ("one", MEGABYTE, "layer")]
    config, layer = (
        f'{{"mediaType":"application/vnd.oci.image.{kind}.v1+json","digest":"{digest_of(data)}","size":{len(data)}}}'
        for _, data, kind in blobs
    )
    note = "x" * 900
    return (
        f'{{"schemaVersion":2,"mediaType":"{MANIFEST_TYPE}","config":{config},"layers":[{layer}],'
        f'"annotations":{{"note":"{note}"}}}}'
    ).encode()


def fill(server: Server, root: Path | None) -> None:
    """Push one image and a large blob, or put them where nginx finds them; check every digest."""
    blobs = {digest_of(data): data for data in (CONFIG, MEGABYTE, BIG)}
    if root:
        for path, data in {**{f"blobs/{d}": v for d, v in blobs.items()}, "manifests/1": manifest()}.items():
            (root / "v2/a/b" / path).parent.mkdir(parents=True, exist_ok=True)
            (root / "v2/a/b" / path).write_bytes(data)
    with urllib3.PoolManager() as http:
        for digest, data in blobs.items():
            if not root:
                push(http, server.url, data, digest)
            got = http.request("GET", f"{server.url}/v2/a/b/blobs/{digest}").data
            assert digest_of(got) == digest
        if not root:
            put = http.request(
                "PUT", f"{server.url}/v2/a/b/manifests/1", body=manifest(), headers={"content-type": MANIFEST_TYPE}
            )
            assert put.status == 201, put.data
        assert http.request("GET", f"{server.url}/v2/a/b/manifests/1", headers=ACCEPT).data == manifest()


def push(http: urllib3.PoolManager, url: str, data: bytes, digest: str) -> None:
    start = http.request("POST", f"{url}/v2/a/b/blobs/uploads/")
    assert start.status == 202, start.data
    location = start.headers["location"]
    location = location if location.startswith("http") else url + location
    location += ("&" if "?" in location else "?") + f"digest={digest}"
    assert http.request("PUT", location, body=data).status == 201


_LUA = {
    "range": """
math.randomseed(7)
request = function()
  local start = math.random(0, 1599) * 65536
  return wrk.format("GET", nil, {["Range"] = "bytes=" .. start .. "-" .. (start + 65535)})
end
""",
}


def wrk(url: str, tmp: Path, script: str = "") -> float:
    """Return requests a second of eight connections; any error fails."""
    options: list[str] = []
    if script:
        (tmp / "wrk.lua").write_text(_LUA[script])
        options = ["-s", str(tmp / "wrk.lua")]
    command = [
        "taskset",
        "-c",
        CLIENT_CORE,
        "wrk",
        "-H",
        f"Accept: {MANIFEST_TYPE}",
        "-t1",
        "-c8",
        f"-d{SECONDS}s",
        *options,
        url,
    ]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in out, out
    assert "Socket errors" not in out, out
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])


def heads(server: Server) -> float:
    """Return HEADs of a manifest a second, on eight connections; wrk waits for the bodies that they do not have."""
    request = f"HEAD /v2/a/b/manifests/1 HTTP/1.1\r\nhost: x\r\naccept: {MANIFEST_TYPE}\r\n\r\n".encode()
    count, connections = 0, [socket.create_connection(("127.0.0.1", server.port)) for _ in range(8)]
    with closing(select.epoll()) as poll:
        by_handle = {connection.fileno(): connection for connection in connections}
        for handle, connection in by_handle.items():
            poll.register(handle, select.EPOLLIN)
            connection.sendall(request)
        started = time.perf_counter()
        while time.perf_counter() - started < SECONDS:
            for handle, _ in poll.poll():
                answer = by_handle[handle].recv(4096)
                assert answer.startswith(b"HTTP/1.1 200"), answer
                assert answer.endswith(b"\r\n\r\n"), answer
                by_handle[handle].sendall(request)
                count += 1
        seconds = time.perf_counter() - started
    for connection in connections:
        connection.close()
    return count / seconds


def tls_pulls(server: Server, ca_file: Path, clients: int = 50, rounds: int = 4) -> float:
    """Return pulls a second of one image over TLS: a connection, a manifest, a config and a layer of 1 MB each."""
    context = ssl.create_default_context(cafile=str(ca_file))
    digests = [digest_of(CONFIG), digest_of(MEGABYTE)]

    def pull() -> None:
        for _ in range(rounds):
            with urllib3.PoolManager(ssl_context=context, retries=False) as http:
                assert http.request("GET", f"{server.url}/v2/a/b/manifests/1", headers=ACCEPT).data == manifest()
                for digest, size in zip(digests, (len(CONFIG), len(MEGABYTE)), strict=True):
                    assert len(http.request("GET", f"{server.url}/v2/a/b/blobs/{digest}").data) == size

    started = time.perf_counter()
    at_once([pull] * clients)
    return clients * rounds / (time.perf_counter() - started)


def download(url: str, size: int) -> None:
    """Read a body into one buffer."""
    host, _, path = url.removeprefix("http://").partition("/")
    address, _, port = host.partition(":")
    buffer = bytearray(1 << 20)
    with closing(socket.create_connection((address, int(port)))) as connection:
        connection.sendall(f"GET /{path} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
        head = connection.recv(65536)
        assert head.startswith(b"HTTP/1.1 200"), head
        left = size - len(head.partition(b"\r\n\r\n")[2])
        while left:
            count = connection.recv_into(buffer)
            assert count
            left -= count


def big_get(server: Server, rounds: int = 8) -> float:
    """Return MB/s of 100 MB blobs, four at a time."""
    url = f"{server.url}/v2/a/b/blobs/{digest_of(BIG)}"
    started = time.perf_counter()
    for _ in range(rounds // 4):
        at_once([lambda: download(url, len(BIG))] * 4)
    return rounds * len(BIG) / 1e6 / (time.perf_counter() - started)


def pushes(server: Server, size: int, count: int, threads: int) -> float:
    """Return pushes a second of distinct blobs."""
    bodies = [os.urandom(64) + (BIG[64:size] if size > 1 << 20 else MEGABYTE[64:size]) for _ in range(count)]
    named = [(body, digest_of(body)) for body in bodies]

    def work(mine: list[tuple[bytes, str]]) -> None:
        with urllib3.PoolManager() as http:
            for body, digest in mine:
                push(http, server.url, body, digest)

    started = time.perf_counter()
    at_once([lambda mine=named[number::threads]: work(mine) for number in range(threads)])
    return count / (time.perf_counter() - started)


def mixed(server: Server) -> tuple[float, float]:
    """Return the p99 of manifest GETs in ms, and MB/s in all, while four downloads and two pushes run."""
    times: list[float] = []
    done = threading.Event()
    bodies = [os.urandom(64) + BIG[64:] for _ in range(2)]
    named = [(body, hashlib.sha256(body).hexdigest()) for body in bodies]

    def ask() -> None:
        with urllib3.PoolManager() as http:
            while not done.is_set():
                started = time.perf_counter()
                assert http.request("GET", f"{server.url}/v2/a/b/manifests/1", headers=ACCEPT).status == 200
                times.append((time.perf_counter() - started) * 1000)

    def work(number: int) -> None:
        if number < 4:
            for _ in range(4):
                download(f"{server.url}/v2/a/b/blobs/{digest_of(BIG)}", len(BIG))
        else:
            with urllib3.PoolManager() as http:
                body, digest = named[number - 4]
                push(http, server.url, body, f"sha256:{digest}")

    asker = threading.Thread(target=ask)
    asker.start()
    started = time.perf_counter()
    try:
        at_once([lambda number=number: work(number) for number in range(6)])
    finally:
        done.set()
        asker.join()
    seconds = time.perf_counter() - started
    return statistics.quantiles(times, n=100)[98], 18 * len(BIG) / 1e6 / seconds


def at_once(works: list[Callable[[], None]]) -> None:
    failures: list[BaseException] = []

    def guarded(one: Callable[[], None]) -> None:
        try:
            one()
        except BaseException as error:  # noqa: BLE001 - raised below
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(one,)) for one in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
