"""The policy of `homeport policy`, judged by a real API server."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from homeport.cli.app import run
from tests.kit.cluster_contract import made, pod_spec, template, workload
from tests.peers import kube
from tests.peers.kube import Kubernetes

pytestmark = pytest.mark.peers

OURS = "registry.example.com:5000/mirror/team/app:1"
Kubectl = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubernetes]:
    with kube.running(tmp_path_factory.mktemp("kube")) as kubernetes:
        for name in ("shop", "free"):
            kubernetes.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
            account = {"name": "default", "namespace": name}
            kubernetes.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
        yield kubernetes


@pytest.fixture
def kubectl(cluster: Kubernetes) -> Kubectl:
    def call(*arguments: str, text: str = "") -> tuple[int, str]:
        command = (kube.peer("kubectl"), "--kubeconfig", str(cluster.kubeconfig()), *arguments)
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    return call


@pytest.fixture
def enforce(kubectl: Kubectl, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., None]]:
    """Apply what the command prints, and wait until the API server has taken it up; at the end, until it has let it go."""

    def wait(done: Callable[[str], bool]) -> None:
        deadline = time.monotonic() + kube.START_SECONDS
        while not done(said := dry(kubectl, PROBE)[1]):
            assert time.monotonic() < deadline, said
            time.sleep(0.1)

    def call(*arguments: str, sign: str) -> None:
        assert run(["policy", "registry.example.com:5000/mirror", "--exempt", "free", *arguments]) == 0
        code, said = kubectl("apply", "-f", "-", text=capsys.readouterr().out)
        assert code == 0, said
        wait(lambda said: sign in said)

    yield call
    kubectl("delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", "homeport-images")
    wait(lambda said: "not from" not in said)


PROBE = made("Pod", "p", pod_spec("probe"), api_version="v1", namespace="shop")


def dry(kubectl: Kubectl, value: dict[str, Any]) -> tuple[int, str]:
    return kubectl("create", "--dry-run=server", "-f", "-", text=json.dumps(value))


CRON = {
    "schedule": "0 0 * * *",
    "jobTemplate": {"spec": {"template": template(OURS, "nginx:1", restartPolicy="Never")}},
}
VOLUME = [{"name": "data", "image": {"reference": "quay.io/team/data:1"}}]
STRANGERS = {
    "container": (made("Pod", "p", pod_spec(OURS, "nginx:1"), api_version="v1", namespace="shop"), "nginx:1"),
    "init container": (
        made(
            "Pod",
            "p",
            pod_spec(OURS, initContainers=[{"name": "i", "image": "docker.io/a/b:1"}]),
            api_version="v1",
            namespace="shop",
        ),
        "docker.io/a/b:1",
    ),
    "image volume": (
        made("Pod", "p", pod_spec(OURS, volumes=VOLUME), api_version="v1", namespace="shop"),
        "quay.io/team/data:1",
    ),
    "another path": (
        made("Pod", "p", pod_spec("registry.example.com:5000/mirrored/a:1"), api_version="v1", namespace="shop"),
        "registry.example.com:5000/mirrored/a:1",
    ),
    "Deployment": (made("Deployment", "d", workload("nginx:1"), namespace="shop"), "nginx:1"),
    "CronJob": (made("CronJob", "c", CRON, api_version="batch/v1", namespace="shop"), "nginx:1"),
}


def test_images_from_elsewhere_are_refused_by_name(kubectl: Kubectl, enforce: Callable[..., None]) -> None:
    enforce(sign="these images are not from registry.example.com:5000/mirror: probe")
    for what, (value, image) in STRANGERS.items():
        code, said = dry(kubectl, value)
        assert code == 1, what
        assert said.strip().endswith(f"these images are not from registry.example.com:5000/mirror: {image}"), (
            what,
            said,
        )


def test_our_own_images_and_exempt_namespaces_pass(kubectl: Kubectl, enforce: Callable[..., None]) -> None:
    enforce(sign="these images are not from")
    spec = pod_spec(OURS, initContainers=[{"name": "i", "image": OURS}])
    assert dry(kubectl, made("Pod", "p", spec, api_version="v1", namespace="shop"))[0] == 0
    assert dry(kubectl, made("Pod", "p", pod_spec("nginx:1"), api_version="v1", namespace="free"))[0] == 0


def test_ephemeral_containers_are_judged(cluster: Kubernetes, kubectl: Kubectl, enforce: Callable[..., None]) -> None:
    enforce(sign="these images are not from")
    cluster.create(made("Pod", "debugged", pod_spec(OURS), api_version="v1", namespace="shop"))
    _, said = kubectl("debug", "debugged", "-n", "shop", "--image=busybox:1")
    assert "these images are not from registry.example.com:5000/mirror: busybox:1" in said


def test_a_warning_lets_pass(kubectl: Kubectl, enforce: Callable[..., None]) -> None:
    enforce("--action", "warn", sign="Warning")
    code, said = dry(kubectl, STRANGERS["container"][0])
    assert (code, "nginx:1" in said) == (0, True)


def test_what_was_there_before_can_be_labelled_but_not_moved_elsewhere(
    cluster: Kubernetes, kubectl: Kubectl, enforce: Callable[..., None]
) -> None:
    cluster.create(made("Pod", "old", pod_spec("nginx:1"), api_version="v1", namespace="shop"))
    enforce(sign="these images are not from")
    assert kubectl("label", "pod", "old", "-n", "shop", "seen=yes")[0] == 0
    code, said = kubectl("set", "image", "pod/old", "-n", "shop", "c0=nginx:2")
    assert code == 1
    assert said.strip().endswith("these images are not from registry.example.com:5000/mirror: nginx:2")
