import sys
from collections.abc import Iterator

import pytest

from homeport.applications.redis_enterprise import KNOWLEDGE
from homeport.cluster import scan_cluster
from homeport.errors import UsageError
from tests.kit import api_server
from tests.kit.api_server import StandIn
from tests.kit.cluster_contract import ClusterContract, build_world, made, places, pod_spec


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with api_server.running(tmp_path_factory.mktemp("cluster")) as server:
        build_world(server)
        yield server


class TestStandIn(ClusterContract):
    pass


@pytest.fixture
def empty(tmp_path, monkeypatch) -> Iterator[StandIn]:
    with api_server.running(tmp_path) as server:
        monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig()))
        yield server


def test_a_cluster_without_the_custom_resource_is_no_error(empty):
    assert scan_cluster(None, [], KNOWLEDGE).scan.errors == ()


def test_its_absence_does_not_read_as_a_missing_right(empty, monkeypatch):
    kinds = [
        "deployments.apps",
        "statefulsets.apps",
        "daemonsets.apps",
        "replicasets.apps",
        "jobs.batch",
        "cronjobs.batch",
    ]
    empty.grant("reader", ["pods", "replicationcontrollers", "podtemplates", *kinds])
    monkeypatch.setenv("KUBECONFIG", str(empty.kubeconfig("reader")))
    assert scan_cluster(None, [], KNOWLEDGE).scan.errors == ()


def test_the_older_version_of_the_custom_resource_is_read(empty):
    empty.define("app.redislabs.com", "RedisEnterpriseCluster", "v1alpha1")
    spec = {"redisEnterpriseImageSpec": {"repository": "redislabs/redis", "versionTag": "7.2.4-64"}}
    empty.create(made("RedisEnterpriseCluster", "rec", spec, api_version="app.redislabs.com/v1alpha1"))
    scan = scan_cluster(None, [], KNOWLEDGE).scan
    assert places(scan) == [("RedisEnterpriseCluster/redis/rec", "redislabs/redis:7.2.4-64")]


def test_a_list_older_than_the_server_remembers_goes_on(empty, monkeypatch):
    for number in range(3):
        empty.create(made("Pod", f"p{number}", pod_spec("busybox:1"), api_version="v1"))
    monkeypatch.setattr("homeport.cluster.api._PAGE", 1)
    empty.expire_lists()
    assert [found.object.name for found in scan_cluster(None, [], KNOWLEDGE).scan.findings] == ["p0", "p1", "p2"]


def test_each_kind_is_listed_once(empty):
    scan_cluster(None, [], KNOWLEDGE)
    assert len(empty.requests) == len(set(empty.requests)) == 12


def test_a_missing_package_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightkube", None)
    with pytest.raises(UsageError, match="needs one more package") as caught:
        scan_cluster(None, [], KNOWLEDGE)
    assert "homeport[kube]" in caught.value.hint
