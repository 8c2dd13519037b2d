import io
import json
import socket

import pytest
import structlog
import urllib3

from homeport.errors import ContentError
from homeport.registry.session import Registries
from homeport.server.app import Registry
from homeport.server.gate import Gate
from homeport.server.log import log_to_stderr
from homeport.server.login import HtpasswdLogin
from homeport.server.metrics import Metrics
from homeport.store.memory import MemoryStore
from tests.kit.images import image, layer, put
from tests.kit.servers import running_registry, write_htpasswd


@pytest.fixture
def log(monkeypatch) -> io.StringIO:
    """What the log writes to stderr."""
    stderr = io.StringIO()
    monkeypatch.setattr("sys.stderr", stderr)
    log_to_stderr()
    yield stderr
    structlog.reset_defaults()


def test_a_request_is_one_line_without_credentials(log, tmp_path):
    login = HtpasswdLogin(write_htpasswd(tmp_path / "htpasswd", {"me": "hunter2"}))

    def with_log(_app):
        return Registry(MemoryStore(), gate=Gate(login), access_log=True)

    headers = urllib3.make_headers(basic_auth="me:hunter2")
    with running_registry(app_wrapper=with_log) as registry, urllib3.PoolManager() as http:
        http.request("GET", f"{registry.url}/v2/a/tags/list?n=1", headers=headers)
        http.request("GET", f"{registry.url}/v2/")
    first, second = log.getvalue().splitlines()
    fields = json.loads(first)
    assert {"level": "info", "event": "request", "method": "GET", "path": "/v2/a/tags/list"}.items() <= fields.items()
    assert {"repository": "a", "status": 404, "client": "127.0.0.1", "user": "me"}.items() <= fields.items()
    assert fields["bytes"] > 0
    assert len(fields["id"]) == 16
    refused = json.loads(second)
    assert (refused["path"], refused["status"], refused["user"]) == ("/v2/", 401, "-")
    assert "hunter2" not in log.getvalue()
    assert headers["authorization"].split()[1] not in log.getvalue()


class Slow(MemoryStore):
    def manifest_now(self, repository, identifier):
        return None


@pytest.mark.parametrize("store", [Slow, MemoryStore], ids=["read from the store", "answered at once"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_who_fetched_which_manifest_is_in_the_line(log, method, store):
    app, kept = image(layer("app")), store()
    with (
        running_registry(app_wrapper=lambda _: Registry(kept, access_log=True)) as registry,
        Registries() as registries,
        urllib3.PoolManager() as http,
    ):
        put(app, registries.client(registry.host), "team/app", "1")
        agent = "containerd/v2.4.2 " + "x" * 500
        http.request(method, f"{registry.url}/v2/team/app/manifests/1", headers={"user-agent": agent})
    fields = json.loads(log.getvalue().splitlines()[-1])
    assert (fields["method"], fields["digest"], fields["agent"]) == (method, app.digest, agent[:256])


def test_nothing_is_logged_unless_asked_for(log):
    with running_registry() as registry, urllib3.PoolManager() as http:
        assert http.request("GET", f"{registry.url}/v2/a/tags/list").status == 404
    assert log.getvalue() == ""


def test_a_path_cannot_write_lines_of_its_own(log):
    def with_log(_app):
        return Registry(MemoryStore(), access_log=True)

    with running_registry(app_wrapper=with_log) as registry, urllib3.PoolManager() as http:
        http.request("GET", f"{registry.url}/v2/a%0alevel=error/tags/list")
    assert len(log.getvalue().splitlines()) == 1


@pytest.mark.parametrize("fault", [RuntimeError("a secret"), ContentError("manifest x of a was spoilt on the disk")])
def test_a_fault_of_the_server_is_logged_and_answered(log, fault):
    class Faulty(MemoryStore):
        def get_manifest(self, repository, identifier):
            raise fault

    with running_registry(store=Faulty()) as registry, urllib3.PoolManager() as http:
        answer = http.request("GET", f"{registry.url}/v2/a/manifests/x")
    assert answer.status == 500
    assert answer.json()["errors"][0]["code"] == "UNKNOWN"
    assert str(fault) in log.getvalue()
    assert b"secret" not in answer.data


def test_a_blob_that_ends_too_early_is_not_passed_off_as_whole():
    class Truncated(MemoryStore):
        def open_blob(self, repository, digest):
            blob = super().open_blob(repository, digest)
            blob.size += 10
            return blob

    store = Truncated()
    upload = store.open_upload("a", store.start_upload("a"))
    upload.write(b"x")
    digest = "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    upload.commit(digest)
    with (
        running_registry(store=store) as registry,
        urllib3.PoolManager(retries=False) as http,
        pytest.raises(urllib3.exceptions.ProtocolError),
    ):
        http.request("GET", f"{registry.url}/v2/a/blobs/{digest}")


def test_a_length_of_many_digits_is_no_fault(caplog):
    zeros = b"0" * 5000
    with (
        running_registry(app_wrapper=lambda _: Registry(MemoryStore(), metrics=Metrics())) as registry,
        socket.create_connection(registry.host.split(":")) as connection,
    ):
        connection.sendall(
            b"GET /v2/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: " + zeros + b"\r\n\r\n"
        )
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    assert caplog.records == []
