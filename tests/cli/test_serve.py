"""The real process: started, stopped, killed in the middle of an upload."""

import signal
import socket
import subprocess

import pytest
import urllib3

from homeport.oci.digest import digest_of
from homeport.oci.media_types import OCI_INDEX
from tests.kit.servers import HOMEPORT, serve_process, write_certificate, write_htpasswd

CONTENT = b"0123456789abcdef" * 400_000


def serve(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*HOMEPORT, "serve", *options], check=False, capture_output=True, text=True, timeout=60)


@pytest.fixture
def http():
    with urllib3.PoolManager(timeout=30, retries=False) as pool:
        yield pool


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_listens_and_stops_in_peace(tmp_path, http, number):
    with serve_process(tmp_path / "data") as server:
        assert server.url.startswith("http://127.0.0.1:")
        assert http.request("GET", f"{server.url}/v2/").status == 200
        assert server.stop(number) == 0
        assert server.lines == [f"listening on {server.url}\n"]


def test_requests_are_logged_where_that_is_asked_for(tmp_path, http):
    with serve_process(tmp_path / "data", "--access-log") as server:
        http.request("GET", f"{server.url}/v2/")
        server.stop()
        assert '"method":"GET","path":"/v2/","repository":"","status":200' in server.lines[1]


def test_it_serves_tls_with_a_login(tmp_path):
    ca_file, certificate, key = write_certificate(tmp_path)
    users = write_htpasswd(tmp_path / "htpasswd", {"me": "secret"})
    options = ("--tls-cert", str(certificate), "--tls-key", str(key), "--htpasswd", str(users))
    with serve_process(tmp_path / "data", *options) as server, urllib3.PoolManager(ca_certs=str(ca_file)) as http:
        assert server.url.startswith("https://127.0.0.1:")
        assert http.request("GET", f"{server.url}/v2/").status == 401
        headers = urllib3.make_headers(basic_auth="me:secret")
        assert http.request("GET", f"{server.url}/v2/", headers=headers).status == 200


def test_what_was_pushed_is_there_after_a_kill(tmp_path, http):
    digest = digest_of(CONTENT)
    with serve_process(tmp_path / "data") as server:
        blobs = f"{server.url}/v2/a/blobs"
        assert http.request("POST", f"{blobs}/uploads/?digest={digest}", body=CONTENT).status == 201
        manifest = f"{server.url}/v2/a/manifests/7.2.4-64"
        assert http.request("PUT", manifest, body=b"{}", headers={"content-type": OCI_INDEX}).status == 201
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    with serve_process(tmp_path / "data") as server:
        assert http.request("GET", f"{server.url}/v2/a/blobs/{digest}").data == CONTENT
        assert http.request("GET", f"{server.url}/v2/a/manifests/7.2.4-64").data == b"{}"


def test_an_upload_goes_on_after_a_kill_in_the_middle_of_a_chunk(tmp_path, http):
    digest = digest_of(CONTENT)
    with serve_process(tmp_path / "data") as server:
        location = http.request("POST", f"{server.url}/v2/a/blobs/uploads/").headers["location"]
        first = {"content-range": f"0-{999_999}"}
        assert http.request("PATCH", server.url + location, body=CONTENT[:1_000_000], headers=first).status == 202
        host, _, port = server.host.partition(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            head = f"PATCH {location} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(CONTENT)}\r\n\r\n"
            connection.sendall(head.encode() + CONTENT[1_000_000:4_000_000])
            while _received(http, server.url + location) < 3_000_000:
                pass
            server.stop(signal.SIGKILL)
    with serve_process(tmp_path / "data") as server:
        offset = _received(http, server.url + location)
        assert 3_000_000 <= offset <= 4_000_000
        assert http.request("HEAD", f"{server.url}/v2/a/blobs/{digest}").status == 404
        rest = CONTENT[offset:]
        headers = {"content-range": f"{offset}-{len(CONTENT) - 1}"}
        assert http.request("PATCH", server.url + location, body=rest, headers=headers).status == 202
        assert http.request("PUT", f"{server.url}{location}?digest={digest}").status == 201
        assert http.request("GET", f"{server.url}/v2/a/blobs/{digest}").data == CONTENT


def _received(http: urllib3.PoolManager, location: str) -> int:
    return int(http.request("GET", location).headers["range"].partition("-")[2]) + 1


def test_a_running_request_is_finished_before_it_stops(tmp_path, http):
    with serve_process(tmp_path / "data") as server:
        host, _, port = server.host.partition(":")
        digest = digest_of(b"12345")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            head = f"POST /v2/a/blobs/uploads/?digest={digest} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n"
            connection.sendall(f"{head}content-length: 5\r\n\r\n".encode())
            assert connection.recv(100).startswith(b"HTTP/1.1 100")
            server.process.terminate()
            while _accepts(host, int(port)):
                pass
            connection.sendall(b"12345")
            assert connection.recv(100).startswith(b"HTTP/1.1 201")
        assert server.stop() == 0


def _accepts(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=30).close()
    except ConnectionError:
        return False
    return True


def test_what_cannot_be_started_is_told_in_two_lines(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    (tmp_path / "weak").write_text("me:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n")
    new = str(tmp_path / "new")
    for options, said in (
        (("--data", str(tmp_path)), "holds something else"),
        (("--data", "/proc/none"), "cannot open /proc/none"),
        (("--data", new, "--listen", "nowhere"), "'nowhere' is not an address"),
        (("--data", new, "--tls-cert", "x"), "--tls-cert and --tls-key go together"),
        (("--data", new, "--tls-cert", "x", "--tls-key", "y"), "cannot use the certificate x with the key y"),
        (("--data", new, "--htpasswd", str(tmp_path / "weak")), "weak:1: this is not a user with a bcrypt hash"),
        ((), "--data"),
    ):
        result = serve(*options)
        assert result.returncode == 2, result.stderr
        assert said in result.stderr
        assert len(result.stderr.splitlines()) == 2, result.stderr
        assert result.stdout == ""


def test_an_open_door_is_pointed_out(tmp_path):
    users = write_htpasswd(tmp_path / "htpasswd", {"me": "secret"})
    for options, said in (((), "can push and delete"), (("--htpasswd", str(users)), "passwords cross the network")):
        with serve_process(tmp_path / "data", *options, listen="0.0.0.0:0") as server:
            assert said in server.lines[0]
