"""A real one-node Kubernetes for tests: the API server of `kube`, and what makes pods run, as processes on loopback.

Nothing but loopback can be reached from the node, so what it pulls comes from the registries of the test.
"""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
import yaml

from homeport.registry.session import Registries
from tests.kit.images import put
from tests.kit.peers import peer as installed
from tests.peers import kube
from tests.peers.kube import Kubernetes, peer
from tests.peers.kube_images import sleeper

NODE = "node-1"
START_SECONDS = 180
_CNI_PLUGINS = "/usr/lib/cni"

Runtime = Literal["containerd 1", "containerd 2"]
"""Debian's 1.6, and the newest one, which has image volumes."""


class Node:
    """A cluster whose pods run. Nodes look registries up in `certs`/HOST/hosts.toml."""

    def __init__(self, api: Kubernetes, folder: Path) -> None:
        self.api, self.folder, self.certs = api, folder, folder / "certs.d"

    def kubectl(self, *arguments: str, text: str = "", check: bool = True) -> str:
        """Run kubectl as admin and return what it wrote to stdout."""
        command = (peer("kubectl"), "--kubeconfig", str(self.api.kubeconfig()), *arguments)
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout.strip() if check else done.stdout + done.stderr

    def wait(self, done: Callable[[], object], complaint: str) -> None:
        """Ask again until something is so."""
        deadline = time.monotonic() + START_SECONDS
        while not done():
            assert time.monotonic() < deadline, f"{complaint}\n{self.kubectl('get', 'pods,events', '-A', check=False)}"
            time.sleep(0.2)

    def namespace(self, name: str) -> None:
        """Make a namespace, and wait for the account that its pods run under."""
        self.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        account = ("get", "serviceaccount", "default", "-n", name, "--ignore-not-found", "-o", "name")
        self.wait(lambda: self.kubectl(*account), f"namespace {name} got no service account")

    def forget_images(self) -> None:
        """Remove every image that no container uses from the node: the next pod pulls."""
        self._ctr("image", "prune", "--all")

    def _ctr(self, *arguments: str) -> str:
        command = (installed("ctr"), "-a", str(self.folder / "containerd.sock"), "-n", "k8s.io", *arguments)
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    def stop_containers(self) -> None:
        """Kill what runs and remove it, with the network that each pod has."""
        containers = self._ctr("container", "ls", "-q").split()
        networks = set(filter(None, map(self._network, containers)))
        for task in self._ctr("task", "ls", "-q").split():
            self._ctr("task", "kill", "-s", "9", task)
        for container in containers:
            self._ctr("task", "delete", "-f", container)
            self._ctr("container", "delete", container)
        for network in networks:
            subprocess.run(("umount", "-l", network), check=False, stderr=subprocess.DEVNULL)
            Path(network).unlink(missing_ok=True)

    def _network(self, container: str) -> str:
        """Return the file that holds a container's network namespace."""
        described = json.loads(self._ctr("container", "info", container) or "{}")
        spaces = described.get("Spec", {}).get("linux", {}).get("namespaces", ())
        path: str = next((it.get("path", "") for it in spaces if it["type"] == "network"), "")
        return path if path.startswith(("/var/run/netns/", "/run/netns/")) else ""


@contextlib.contextmanager
def running(folder: Path, pause_registry: str, runtime: Runtime = "containerd 1") -> Iterator[Node]:
    """Run a cluster until the block ends; its pause image is put into a registry that is pulled from without a login."""
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("a node is started by root")
    with Registries() as registries:
        put(sleeper("pause"), registries.client(pause_registry), "pause", "1")
    with kube.running(folder) as api, contextlib.ExitStack() as processes:
        node = Node(api, folder)
        processes.callback(_unmount, folder)
        for name, command in _commands(node, f"{pause_registry}/pause:1", runtime).items():
            if name == "kubelet":
                node.wait((folder / "containerd.sock").exists, "containerd does not listen")
                processes.callback(node.stop_containers)
            processes.enter_context(_service(folder / f"{name}.log", command))
        ready = ("get", "node", NODE, "--ignore-not-found", "--no-headers")
        node.wait(lambda: " Ready " in node.kubectl(*ready), f"the node is not ready; see {folder}/kubelet.log")
        yield node


