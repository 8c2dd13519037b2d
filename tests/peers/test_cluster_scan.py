"""The scan of a cluster on a real kube-apiserver."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from homeport.applications.redis_enterprise import KNOWLEDGE
from homeport.cluster import scan_cluster
from tests.kit.cluster_contract import ClusterContract, build_world
from tests.peers import kube
from tests.peers.kube import Kubernetes

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubernetes]:
    with kube.running(tmp_path_factory.mktemp("kube")) as kubernetes:
        build_world(kubernetes)
        yield kubernetes


class TestKubernetes(ClusterContract):
    pass


def test_the_role_in_the_docs_suffices(cluster: Kubernetes, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[2] / "docs/clusters.md").read_text()
    role = yaml.safe_load(re.search(r"```yaml\n(.*?)```", text, re.DOTALL)[1])
    cluster.create(role)
    cluster.bind("role-of-the-docs", role["metadata"]["name"])
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig("role-of-the-docs")))
    assert scan_cluster(None, [], KNOWLEDGE).scan.errors == ()
    assert scan_cluster(None, ["redis"], KNOWLEDGE).scan.errors == ()
