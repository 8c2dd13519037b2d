"""`homeport verify --cluster` on the stand-in: how much is asked, and what the report says of nodes and events."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from homeport.cli.app import run
from homeport.registry.session import Registries
from tests.kit import api_server
from tests.kit.api_server import StandIn
from tests.kit.cluster_contract import made, pod_spec, workload
from tests.kit.images import multi_arch, put
from tests.kit.servers import running_registry
from tests.kit.tally import Tally

APP = multi_arch("app")


@pytest.fixture
def tally() -> Tally:
    return Tally()


@pytest.fixture
def image(tally: Tally) -> Iterator[str]:
    with running_registry(app_wrapper=tally.wrap) as server, Registries() as registries:
        put(APP, registries.client(server.host), "team/app", "1")
        tally.requests.clear()
        yield f"{server.host}/team/app:1"


@pytest.fixture
def cluster(image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """A Deployment's pods on two nodes of different architectures; of one pod's pull an event is kept."""
    with api_server.running(tmp_path) as server:
        monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig()))
        for name, architecture in (("n1", "amd64"), ("n2", "arm64")):
            info = {"operatingSystem": "linux", "architecture": architecture}
            status = {"nodeInfo": info, "addresses": [{"type": "InternalIP", "address": f"10.0.0.{name[1]}"}]}
            node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": status}
            server.create(node)
        server.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
        account = {"name": "default", "namespace": "shop"}
        server.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
        web = server.create(made("Deployment", "web", workload(image), namespace="shop"))
        replicas = server.create(made("ReplicaSet", "web-1", workload(image), owner=web, namespace="shop"))
        for number in range(12):
            status = {"name": "c0", "imageID": f"x@{APP.children[number % 2].digest}", "state": {"running": {}}}
            spec = pod_spec(image, nodeName=f"n{number % 2 + 1}")
            pod = made("Pod", f"web-{number}", spec, api_version="v1", namespace="shop", owner=replicas,
                       status={"phase": "Running", "containerStatuses": [status]})  # fmt: skip
            kept = server.create(pod)
        about = {"uid": kept["metadata"]["uid"], "fieldPath": "spec.containers{c0}"}
        event = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "shop"}}
        message = f'Successfully pulled image "{image}" in 1s (1s including waiting). Image size: 5 bytes.'
        server.create({**event, "reason": "Pulled", "involvedObject": about, "message": message})
        yield server


def verify(image: str, tmp_path: Path, *more: str) -> list[str]:
    lock = tmp_path / "homeport.lock"
    lock.write_text(json.dumps({"docker.io/team/app:1": APP.digest}))
    return ["verify", "--registry", image.partition("/")[0], "--cluster", "--lock", str(lock), *more]


def test_each_image_is_asked_for_once_however_many_pods_run_it(
    image: str, cluster: StandIn, tally: Tally, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(verify(image, tmp_path)) == 0, capsys.readouterr().err
    # The tag, the index once, and a part for each architecture.
    assert {kind: number for kind, number in tally.kinds().items() if "manifests" in kind} == {
        "HEAD manifests": 3,
        "GET manifests": 1,
    }
    lists = [path for path in cluster.requests if "?limit=" in path]
    assert len(lists) == len(set(lists))


def test_the_report_says_what_events_prove_and_what_is_unknown(
    image: str, cluster: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(verify(image, tmp_path, "-o", "json")) == 0
    witnessed = json.loads(capsys.readouterr().out)["cluster"]
    assert witnessed["origins"] == [{"image": image, "pulled": 1, "present": 0, "silent": 11, "nodes": ["n2"]}]
    assert any("the images of 11 containers came" in sentence for sentence in witnessed["unknown"])


def test_rights_to_nodes_and_events_are_not_needed(
    image: str, cluster: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    apps = [
        "deployments.apps",
        "statefulsets.apps",
        "daemonsets.apps",
        "replicasets.apps",
        "jobs.batch",
        "cronjobs.batch",
    ]
    cluster.grant("reader", ["pods", "replicationcontrollers", "podtemplates", "serviceaccounts", *apps])
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig("reader")))
    assert run(verify(image, tmp_path)) == 0
    err = capsys.readouterr().err
    assert "unknown: no right to list nodes: what nodes hold is not known" in err
    assert "unknown: no right to list events in all namespaces: from where nodes pulled is not known" in err
    assert "1 image: 1 proven" in err


def test_a_log_from_stdin_changes_no_verdict_and_lists_what_it_does_not_show(
    image: str, cluster: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = {"event": "request", "method": "GET", "status": 200, "path": "/v2/team/app/manifests/1", "client": "10.0.0.1",
            "agent": "cri-o/1.34.0", "digest": APP.digest, "timestamp": "2026-11-23T09:00:00Z"}  # fmt: skip
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps(line).encode())))
    assert run(verify(image, tmp_path, "--access-log", "-")) == 0
    err = capsys.readouterr().err
    assert f"{image}  n1    6           fetched by its node    2026-11-23T09:00:00Z  10.0.0.1 cri-o/1.34.0\n" in err
    assert f"{image}  n2    6           not shown" in err
    assert "not shown by the log: no runtime fetched its manifest before it started" in err
    assert "    Pod/shop/web-1 container c0\n" in err
    assert "the log: 1 line, 1 request for manifests, 2026-11-23T09:00:00Z to 2026-11-23T09:00:00Z\n" in err
    assert "the images of 5 containers came" in err
    assert "1 image: 1 proven" in err


@pytest.mark.parametrize(
    ("content", "complaint"), [(None, "No such file or directory"), (b"\x1f\x8b\x08", "it is packed by gzip")]
)
def test_what_is_no_log_is_refused_before_anything_is_asked(
    content: bytes | None,
    complaint: str,
    image: str,
    cluster: StandIn,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = tmp_path / "access.log"
    if content:
        log.write_bytes(content)
    cluster.requests.clear()
    assert run(verify(image, tmp_path, "--access-log", str(log))) == 2
    assert complaint in capsys.readouterr().err
    assert cluster.requests == []


def test_a_log_belongs_to_a_cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "--registry", "r.io", "--access-log", "-", str(tmp_path)]) == 2
    assert "--access-log belongs to --cluster" in capsys.readouterr().err
