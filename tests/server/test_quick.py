"""The short way of manifests: it gives what the ordinary way gives, and gives way where it must."""

import os
import socket
import time
from contextlib import closing
from pathlib import Path

import pytest

from homeport.oci.manifest import RawManifest
from homeport.oci.media_types import OCI_INDEX
from homeport.server.app import Registry
from homeport.server.gate import Gate
from homeport.server.login import HtpasswdLogin
from homeport.store.filesystem import FileSystemStore
from tests.kit.servers import running_registry, write_htpasswd

MANIFEST = RawManifest.of(b'{"schemaVersion":2}', OCI_INDEX)
OTHER = RawManifest.of(b'{"schemaVersion":2}\n', OCI_INDEX)
NAME = b"7.2.4-64"


def settle(data: Path) -> None:
    """Make all files look old: what has just changed may change again within a tick of the clock, so it is read anew."""
    then = time.time() - 10
    for path in data.rglob("*"):
        os.utime(path, (then, then))


@pytest.fixture
def store(tmp_path, monkeypatch) -> FileSystemStore:
    monkeypatch.setattr("homeport.store.recent.SETTLED", 0)
    store = FileSystemStore(tmp_path / "data")
    store.put_manifest("a/b", MANIFEST, tags=[NAME.decode()])
    settle(tmp_path / "data" / "repositories")
    return store


def ask(registry: Registry, method: bytes = b"GET", identifier: bytes = NAME, **headers: str) -> bytes | None:
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    return registry.answer_now(method, b"/v2/a/b/manifests/" + identifier, pairs, None)


def test_what_was_read_once_is_at_hand(store):
    registry = Registry(store)
    assert ask(registry) is None
    store.get_manifest("a/b", NAME.decode())
    answer = ask(registry)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert body == MANIFEST.body
    assert ask(registry, b"HEAD") == head + b"\r\n\r\n"
    assert ask(registry, identifier=NAME + b"?ns=docker.io") == answer
    assert ask(registry, identifier=b"other") is None
    assert registry.answer_now(b"GET", b"/v2/", [], None) is None
    assert registry.answer_now(b"GET", b"/v2/../etc/manifests/x", [], None) is None


def test_a_tag_that_moved_or_went_is_read_anew(store):
    registry, again = Registry(store), FileSystemStore(store.layout.root)
    store.get_manifest("a/b", NAME.decode())
    again.put_manifest("a/b", OTHER, tags=[NAME.decode()])
    assert ask(registry) is None
    assert store.get_manifest("a/b", NAME.decode()) == OTHER
    again.delete_tag("a/b", NAME.decode())
    assert ask(registry) is None


def test_a_deleted_manifest_is_gone_also_while_its_tag_is_still_there(store):
    registry = Registry(store)
    store.get_manifest("a/b", NAME.decode())
    assert ask(registry)
    (store.layout.place("a/b") / "_manifests" / MANIFEST.digest.replace(":", "-")).unlink()
    assert ask(registry) is None


def test_what_has_just_changed_is_not_remembered(tmp_path):
    store = FileSystemStore(tmp_path / "data")
    store.put_manifest("a", MANIFEST, tags=["x"])
    store.get_manifest("a", "x")
    assert store.manifest_now("a", "x") is None


def test_only_who_was_seen_before_is_known(store, tmp_path):
    login = HtpasswdLogin(write_htpasswd(tmp_path / "htpasswd", {"me": "secret"}))
    registry = Registry(store, gate=Gate(login))
    store.get_manifest("a/b", NAME.decode())
    assert ask(registry) is None
    assert ask(registry, authorization="Basic bWU6c2VjcmV0") is None
    with running_registry(app_wrapper=lambda _: registry) as running:
        talk(running.host, b"authorization: Basic bWU6c2VjcmV0\r\n")
    assert ask(registry, authorization="Basic bWU6c2VjcmV0")
    assert ask(registry, authorization="Basic bWU6d3Jvbmc=") is None
    write_htpasswd(tmp_path / "htpasswd", {"you": "secret"})
    assert ask(registry, authorization="Basic bWU6c2VjcmV0") is None


def talk(host: str, *headers: bytes, times: int = 2) -> list[bytes]:
    address, _, port = host.partition(":")
    received = b""
    with closing(socket.create_connection((address, int(port)), timeout=30)) as connection:
        get = b"GET /v2/a/b/manifests/" + NAME + b" HTTP/1.1\r\nhost: x\r\n" + b"".join(headers)
        connection.sendall((get + b"\r\n") * (times - 1) + get + b"connection: close\r\n\r\n")
        while data := connection.recv(65536):
            received += data
    return received.split(b"HTTP/1.1 ")[1:]


def test_both_ways_give_the_same_answer(store):
    with running_registry(store=store) as registry:
        first, *rest = talk(registry.host, times=5)
        slow = rest.pop().replace(b"connection: close\r\n", b"")
        assert first == slow
        assert rest == [slow] * 3
        with_body = talk(registry.host, b"content-length: 0\r\n")
        assert with_body[0] == slow


def test_answers_keep_the_order_of_requests_sent_at_once(store):
    with running_registry(store=store) as registry:
        address, _, port = registry.host.partition(":")
        talk(registry.host)
        with closing(socket.create_connection((address, int(port)), timeout=30)) as connection:
            fast = b"GET /v2/a/b/manifests/" + NAME + b" HTTP/1.1\r\nhost: x\r\n"
            slow = b"GET /v2/a/b/tags/list HTTP/1.1\r\nhost: x\r\n\r\n"
            connection.sendall(fast + b"\r\n" + slow + fast + b"\r\n" + slow + fast + b"connection: close\r\n\r\n")
            received = b""
            while data := connection.recv(65536):
                received += data
    bodies = [part.partition(b"\r\n\r\n")[2] for part in received.split(b"HTTP/1.1 ")[1:]]
    tags = b'{"name":"a/b","tags":["7.2.4-64"]}'
    assert bodies == [MANIFEST.body, tags, MANIFEST.body, tags, MANIFEST.body]


def test_a_client_that_asks_and_asks_but_never_reads_is_made_to_wait(store):
    store.put_manifest(
        "a/b", RawManifest.of(b'{"x":"' + b"y" * 60_000 + b'"}', "application/vnd.x"), tags=[NAME.decode()]
    )
    with running_registry(store=store) as registry:
        address, _, port = registry.host.partition(":")
        talk(registry.host)
        with closing(socket.create_connection((address, int(port)), timeout=1)) as connection:
            get = b"GET /v2/a/b/manifests/" + NAME + b" HTTP/1.1\r\nhost: x\r\n\r\n"
            with pytest.raises(TimeoutError):
                connection.sendall(get * 1_000_000)
        assert talk(registry.host)[0].startswith(b"200")
