"""What those see who run the registry."""

import re

import pytest
import urllib3

from homeport.server.app import Registry
from homeport.server.metrics import Metrics
from homeport.store.filesystem import FileSystemStore
from tests.kit.servers import running_registry, serve_process
from tests.server.conftest import Client


@pytest.fixture
def registry(tmp_path):
    store = FileSystemStore(tmp_path / "data")
    app = Registry(store, metrics=Metrics(store.layout), layout=store.layout)
    with running_registry(store=store, app_wrapper=lambda _: app) as running:
        yield running


def test_the_probes_tell_that_it_lives_and_takes_pushes(registry, pool, monkeypatch):
    client = Client(registry.url, "a", pool)
    assert client.at("GET", "/healthz").body == b"ok\n"
    assert client.at("GET", "/readyz").status == 200
    monkeypatch.setattr("homeport.server.health.MIN_FREE_BYTES", 1 << 62)
    full = client.at("GET", "/readyz")
    assert (full.status, full.body) == (503, b"the disk is full\n")
    assert client.at("GET", "/healthz").status == 200


def value(text: str, name: str) -> float:
    return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)[1])


def test_requests_bytes_and_uploads_are_counted_without_names(registry, pool):
    client = Client(registry.url, "secret/name", pool)
    digest = client.push_blob(b"x" * 1000)
    client.call("GET", f"blobs/{digest}")
    client.call("POST", "blobs/uploads/")
    client.call("GET", "manifests/none")
    client.call("BREW", "tags/list")
    text = client.at("GET", "/metrics").body.decode()
    assert value(text, 'homeport_requests_total{endpoint="blob",method="GET",status="200"}') == 1
    assert value(text, 'homeport_requests_total{endpoint="manifest",method="GET",status="404"}') == 1
    assert value(text, 'homeport_bytes_total{direction="in"}') == 1000
    assert value(text, 'homeport_bytes_total{direction="out"}') >= 1000
    assert value(text, "homeport_uploads_open") == 1
    assert value(text, 'homeport_disk_bytes{state="free"}') > 0
    assert "secret" not in text
    assert "BREW" not in text


def test_workers_are_counted_together(tmp_path):
    with serve_process(tmp_path / "data", "--workers", "2") as server:
        for _ in range(20):
            with urllib3.PoolManager() as http:
                assert http.request("GET", f"{server.url}/v2/").status == 200
        with urllib3.PoolManager() as http:
            text = http.request("GET", f"{server.url}/metrics").data.decode()
    assert value(text, 'homeport_requests_total{endpoint="ping",method="GET",status="200"}') == 20
