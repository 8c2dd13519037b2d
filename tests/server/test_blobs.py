import email.policy
import hashlib
import os
import socket
import threading

import pytest
import urllib3

from tests.kit.servers import running_registry
from tests.server.conftest import digest_of

CONTENT = bytes(range(256)) * 8
ABSENT = "sha256:" + "0" * 64


def test_the_ping_says_which_protocol_this_is(client):
    for path in ("/v2/", "/v2"):
        answer = client.at("GET", path)
        assert answer.status == 200
        assert answer.headers["docker-distribution-api-version"] == "registry/2.0"
    assert client.at("HEAD", "/v2/").status == 200


def test_a_blob_is_served_with_its_length_and_digest(client):
    digest = client.push_blob(CONTENT)
    for method, body in (("GET", CONTENT), ("HEAD", b"")):
        answer = client.call(method, f"blobs/{digest}")
        assert (answer.status, answer.body) == (200, body)
        assert answer.headers["content-length"] == str(len(CONTENT))
        assert answer.headers["docker-content-digest"] == digest
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["accept-ranges"] == "bytes"
        assert "content-encoding" not in answer.headers


def test_an_empty_blob_is_a_blob(client):
    digest = client.push_blob(b"")
    assert client.call("GET", f"blobs/{digest}").body == b""
    assert client.call("HEAD", f"blobs/{digest}").headers["content-length"] == "0"


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [("0-0", 0, 1), ("500-1499", 500, 1500), ("500-", 500, 2048), ("-500", 1548, 2048), ("2000-5000", 2000, 2048)],
)
def test_a_part_of_a_blob_is_served(client, asked, start, stop):
    digest = client.push_blob(CONTENT)
    answer = client.call("GET", f"blobs/{digest}", range=f"bytes={asked}")
    assert (answer.status, answer.body) == (206, CONTENT[start:stop])
    assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/2048"
    assert answer.headers["content-length"] == str(stop - start)


@pytest.mark.parametrize("asked", ["500-0", "2048-", "5000-10000"])
def test_a_part_that_is_not_there_is_refused_with_the_size(client, asked):
    digest = client.push_blob(CONTENT)
    answer = client.call("GET", f"blobs/{digest}", range=f"bytes={asked}")
    assert answer.status == 416
    assert answer.headers["content-range"] == "bytes */2048"


def test_several_parts_at_once_are_served_in_their_order(client):
    digest = client.push_blob(CONTENT)
    answer = client.call("GET", f"blobs/{digest}", range="bytes=5-6,0-1,-3")
    assert answer.status == 206
    assert answer.headers["content-length"] == str(len(answer.body))
    head = f"content-type: {answer.headers['content-type']}\r\n\r\n".encode()
    parts = email.message_from_bytes(head + answer.body, policy=email.policy.HTTP).get_payload()
    assert [part["content-range"] for part in parts] == ["bytes 5-6/2048", "bytes 0-1/2048", "bytes 2045-2047/2048"]
    assert [part.get_payload(decode=True) for part in parts] == [CONTENT[5:7], CONTENT[0:2], CONTENT[-3:]]


def test_parts_that_are_more_than_the_whole_are_answered_with_the_whole(client):
    digest = client.push_blob(CONTENT)
    answer = client.call("GET", f"blobs/{digest}", range="bytes=" + ",".join(["0-"] * 1000))
    assert (answer.status, answer.body) == (200, CONTENT)


def test_a_blob_that_is_not_there_is_unknown(client):
    answer = client.call("GET", f"blobs/{ABSENT}")
    assert (answer.status, answer.codes) == (404, ["BLOB_UNKNOWN"])
    assert client.call("HEAD", f"blobs/{ABSENT}").status == 404
    assert client.call("DELETE", f"blobs/{ABSENT}").status == 404


def test_a_blob_of_another_repository_is_not_seen(client):
    digest = client.push_blob(b"secret layer")
    assert client.at("GET", f"/v2/other/blobs/{digest}").status == 404
    assert client.at("GET", f"/v2/{client.repository}/below/blobs/{digest}").status == 404


def test_a_deleted_blob_is_gone_at_once(client):
    digest = client.push_blob(b"to be deleted")
    assert client.call("DELETE", f"blobs/{digest}").status == 202
    assert client.call("HEAD", f"blobs/{digest}").status == 404


def test_paths_that_climb_out_are_refused(client, registry):
    for path in ("/v2/../../etc/blobs/x", "/v2/%2e%2e/%2e%2e/manifests/passwd", "/v2/a%2f..%2fb/tags/list"):
        host, _, port = registry.host.partition(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
            assert connection.recv(4096).split()[1] in (b"400", b"404")


def test_a_large_blob_passes_through_in_pieces_while_others_are_served(client, registry):
    piece = os.urandom(1 << 20)
    hasher = hashlib.sha256()
    for _ in range(64):
        hasher.update(piece)
    digest = f"sha256:{hasher.hexdigest()}"
    upload = client.call("POST", "blobs/uploads/").headers["location"]
    assert client.at("PUT", f"{upload}?digest={digest}", (piece for _ in range(64))).status == 201
    with urllib3.PoolManager() as http:
        stalled = http.request("GET", f"{registry.url}/v2/{client.repository}/blobs/{digest}", preload_content=False)
        assert client.at("GET", "/v2/").status == 200
        received = hashlib.sha256()
        while chunk := stalled.read(1 << 20):
            received.update(chunk)
        assert received.hexdigest() == hasher.hexdigest()


@pytest.mark.parametrize("tls", [False, True])
def test_many_clients_at_once_get_what_they_pushed(tmp_path, tls):
    failures: list[BaseException] = []

    def work(url: str, ca_file: str | None, number: int) -> None:
        try:
            content = bytes([number]) * (number * 300_000)
            digest = digest_of(content)
            with urllib3.PoolManager(ca_certs=ca_file) as http:
                path = f"{url}/v2/many/blobs"
                assert http.request("POST", f"{path}/uploads/?digest={digest}", body=content).status == 201
                for _ in range(3):
                    assert http.request("GET", f"{path}/{digest}").data == content
        except BaseException as error:  # noqa: BLE001 - told below
            failures.append(error)

    with running_registry(tmp_path / "data", tls=tls) as registry:
        ca_file = str(registry.ca_file) if tls else None
        threads = [threading.Thread(target=work, args=(registry.url, ca_file, number)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failures


def test_a_blob_that_is_asked_for_often_is_answered_alike(client):
    content = bytes(range(256)) * 1000
    digest = client.push_blob(content)
    first, *more = (client.call("GET", f"blobs/{digest}") for _ in range(4))
    for answer in more:
        assert (answer.status, answer.body, answer.headers["content-length"]) == (200, content, str(len(content)))
        assert set(answer.headers) == set(first.headers)
    assert client.call("HEAD", f"blobs/{digest}").headers["content-length"] == str(len(content))
    part = client.call("GET", f"blobs/{digest}", range="bytes=5-9")
    assert (part.status, part.body) == (206, content[5:10])
    assert client.call("DELETE", f"blobs/{digest}").status == 202
    assert client.call("GET", f"blobs/{digest}").status == 404
