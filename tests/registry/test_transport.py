"""Proxies, and what a slow or silent peer does to an exchange."""

import base64
import threading

import pytest

from homeport.errors import BlockedAddressError, UnreachableError
from homeport.registry.addresses import Reach
from homeport.registry.settings import Settings
from homeport.registry.transport import PooledTransport, Request, proxy_for
from homeport.registry.trust import Trust
from tests.kit.clients import open_registries
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


def test_connections_are_kept():
    with scripted(registry_play({})) as server, open_registries() as registries:
        client = registries.client(server.host)
        for _ in range(5):
            client.head_manifest("a/b", "1")
        assert server.connections == 2, "one tried TLS, one serves all requests"