def _commands(node: Node, pause: str, runtime: Runtime) -> dict[str, list[str]]:
    """Write the configuration of each program, and return how it is started, in order."""
    folder, config = node.folder, str(node.api.kubeconfig())
    node.certs.mkdir()
    (folder / "cni").mkdir()
    ipam = {"type": "host-local", "subnet": "10.88.0.0/24", "dataDir": str(folder / "ipam")}
    network = {"cniVersion": "0.4.0", "name": "ptp", "plugins": [{"type": "ptp", "ipam": ipam}]}
    (folder / "cni/10-ptp.conflist").write_text(json.dumps(network))
    values = {"folder": folder, "pause": pause, "plugins": _CNI_PLUGINS}
    if runtime == "containerd 2":
        daemon, text = peer("containerd2"), _CONTAINERD_2.format(shim=peer("containerd2-shim"), **values)
    else:
        daemon, text = installed("containerd"), _CONTAINERD.format(**values)
    (folder / "containerd.toml").write_text(text)
    (folder / "kubelet.yaml").write_text(yaml.safe_dump(_kubelet(folder)))
    return {
        "controller-manager": [
            *(peer("kube-controller-manager"), "--kubeconfig", config, "--leader-elect=false", "--secure-port=0"),
            *("--service-account-private-key-file", str(folder / "sa.key")),
            *("--root-ca-file", str(folder / "certs/apiserver.crt")),
        ],
        "scheduler": [peer("kube-scheduler"), "--kubeconfig", config, "--leader-elect=false", "--secure-port=0"],
        "containerd": [daemon, "-c", str(folder / "containerd.toml")],
        "kubelet": [
            *(peer("kubelet"), "--config", str(folder / "kubelet.yaml"), "--kubeconfig", config),
            *("--hostname-override", NODE, "--root-dir", str(folder / "kubelet")),
            *("--cert-dir", str(folder / "kubelet-certs")),
        ],
    }


def _kubelet(folder: Path) -> dict[str, object]:
    """Configure a kubelet that needs neither systemd nor cgroups of its own, nor much room."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": "127.0.0.1",
        "port": kube.free_ports(1)[0],
        "healthzPort": 0,
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": False,
        "enforceNodeAllocatable": [],
        "localStorageCapacityIsolation": False,
        "failSwapOn": False,
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": f"unix://{folder}/containerd.sock",
        "evictionHard": {"nodefs.available": "1%", "imagefs.available": "1%", "memory.available": "50Mi"},
        "nodeStatusReportFrequency": "10s",
        "maxPods": 200,
    }


_CONTAINERD = """\
version = 2
root = "{folder}/containerd"
state = "{folder}/containerd-state"
[grpc]
  address = "{folder}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{folder}/cni"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{folder}/certs.d"
"""

_CONTAINERD_2 = """\
version = 3
root = "{folder}/containerd"
state = "{folder}/containerd-state"
[grpc]
  address = "{folder}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/opt"
[plugins."io.containerd.nri.v1.nri"]
  disable = true
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{pause}"
[plugins."io.containerd.cri.v1.images".registry]
  config_path = "{folder}/certs.d"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["{plugins}"]
    conf_dir = "{folder}/cni"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    runtime_path = "{shim}"
"""


@contextlib.contextmanager
def _service(log: Path, command: list[str]) -> Iterator[None]:
    """Run a program that is asked to stop at the end, and killed if it does not."""
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()


def _unmount(folder: Path) -> None:
    """Take off what containers left mounted below a folder, the innermost first."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in sorted((it for it in mounts if it.startswith(f"{folder}/")), reverse=True):
        subprocess.run(("umount", "-l", mount), check=False)
