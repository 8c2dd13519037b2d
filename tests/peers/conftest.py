"""What the tests of a session share: clusters, which start once, and the registry's two doors.

Tests that need a cluster carry the marker `cluster`, and those of one cluster run in one process; each has namespaces of its own.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from homeport.cluster.api import Api
from tests.peers import kube, kube_operator, kube_site
from tests.peers.door import KINDS, Door, opened
from tests.peers.kube import Kubernetes
from tests.peers.kube_bench import Bench, as_user
from tests.peers.kube_site import Site


@pytest.fixture(params=KINDS)
def door(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Door]:
    with opened(request.param, tmp_path) as door:
        yield door


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A node with containerd 1, a stand-in for Docker Hub, and a private registry with TLS and login."""
    with kube_site.running(tmp_path_factory.mktemp("site")) as site:
        kube_operator.define(site.node.api)
        yield site


@pytest.fixture(scope="session")
def newer_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The same with containerd 2."""
    with kube_site.running(tmp_path_factory.mktemp("newer-site"), "containerd 2") as site:
        kube_operator.define(site.node.api)
        yield site


@pytest.fixture(scope="session")
def plain_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubernetes]:
    """An API server without nodes."""
    with kube.running(tmp_path_factory.mktemp("kube")) as kubernetes:
        kubernetes.define("app.redislabs.com", "RedisEnterpriseCluster", "v1")
        yield kubernetes


@pytest.fixture
def bench(plain_cluster: Kubernetes, request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    """A namespace on it, named after the test."""
    name = re.sub("[^a-z]+", "-", request.node.name.removeprefix("test_"))[:60].strip("-")
    return Bench(plain_cluster, name, tmp_path)


@pytest.fixture
def api(plain_cluster: Kubernetes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """What the code under test talks through, as admin."""
    with as_user(plain_cluster, "admin", monkeypatch) as api:
        yield api


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need a cluster, before they are chosen by their marks."""
    for item in items:
        if item.path.name.startswith("test_cluster_"):
            item.add_marker("cluster")
