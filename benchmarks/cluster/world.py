"""A cluster of simulated nodes whose pods run: a real API server, and kwok in place of all kubelets."""

import contextlib
import json
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from homeport.cluster.pull_secrets import make_pull_secret
from homeport.mapping import Target
from homeport.registry.credentials import Credential, OneCredential
from homeport.registry.session import Registries
from tests.kit.images import multi_arch, put
from tests.peers import kube
from tests.peers.kube import Kubernetes, peer, wait

USER, PASSWORD = "puller", "s3cret-word"
LOGIN = Credential(USER, PASSWORD)
_AT_ONCE = 8
_STAGE = """\
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata:
  name: pod-runs
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector:
    matchExpressions:
    - {key: .status.podIP, operator: DoesNotExist}
  next:
    statusTemplate: |
      {{ $now := Now }}
      phase: Running
      startTime: {{ $now | Quote }}
      hostIP: {{ NodeIPWith .spec.nodeName | Quote }}
      podIP: "10.1.2.3"
      conditions:
      {{ range (list "Initialized" "Ready" "ContainersReady" "PodScheduled") }}
      - {type: {{ . }}, status: "True", lastTransitionTime: {{ $now | Quote }}}
      {{ end }}
      containerStatuses:
      {{ range .spec.containers }}
      - name: {{ .name | Quote }}
        image: {{ .image | Quote }}
        imageID: "HOST/team@DIGEST"
        containerID: "containerd://0000000000000000000000000000000000000000000000000000000000000000"
        ready: true
        started: true
        restartCount: 0
        state: {running: {startedAt: {{ $now | Quote }}}}
        lastState: {}
      {{ end }}
"""


@dataclass(frozen=True)
class Size:
    """How large the cluster is; each workload is a Deployment with an image of its own."""

    nodes: int
    workloads: int
    pods_each: int
    namespaces: int = 20


@dataclass(frozen=True)
class World:
    """`lock` holds what the images' digests are; `secret` is a Docker configuration with the registry's login."""

    api: Kubernetes
    folder: Path
    target: str
    lock: Path

    def lists(self) -> int:
        """Return how many lists the API server has answered so far."""
        headers = {"Authorization": "Bearer admin"}
        text = httpx2.get(f"{self.api.server}/metrics", headers=headers, verify=False, timeout=60).text
        lines = [line for line in text.splitlines() if line.startswith("apiserver_request_total{")]
        return sum(int(float(line.rpartition(" ")[2])) for line in lines if 'verb="LIST"' in line)


@contextlib.contextmanager
def running(folder: Path, host: str, size: Size) -> Iterator[World]:
    """Run a cluster of a size, whose images are at a registry, until the block ends."""
    digest = _publish(host, size)
    (folder / "kube").mkdir()
    with kube.running(folder / "kube") as api, contextlib.ExitStack() as stack:
        stage = folder / "stage.yaml"
        stage.write_text(_STAGE.replace("HOST", host).replace("DIGEST", digest))
        command = [peer("kwok"), "--kubeconfig", api.kubeconfig(), "--manage-all-nodes", "--config", stage]
        log = stack.enter_context((folder / "kwok.log").open("wb"))
        kwok = stack.enter_context(subprocess.Popen(command, stdout=log, stderr=log))
        stack.callback(kwok.kill)
        _build(api, host, digest, size)
        wait(lambda: not _pending(api), f"not all pods run; see {folder}/kwok.log")
        lock = folder / "homeport.lock"
        lock.write_text(json.dumps({f"docker.io/{_image(number)}": digest for number in range(size.workloads)}))
        yield World(api, folder, host, lock)


def _publish(host: str, size: Size) -> str:
    """Put one image under as many names as there are workloads; return its digest."""
    content = multi_arch("app")
    with Registries(credentials=OneCredential(LOGIN)) as registries:
        client = registries.client(host)
        for number in range(size.workloads):
            repository, _, tag = _image(number).partition(":")
            if tag == "0":
                put(content, client, repository, tag)
            else:
                client.put_manifest(repository, tag, content.manifest)
    return content.digest


def _image(number: int) -> str:
    return f"team/app-{number // 10}:{number % 10}"


def _pending(api: Kubernetes) -> bool:
    found = api._client.get("/api/v1/pods?fieldSelector=status.phase%3DPending&limit=1")  # noqa: SLF001 - the test's own
    return bool(found.json()["items"])


