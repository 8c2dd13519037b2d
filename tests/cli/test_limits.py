import json

import pytest
import yaml

from homeport.cli.app import run
from homeport.registry.credentials import Credential
from tests.kit import api_server
from tests.kit.clients import open_registries
from tests.kit.cluster_contract import made, pod_spec
from tests.kit.docker_hub import running_docker_hub
from tests.kit.images import image, layer, multi_arch, put
from tests.kit.servers import docker_config

USERS = {"me": "hunter2"}
INDEX = multi_arch("redis")


@pytest.fixture(autouse=True)
def nobody(monkeypatch, tmp_path):
    """No stored credentials of the machine."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def hub(monkeypatch):
    with running_docker_hub(limit=5, users=USERS) as running:
        with open_registries(Credential("me", "hunter2"), endpoints=[running.endpoint]) as registries:
            client = registries.client("docker.io")
            put(INDEX, client, "redislabs/redis", "7.2.4-64")
            put(image(layer("nginx")), client, "library/nginx", "1")
        monkeypatch.setenv("HOMEPORT_ENDPOINTS", running.endpoint)
        yield running


def test_the_quota_alone(hub, capsys):
    assert run(["limits"]) == 0
    assert capsys.readouterr().out == (
        "Docker Hub, anonymous, counted for 127.0.0.1: 5 of 5 pulls in any 6 hours are left.\n"
    )
    assert hub.counters["get"] == 0


def test_an_image_of_one_platform_counts_one_and_an_index_is_bounded(hub, capsys):
    run(["limits", "redislabs/redis:7.2.4-64", "nginx:1", "-o", "json"])
    report = json.loads(capsys.readouterr().out)
    redis, nginx = report["images"]
    assert redis["reference"] == "docker.io/redislabs/redis:7.2.4-64"
    assert redis["digest"] == INDEX.digest
    assert redis["limited"]
    true_cost = 1 + len(INDEX.children)
    assert redis["counted_pulls"]["low"] <= true_cost <= redis["counted_pulls"]["high"]
    assert nginx["counted_pulls"] == {"low": 1, "high": 1}
    assert (report["limit"], report["remaining"], report["window_hours"]) == (5, 5, 6)
    assert report["identity"] == "anonymous"
    assert hub.counters["get"] == 0


def test_what_fits_is_said(hub, capsys):
    assert run(["limits", "nginx:1"]) == 0
    assert "A first mirror counts 1 pull at Docker Hub: that fits now." in capsys.readouterr().out
    assert run(["limits", "nginx:1", "redislabs/redis:7.2.4-64"]) == 0
    assert "it may not fit now; all is through after" in capsys.readouterr().out


def test_what_does_not_fit_is_said_and_is_the_exit_code(monkeypatch, capsys):
    with running_docker_hub(limit=0, users=USERS) as hub:
        with open_registries(Credential("me", "hunter2"), endpoints=[hub.endpoint]) as registries:
            put(image(layer("nginx")), registries.client("docker.io"), "library/nginx", "1")
        assert run(["limits", "nginx:1", "--endpoint", hub.endpoint]) == 1
    assert "A first mirror counts 1 pull at Docker Hub: it does not fit now." in capsys.readouterr().out


def test_a_user_who_is_not_limited(hub, capsys, tmp_path, monkeypatch):
    (tmp_path / "docker").mkdir()
    docker_config(tmp_path / "docker", hub.host, "me", "hunter2")
    assert run(["limits"]) == 0
    assert "Docker Hub, user me, counted for me: 200 of 200 pulls" in capsys.readouterr().out
    with running_docker_hub(users=USERS, user_limit=None) as unlimited:
        docker_config(tmp_path / "docker", unlimited.host, "me", "hunter2")
        assert run(["limits", "--endpoint", unlimited.endpoint]) == 0
    assert capsys.readouterr().out == "Docker Hub does not limit pulls of user me.\n"


def test_what_is_not_there_is_named_and_the_rest_goes_on(hub, capsys):
    assert run(["limits", "nginx:2", "nginx:1", "-o", "yaml"]) == 1
    report = yaml.safe_load(capsys.readouterr().out)
    missing, there = report["images"]
    assert missing["error"] == "docker.io/library/nginx:2 is not there"
    assert there["counted_pulls"] == {"low": 1, "high": 1}
    assert report["counted_pulls"] == {"low": 1, "high": 1}


def test_a_wrong_password_is_an_error(hub, capsys, tmp_path):
    (tmp_path / "docker").mkdir()
    docker_config(tmp_path / "docker", hub.host, "me", "wrong")
    assert run(["limits"]) == 1
    assert "not allowed for user me" in capsys.readouterr().err


def test_a_name_that_is_none(capsys):
    assert run(["limits", "UPPER"]) == 2
    assert "'UPPER' is not an image name" in capsys.readouterr().err


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Two nodes, of which one holds nginx; three pods of it and one that has ended."""
    with api_server.running(tmp_path) as server:
        monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig()))
        for name, images in (("n1", [{"names": ["docker.io/library/nginx:1"]}]), ("n2", [{"names": ["r.io/pause:1"]}])):
            server.create(
                {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": {"images": images}}
            )
        for number, node in enumerate(("n1", "n1", "n2")):
            spec = pod_spec("nginx:1", nodeName=node)
            server.create(made("Pod", f"web-{number}", spec, api_version="v1", namespace="shop"))
        ended = {"phase": "Succeeded"}
        server.create(made("Pod", "job", pod_spec("busybox:1"), api_version="v1", namespace="shop", status=ended))
        yield server


def test_a_cluster_s_nodes_pull_what_they_lack_and_new_ones_all(hub, cluster, capsys):
    assert run(["limits", "--cluster"]) == 0
    assert capsys.readouterr().out.split("\n\n")[1] == (
        "cluster admin: 3 pods on 2 nodes\n"
        "if all start again on the nodes as they are:\n"
        "  REGISTRY   PULL POLICY   IMAGES  PULLS\n"
        "  docker.io  IfNotPresent  1       0\n"
        "if all start on new nodes:\n"
        "  REGISTRY   PULL POLICY   IMAGES  PULLS\n"
        "  docker.io  IfNotPresent  1       2\n"
        "  Docker Hub counts 2 to 4; 5 are left here; nodes with an address or a login of their own have limits of their own\n"
    )
    assert hub.counters["get"] == 0


def test_a_pod_on_a_node_that_lacks_its_image_may_pull_it_there_again(hub, cluster, capsys):
    spec = pod_spec("nginx:2")
    cluster.create(made("Pod", "new", spec, api_version="v1", namespace="shop"))
    assert run(["limits", "--cluster", "-n", "shop", "-o", "json"]) == 0
    (again,) = json.loads(capsys.readouterr().out)["cluster"]["again"]
    assert (again["images"], again["pulls"]) == (2, {"low": 1, "high": 1})


def test_nodes_that_may_not_be_listed_are_unknown(hub, cluster, monkeypatch, capsys):
    cluster.grant("reader", ["pods"], "shop")
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig("reader")))
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    assert run(["limits", "--cluster", "-n", "shop"]) == 0
    out = capsys.readouterr().out
    assert "unknown: no right to list nodes: what nodes hold is not known" in out
    assert "  docker.io  IfNotPresent  1       1 to 3\n" in out


