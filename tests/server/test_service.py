"""The real process over time: it collects, and it stops without cutting anybody off."""

import os
import signal
import socket
import ssl
import time
from contextlib import closing

import pytest
import urllib3

from homeport.oci.digest import digest_of
from homeport.oci.media_types import OCI_INDEX
from homeport.store.filesystem import FileSystemStore
from tests.kit.servers import ServeProcess, serve_process, write_certificate

LONG_AGO = 3 * 24 * 3600
LARGE = bytes(16 << 20)


def push(url: str, content: bytes) -> str:
    digest = digest_of(content)
    answer = urllib3.request("POST", f"{url}/v2/a/blobs/uploads/?digest={digest}", body=content)
    assert answer.status == 201
    return digest


def until_said(server: ServeProcess, text: str) -> str:
    deadline = time.monotonic() + 60
    while not (said := [line for line in server.lines if text in line]):
        assert server.process.poll() is None
        assert time.monotonic() < deadline, server.lines
        time.sleep(0.02)
    return said[-1]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_it_collects_by_itself_as_its_configuration_says(tmp_path, workers):
    data = tmp_path / "data"
    with serve_process(data) as server:
        orphan = push(server.url, b"nothing names this")
        named = push(server.url, b"this is named")
        body = b'{"schemaVersion":2,"manifests":[],"annotations":{"see":"%s"}}' % named.encode()
        untagged = body + b"\n"
        for place, sent in (
            ("a/manifests/x", body),
            *((f"{it}/manifests/{digest_of(untagged)}", untagged) for it in "ab"),
        ):
            put = f"{server.url}/v2/{place}"
            assert urllib3.request("PUT", put, body=sent, headers={"content-type": OCI_INDEX}).status == 201
    for path in data.rglob("*"):
        os.utime(path, (time.time() - LONG_AGO,) * 2)
    config = tmp_path / "registry.yaml"
    config.write_text('collection: {every: 1s, grace: 1d, untagged: ["b"]}\n')
    with serve_process(data, "--config", str(config), "--workers", workers) as server:
        said = until_said(server, "collection: ")
        assert said == "note: collection: 1 manifests, 1 holds, 1 blobs, 18 bytes\n"

        def status(what: str) -> int:
            return urllib3.request("HEAD", f"{server.url}/v2/{what}").status

        assert status(f"a/blobs/{orphan}") == 404
        assert status(f"a/blobs/{named}") == status("a/manifests/x") == 200
        assert status(f"a/manifests/{digest_of(untagged)}") == 200
        assert status(f"b/manifests/{digest_of(untagged)}") == 404
        assert server.stop() == 0


def test_a_collection_that_cannot_be_is_told_and_service_goes_on(tmp_path):
    config = tmp_path / "registry.yaml"
    config.write_text("collection: {every: 1s, grace: 1m}\n")
    with serve_process(tmp_path / "data", "--config", str(config)) as server:
        assert "a grace of 60 s is too short" in until_said(server, "collection failed")
        assert urllib3.request("GET", f"{server.url}/v2/").status == 200


@pytest.mark.parametrize("options", [(), ("--workers", "2"), ("tls",)], ids=["plain", "workers", "tls"])
def test_a_transfer_is_ended_before_it_stops(tmp_path, options):
    """One that is slow: most of it waits in neither side's socket when the signal comes."""
    context = ssl.create_default_context()
    store, digest = FileSystemStore(tmp_path / "data"), digest_of(LARGE)
    upload = store.open_upload("a", store.start_upload("a"))
    assert upload
    upload.write(LARGE)
    upload.commit(digest)
    if options == ("tls",):
        ca_file, certificate, key = write_certificate(tmp_path)
        context.load_verify_locations(ca_file)
        options = ("--tls-cert", str(certificate), "--tls-key", str(key))
    with serve_process(tmp_path / "data", *options) as server:
        host, _, port = server.host.partition(":")
        with closing(socket.create_connection((host, int(port)), timeout=30)) as plain:
            connection = context.wrap_socket(plain, server_hostname=host) if "--tls-key" in options else plain
            with closing(connection):
                connection.sendall(f"GET /v2/a/blobs/{digest} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
                received = bytearray(connection.recv(1000))
                head, _, _ = received.partition(b"\r\n\r\n")
                server.process.send_signal(signal.SIGTERM)
                _wait_until_refused(host, int(port))
                while len(received) < len(head) + 4 + len(LARGE):
                    data = connection.recv(1 << 20)
                    assert data, f"cut off after {len(received)} bytes"
                    received += data
                assert received.endswith(bytes(1000))
        assert server.process.wait(60) == 0


def _wait_until_refused(host: str, port: int) -> None:
    while True:
        try:
            socket.create_connection((host, port), timeout=30).close()
        except ConnectionError:
            return
