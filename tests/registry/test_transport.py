"""Proxies, and what a slow or silent peer does to an exchange."""

import base64
import random
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trustme

from homeport.errors import BlockedAddressError, UnreachableError
from homeport.oci.digest import digest_of
from homeport.oci.manifest import Descriptor
from homeport.registry.addresses import Reach
from homeport.registry.retry import Wait
from homeport.registry.settings import Settings
from homeport.registry.transport import PooledTransport, Request, proxy_for
from homeport.registry.trust import Trust
from tests.kit.clients import open_registries, read_all
from tests.kit.scripted import Reply, registry_play, scripted


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


def test_a_connection_that_ends_as_it_is_used_again_costs_no_wait():
    """A server may close an idle connection while the next request is on its way (RFC 9112 section 9.3.1)."""
    waits: list[Wait] = []
    answers = iter([Reply(200), Reply(404), Reply(raw=b""), Reply(404)])
    with (
        scripted(lambda _: next(answers)) as server,
        open_registries(settings=Settings.of(plain_http=[server.host], environment={}), waits=waits) as registries,
    ):
        client = registries.client(server.host)
        assert client.head_manifest("a/b", "1") is None
        assert client.head_manifest("a/b", "2") is None
        assert server.asked("HEAD") == ["/v2/a/b/manifests/1", "/v2/a/b/manifests/2", "/v2/a/b/manifests/2"]
    assert waits == []


def test_a_proxy_may_want_tls_itself(monkeypatch, tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    outer, inner = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(outer)
    authority.issue_cert("registry.example").configure_cert(inner)
    content = random.Random(1).randbytes(300_000)
    blob = Descriptor("text/plain", digest_of(content), len(content))
    play = registry_play({("GET", f"/v2/a/blobs/{blob.digest}"): Reply(200, body=content)})
    with scripted(play, tls=inner) as registry, tls_proxy(outer, registry.host) as (port, tunnels):
        monkeypatch.setenv("HTTPS_PROXY", f"https://me:secret@localhost:{port}")
        with open_registries() as registries, registries.client("registry.example").open_blob("a", blob) as reader:
            assert read_all(reader) == content
    assert tunnels[0].startswith(b"CONNECT registry.example:443 HTTP/1.1\r\nHost: registry.example:443\r\n")
    assert b"Proxy-Authorization: Basic " + base64.b64encode(b"me:secret") in tunnels[0]


@contextmanager
def tls_proxy(context: ssl.SSLContext, to: str) -> Iterator[tuple[int, list[bytes]]]:
    """Serve one tunnel to a host, and keep what was said to open it."""
    tunnels: list[bytes] = []
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(30)

    def serve() -> None:
        host, _, port = to.partition(":")
        accepted, _ = listening.accept()
        with (
            context.wrap_socket(accepted, server_side=True) as client,
            socket.create_connection((host, int(port))) as server,
        ):
            tunnels.append(client.recv(65536))
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            while True:
                ready = [client] if client.pending() else select.select([client, server], [], [])[0]
                for side in ready:
                    data = side.recv(65536)
                    if not data:
                        return
                    (server if side is client else client).sendall(data)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listening.getsockname()[1], tunnels
    finally:
        thread.join()
        listening.close()


def test_connections_are_kept():
    with scripted(registry_play({})) as server, open_registries() as registries:
        client = registries.client(server.host)
        for _ in range(5):
            client.head_manifest("a/b", "1")
        assert server.connections == 2, "one tried TLS, one serves all requests"
