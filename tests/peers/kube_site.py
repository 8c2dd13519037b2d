"""A cluster that runs from a stand-in for Docker Hub, with a private registry beside it and a homeport.yaml between them."""

import base64
import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from homeport.registry.credentials import Credential, OneCredential
from homeport.registry.session import Registries
from homeport.registry.settings import Settings
from tests.kit.cluster_contract import made
from tests.kit.images import put
from tests.kit.servers import ServeProcess, serve_process, write_certificate, write_htpasswd
from tests.peers import kube_node
from tests.peers.kube_images import sleepers
from tests.peers.kube_node import Node, Runtime

USER, PASSWORD = "puller", "s3cret-word"


class Site:
    """`hub` is what the node takes for Docker Hub, `own` the private registry with a login."""

    def __init__(self, node: Node, hub: ServeProcess, own: ServeProcess, users: Path, ca_file: Path) -> None:
        self.node, self.hub, self.own, self.ca_file, self._users = node, hub, own, ca_file, users
        # As a proxy before the registry would say it: on one machine everybody comes from loopback.
        self.redirect(own.host, own, f'ca = "{ca_file}"\nheader = {{ x-forwarded-for = "{self.address()}" }}')
        self.redirect("docker.io", hub)

    def address(self) -> str:
        """Return the node's address."""
        path = 'jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}'
        return self.node.kubectl("get", "nodes", "-o", path)

    def redirect(self, registry: str, to: ServeProcess, more: str = "") -> None:
        """Let the node pull from a process what is named after a registry.

        Named as `server` too, it is the only one asked: a node would go on to try a registry on loopback by plain HTTP.
        """
        folder = self.node.certs / registry
        folder.mkdir(exist_ok=True)
        fields = f'capabilities = ["pull", "resolve"]\n{more}\n'
        (folder / "hosts.toml").write_text(f'server = "{to.url}"\n{fields}[host."{to.url}"]\n{fields}')

    def publish(self, *names: str) -> dict[str, str]:
        """Put images into the stand-in for Docker Hub; return their digests."""
        digests = {}
        with Registries() as registries:
            for name in names:
                repository, _, tag = name.partition(":")
                digests[name] = put(sleepers(name), registries.client(self.hub.host), repository, tag).digest
        return digests

    def job(self, folder: Path, namespace: str, objects: Sequence[dict[str, Any]], **more: Any) -> Path:
        """Write a homeport.yaml for objects, with a login for the private registry."""
        folder.mkdir(exist_ok=True)
        (folder / "app.yaml").write_text(yaml.safe_dump_all(objects))
        config = {
            "target": f"{self.own.host}/mirror",
            "sources": ["app.yaml"],
            "pullSecret": {"name": "private", "namespaces": [namespace]},
            "registries": {"docker.io": {"endpoint": self.hub.url}},
            "caFiles": [str(self.ca_file)],
            **more,
        }
        (folder / "homeport.yaml").write_text(yaml.safe_dump(config))
        auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        (folder / "config.json").write_text(json.dumps({"auths": {self.own.host: {"auth": auth}}}))
        return folder / "homeport.yaml"

    def start(self, namespace: str, objects: Sequence[dict[str, Any]]) -> None:
        """Create a namespace with objects as a person does, and wait until their pods run."""
        self.node.namespace(namespace)
        self.run(namespace, objects)

    def run(self, namespace: str, objects: Sequence[dict[str, Any]]) -> None:
        """Create objects, and wait until their pods run."""
        self.node.kubectl("apply", "-f", "-", text=yaml.safe_dump_all(objects))
        for value in objects:
            if value["kind"] in ("Deployment", "StatefulSet", "DaemonSet"):
                name = f"{value['kind'].lower()}/{value['metadata']['name']}"
                self.node.kubectl("rollout", "status", name, "-n", namespace, "--timeout=180s")

    def images(self, namespace: str) -> set[str]:
        """Return the images that the living pods of a namespace name."""
        pods = json.loads(self.node.kubectl("get", "pods", "-n", namespace, "-o", "json"))["items"]
        living = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        return {it["image"] for pod in living for it in pod["spec"]["containers"]}

    def wait_for_pods(self, namespace: str, count: int) -> None:
        """Wait until so many pods are ready, and no others there."""
        path = "jsonpath={.items[*].status.containerStatuses[*].ready}"
        command = ("get", "pods", "-n", namespace, "--field-selector=status.phase!=Succeeded", "-o", path)
        self.node.wait(lambda: self.node.kubectl(*command).split() == ["true"] * count, f"{count} pods do not run")

    def patch(self, kind: str, namespace: str, name: str, operations: Sequence[dict[str, Any]]) -> None:
        """Change an object as a person does."""
        self.node.kubectl("patch", kind, name, "-n", namespace, "--type=json", "-p", json.dumps(operations))

    def get(self, kind: str, namespace: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.node.kubectl("get", kind, name, "-n", namespace, "-o", "json"))
        return found

    def let_in(self, **users: str) -> None:
        """Let users into the private registry with new passwords; it reads the file again when it changes."""
        written = write_htpasswd(self._users.with_suffix(".new"), {USER: PASSWORD} | users)
        written.replace(self._users)

    @contextlib.contextmanager
    def without(self, registry: ServeProcess) -> Iterator[None]:
        """Stop a registry; it is back at the same address when the block ends."""
        assert registry.stop() == 0
        try:
            yield
        finally:
            registry.start()

    def login(self) -> Registries:
        """Return the registries as the user of the private one sees them."""
        return Registries(Settings.of(ca_files=[self.ca_file]), OneCredential(Credential(USER, PASSWORD)))


@contextlib.contextmanager
def running(folder: Path, runtime: Runtime = "containerd 1") -> Iterator[Site]:
    """Run both registries and a cluster until the block ends, the private registry over TLS."""
    users = write_htpasswd(folder / "htpasswd", {USER: PASSWORD})
    ca_file, certificate, key = write_certificate(folder)
    settings = folder / "registry.yaml"
    settings.write_text("trustedProxies: [127.0.0.1]\naccessLog: true\n")
    private = (
        "--htpasswd",
        str(users),
        "--tls-cert",
        str(certificate),
        "--tls-key",
        str(key),
        "--config",
        str(settings),
    )
    with (
        serve_process(folder / "hub") as hub,
        serve_process(folder / "own", *private) as own,
        kube_node.running(_made(folder / "kube"), hub.host, runtime) as node,
    ):
        yield Site(node, hub, own, users, ca_file)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def workload(kind: str, name: str, namespace: str, image: str, *, replicas: int = 1, **pod: Any) -> dict[str, Any]:
    """Make a Deployment, StatefulSet or DaemonSet whose pods end at once when they are told to."""
    labels = {"app": name}
    containers = [{"name": "main", "image": image}]
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers, **pod}}
    spec: dict[str, Any] = {"selector": {"matchLabels": labels}, "template": template}
    spec |= {} if kind == "DaemonSet" else {"replicas": replicas}
    spec |= {"serviceName": name} if kind == "StatefulSet" else {}
    return made(kind, name, spec, namespace=namespace)
