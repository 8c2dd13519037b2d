"""Proxies, and what a slow or silent peer does to an exchange."""

import base64
import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest

from homeport.errors import BlockedAddressError, UnreachableError
from homeport.registry.addresses import Reach
from homeport.registry.settings import Settings
from homeport.registry.transport import BLOCK, PooledTransport, Request, Response, proxy_for
from homeport.registry.trust import Trust
from tests.kit.clients import open_registries
from tests.kit.scripted import Reply, Scripted, registry_play, scripted


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def test_plain_http_goes_through_the_proxy_of_the_environment(monkeypatch):
    settings = Settings.of(plain_http=["registry.example:5000"], environment={})
    with scripted(lambda _: Reply(200)) as proxy, open_registries(settings=settings) as registries:
        monkeypatch.setenv("HTTP_PROXY", f"http://me:p%40ss@{proxy.host}")
        registries.client("registry.example:5000").ping()
        (first, _) = proxy.seen
    assert first.path == "http://registry.example:5000/v2/"
    assert first.headers["host"] == "registry.example:5000"
    assert first.headers["proxy-authorization"] == "Basic " + base64.b64encode(b"me:p@ss").decode()


def test_tls_goes_through_a_tunnel(monkeypatch):
    with scripted(lambda _: Reply(403)) as proxy, open_registries() as registries:
        monkeypatch.setenv("HTTPS_PROXY", proxy.host)
        with pytest.raises(UnreachableError, match="403"):
            registries.client("registry.example").ping()
        assert {(seen.method, seen.path) for seen in proxy.seen} == {("CONNECT", "registry.example:443")}


def test_a_proxy_is_not_asked_for_what_may_not_be_named(monkeypatch):
    with scripted(lambda _: Reply(200)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        sending = PooledTransport(Trust(Settings()), 1)
        for url in ("http://169.254.169.254/x", "http://10.0.0.1/x", "http://metadata.google.internal/x"):
            with pytest.raises(BlockedAddressError):
                sending.send(Request("GET", url, limit=Reach.PUBLIC))
        sending.close()
        assert proxy.seen == []


def test_exceptions_to_the_proxy(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "inner.example,10.0.0.5")
    assert proxy_for("https", "registry.example", 443) == "http://proxy.example:3128"
    assert proxy_for("http", "registry.example", 80) is None
    for host in ("inner.example", "a.inner.example", "10.0.0.5", "localhost", "127.0.0.1", "::1"):
        assert proxy_for("https", host, 443) is None


def test_silence_ends_a_request():
    release = threading.Event()

    def play(seen):
        release.wait(30)
        return Reply(200)

    with scripted(play) as server:
        sending = PooledTransport(Trust(Settings()), 1)
        try:
            with pytest.raises(UnreachableError, match="silence: it did not answer in time"):
                sending.send(Request("GET", server.url, silence=0.1))
        finally:
            release.set()
            sending.close()


def test_connections_are_kept():
    with scripted(registry_play({})) as server, open_registries() as registries:
        client = registries.client(server.host)
        for _ in range(5):
            client.head_manifest("a/b", "1")
        assert server.connections == 2, "one tried TLS, one serves all requests"


def read_all(response: Response, step: int = 7) -> bytes:
    buffer, content = memoryview(bytearray(step)), b""
    while count := response.readinto(buffer):
        content += buffer[:count]
    return content


@contextmanager
def asking(reply: Reply) -> Iterator[tuple[Callable[[str], Response], Scripted]]:
    """Yield what asks a server that always says the same."""
    with scripted(lambda _: reply) as server:
        transport = PooledTransport(Trust(Settings()), 1)
        try:
            yield lambda method: transport.send(Request(method, server.url)), server
        finally:
            transport.close()


CHUNKED = {"Transfer-Encoding": "chunked"}


@pytest.mark.parametrize(
    ("method", "reply", "content"),
    [
        ("GET", Reply(body=b"ten bytes."), b"ten bytes."),
        ("GET", Reply(headers=CHUNKED, body=b"3\r\nten\r\n7\r\n bytes.\r\n0\r\n\r\n"), b"ten bytes."),
        ("GET", Reply(), b""),
        ("GET", Reply(204), b""),
        ("HEAD", Reply(announced=1 << 40), b""),
    ],
)
def test_a_connection_is_used_again_when_a_body_is_read(method, reply, content):
    with asking(reply) as (ask, server):
        for _ in range(3):
            response = ask(method)
            assert read_all(response) == content
            response.close()
        assert server.connections == 1


@pytest.mark.parametrize(("size", "connections"), [(1000, 1), (BLOCK + 1, 2)])
def test_what_is_left_of_a_body_is_read_if_it_is_little(size, connections):
    with asking(Reply(body=bytes(size))) as (ask, server):
        for _ in range(2):
            ask("GET").close()
        assert server.connections == connections


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(body=b"ten bytes.", announced=12, cut_at=10), "10 bytes came, 2 more were announced"),
        (Reply(headers=CHUNKED, body=b"a\r\nten bytes.\r\n", cut_at=100), "the last chunk is missing"),
    ],
)
def test_a_body_that_ends_too_soon_is_not_taken_for_whole(reply, reason):
    with asking(reply) as (ask, _), closing(ask("GET")) as response, pytest.raises(UnreachableError, match=reason):
        read_all(response)


def test_two_lengths_are_refused():
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc"
    with asking(Reply(raw=raw)) as (ask, _), pytest.raises(UnreachableError):
        ask("GET")


def test_what_trickles_in_is_handed_on_before_the_other_side_takes_it_for_silence(monkeypatch):
    seconds = itertools.count(0, 2)
    monkeypatch.setattr("homeport.registry.transport.monotonic", lambda: float(next(seconds)))
    monkeypatch.setattr("homeport.registry.transport.PIECE", 10)
    with asking(Reply(body=bytes(100))) as (ask, _), closing(ask("GET")) as response:
        counts = []
        while count := response.readinto(memoryview(bytearray(100))):
            counts.append(count)
    assert sum(counts) == 100
    assert max(counts) < 50