NOBODY = ("--endpoint", "docker.io=http://127.0.0.1:1")
"""Where nothing listens."""


def test_the_cost_of_a_cluster_is_told_where_docker_hub_cannot_be_asked(cluster, capsys):
    assert run(["limits", "--cluster", *NOBODY]) == 1
    first, second = capsys.readouterr().out.split("\n\n")
    assert first.startswith("Docker Hub, anonymous: the limit is unknown: GET http://127.0.0.1:1/v2/")
    assert second.endswith(
        "  docker.io  IfNotPresent  1       2\n  Docker Hub counts 2 to 4; how many are left is unknown\n"
    )


def test_an_unknown_limit_is_not_taken_for_none(cluster, capsys):
    assert run(["limits", "nginx:1", "--cluster", "-o", "json", *NOBODY]) == 1
    report = json.loads(capsys.readouterr().out)
    assert "refused" in report["error"]
    assert report["hint"]
    assert (report["limit"], report["remaining"], report["fits"], report["wait_seconds"]) == (None, None, None, None)
    assert report["cluster"]["anew"][0]["counted"] == {"low": 2, "high": 4}
    assert run(["limits", "nginx:1", *NOBODY]) == 1
    assert "whether that fits is unknown." in capsys.readouterr().out


def test_a_limit_that_cannot_be_asked_for_is_an_error_where_nothing_else_is_wanted(capsys):
    assert run(["limits", *NOBODY]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "refused" in said.err


def test_a_cluster_s_cost_at_a_registry_that_does_not_limit(cluster, capsys):
    with running_docker_hub(limit=None) as hub:
        assert run(["limits", "--cluster", "--endpoint", hub.endpoint]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Docker Hub does not limit pulls of anonymous.\n")
    assert "Docker Hub counts" not in out
