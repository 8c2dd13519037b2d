"""Owners, nodes and what was really pulled, on a real kube-apiserver."""

from collections.abc import Iterator

import pytest

from tests.kit.live_contract import LiveContract, build_owned
from tests.peers import kube
from tests.peers.kube import Kubernetes

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubernetes]:
    with kube.running(tmp_path_factory.mktemp("kube")) as kubernetes:
        build_owned(kubernetes)
        yield kubernetes


class TestKubernetes(LiveContract):
    pass