def _build(api: Kubernetes, host: str, digest: str, size: Size) -> None:
    clients = threading.local()

    def post(path: str, value: dict[str, Any]) -> dict[str, Any]:
        if not hasattr(clients, "one"):
            clients.one = httpx2.Client(
                base_url=api.server,
                verify=False,
                timeout=60,
                headers={"Authorization": "Bearer admin"},
            )
        response = clients.one.post(path, json=value)
        assert response.status_code == 201, response.text
        made: dict[str, Any] = response.json()
        return made

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        _all(pool, lambda number: _namespace(post, number, host), range(size.namespaces))
        _all(pool, lambda number: _node(api, number, host, digest), range(size.nodes))
        _all(pool, lambda number: _workload(post, number, host, size), range(size.workloads))


def _all(pool: ThreadPoolExecutor, work: Callable[[int], None], numbers: Iterable[int]) -> None:
    for _ in pool.map(work, numbers):
        pass


def _namespace(post: Callable[..., Any], number: int, host: str) -> None:
    name = f"ns-{number}"
    post("/api/v1/namespaces", {"metadata": {"name": name}})
    post(f"/api/v1/namespaces/{name}/secrets", make_pull_secret("pull", name, Target.parse(host), LOGIN))
    account = {"metadata": {"name": "default"}, "imagePullSecrets": [{"name": "pull"}]}
    post(f"/api/v1/namespaces/{name}/serviceaccounts", account)


def _node(api: Kubernetes, number: int, host: str, digest: str) -> None:
    images = [
        {"names": [f"{host}/{_image(number * 7 + each)}", f"{host}/team/app@{digest}"], "sizeBytes": 1000}
        for each in range(50)
    ]
    blank = ("machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "kubeletVersion", "kubeProxyVersion")
    info = dict.fromkeys(blank, "") | {"operatingSystem": "linux", "architecture": ("amd64", "arm64")[number % 2]}
    info["containerRuntimeVersion"] = "containerd://2.2.0"
    status = {"images": images, "nodeInfo": info, "conditions": [{"type": "Ready", "status": "True"}]}
    api.create(
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"node-{number}"}, "spec": {}, "status": status}
    )


def _workload(post: Callable[..., Any], number: int, host: str, size: Size) -> None:
    namespace, name = f"ns-{number % size.namespaces}", f"web-{number}"
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": _pod_spec(f"{host}/{_image(number)}", number)}
    spec = {"replicas": size.pods_each, "selector": {"matchLabels": labels}, "template": template}
    root = f"/apis/apps/v1/namespaces/{namespace}"
    metadata = {"name": name, "annotations": {"meta.helm.sh/release-name": f"release-{number % 100}"}}
    deployment = post(f"{root}/deployments", {"metadata": metadata, "spec": spec})
    owner = _owner("Deployment", deployment)
    replicas = post(
        f"{root}/replicasets", {"metadata": {"name": f"{name}-7d9c", "ownerReferences": owner}, "spec": spec}
    )
    owner = _owner("ReplicaSet", replicas)
    for each in range(size.pods_each):
        node = f"node-{(number * size.pods_each + each) % size.nodes}"
        metadata = {"name": f"{name}-7d9c-{each}", "labels": labels, "ownerReferences": owner}
        post(
            f"/api/v1/namespaces/{namespace}/pods",
            {"metadata": metadata, "spec": {**template["spec"], "nodeName": node}},
        )


def _owner(kind: str, made: dict[str, Any]) -> list[dict[str, Any]]:
    metadata = made["metadata"]
    return [
        {"apiVersion": "apps/v1", "kind": kind, "name": metadata["name"], "uid": metadata["uid"], "controller": True}
    ]


def _pod_spec(image: str, number: int) -> dict[str, Any]:
    probe = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10}
    container = {
        "name": "main",
        "image": image,
        "args": ["--port=8080", "--level=info", f"--shard={number}"],
        "env": [{"name": f"SETTING_{each}", "value": f"value {each}"} for each in range(8)],
        "ports": [{"name": "http", "containerPort": 8080}],
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
        "readinessProbe": probe,
        "livenessProbe": probe,
        "volumeMounts": [{"name": "config", "mountPath": "/config"}],
    }
    return {"containers": [container], "volumes": [{"name": "config", "configMap": {"name": "config"}}]}


def kubeconfig_of(world: World) -> dict[str, str]:
    """Return the environment for commands that talk to the cluster and its registry."""
    return {"KUBECONFIG": str(world.api.kubeconfig()), "DOCKER_CONFIG": str(world.folder)}
