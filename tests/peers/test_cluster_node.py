"""The cluster of the tests itself: pods start from the project's own registry, and from nowhere else."""

from collections.abc import Iterator

import pytest

from homeport.registry.session import Registries
from tests.kit.cluster_contract import made, pod_spec
from tests.kit.images import put
from tests.kit.servers import ServeProcess, serve_process
from tests.peers import kube_node
from tests.peers.kube_images import sleepers
from tests.peers.kube_node import Node

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeProcess]:
    with serve_process(tmp_path_factory.mktemp("registry")) as process:
        yield process


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, registry: ServeProcess) -> Iterator[Node]:
    with kube_node.running(tmp_path_factory.mktemp("kube"), registry.host) as node:
        yield node


def test_a_pod_starts_from_the_registry(node: Node, registry: ServeProcess) -> None:
    node.namespace("shop")
    with Registries() as registries:
        app = put(sleepers("web"), registries.client(registry.host), "shop/web", "1")
    node.api.create(made("Pod", "web", pod_spec(f"{registry.host}/shop/web:1"), api_version="v1", namespace="shop"))
    pod = ("get", "pod", "web", "-n", "shop", "-o")
    node.wait(lambda: node.kubectl(*pod, "jsonpath={.status.phase}") == "Running", "the pod does not start")
    image = node.kubectl(*pod, "jsonpath={.status.containerStatuses[0].imageID}")
    assert image == f"{registry.host}/shop/web@{app.digest}"


def test_docker_hub_cannot_be_reached(node: Node) -> None:
    node.api.create(made("Pod", "away", pod_spec("busybox:1"), api_version="v1", namespace="default"))
    reason = ("get", "pod", "away", "-o", "jsonpath={.status.containerStatuses[0].state.waiting.reason}")
    node.wait(lambda: node.kubectl(*reason) in ("ErrImagePull", "ImagePullBackOff"), "the pull did not fail")
