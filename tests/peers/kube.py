"""A real Kubernetes API server for tests: etcd and kube-apiserver as processes on loopback."""

import contextlib
import itertools
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.kit.api_server import ADMIN, PLURALS, kubeconfig

START_SECONDS = 180
_FIRST = 20_000 + os.getpid() * 97 % 10_000
_PORTS = itertools.cycle([*range(_FIRST, 30_000), *range(20_000, _FIRST)])
USERS = ("reader", "shopkeeper", "role-of-the-docs", "verifier", "changer", "looker")
RBAC = "rbac.authorization.k8s.io"


def peer(program: str) -> str:
    """Return the path of a program that build-kube.sh makes; the test is skipped where it is missing."""
    folder = Path(os.environ.get("HOMEPORT_PEERS") or Path.home() / ".cache/homeport-peers") / "bin"
    found = shutil.which(program, path=str(folder))
    if found is None:
        pytest.skip(f"{program} is not in {folder}: run tests/peers/build-kube.sh")
    return found


class Kubernetes:
    """A kube-apiserver with users whose names are their tokens."""

    def __init__(self, folder: Path, port: int, process: subprocess.Popen[bytes]) -> None:
        self.server = f"https://127.0.0.1:{port}"
        self._folder, self._process = folder, process
        self._authority = folder / "certs/apiserver.crt"
        self._client = httpx2.Client(
            base_url=self.server, verify=False, timeout=30, headers={"Authorization": f"Bearer {ADMIN}"}
        )

    def close(self) -> None:
        self._client.close()

    def stop(self) -> None:
        """Let the API server be gone at once."""
        self._process.kill()
        self._process.wait()

    def is_ready(self) -> bool:
        with contextlib.suppress(httpx2.HTTPError):
            return self._client.get("/readyz").status_code == 200
        return False

    def create(self, value: dict[str, Any]) -> dict[str, Any]:
        """Create an object and return it as the server keeps it; a given status is set as well."""
        version, kind, metadata = value["apiVersion"], value["kind"], value["metadata"]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        scope = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
        plural = PLURALS.get(kind) or f"{kind.lower()}s"
        response = self._client.post(f"{root}{scope}/{plural}", json=value)
        assert response.status_code == 201, response.text
        kept: dict[str, Any] = response.json()
        if "status" in value:
            kept["status"] = value["status"]
            response = self._client.put(f"{root}{scope}/{plural}/{metadata['name']}/status", json=kept)
            assert response.status_code == 200, response.text
        return kept

    def define(
        self, group: str, kind: str, version: str, fields: dict[str, Any] | None = None, short: str = ""
    ) -> None:
        """Install the definition of a custom resource, with the schemas of fields in its spec, and wait until it is served."""
        plural = PLURALS.setdefault(kind, f"{kind.lower()}s")
        anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        properties = {"properties": {"spec": {**anything, "properties": fields}}} if fields else {}
        schema = {"openAPIV3Schema": anything | properties}
        spec = {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind, "singular": kind.lower(), "listKind": f"{kind}List"}
            | ({"shortNames": [short]} if short else {}),
            "versions": [{"name": version, "served": True, "storage": True, "schema": schema}],
        }
        meta = {"name": f"{plural}.{group}"}
        self.create(
            {
                "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "CustomResourceDefinition",
                "metadata": meta,
                "spec": spec,
            }
        )
        wait(
            lambda: self._client.get(f"/apis/{group}/{version}/{plural}").status_code == 200, f"{plural} is not served"
        )

    def grant(self, user: str, plurals: Sequence[str], namespace: str = "") -> None:
        """Let a user list and get kinds (``cronjobs.batch``), in one namespace or in all."""
        rules = []
        for plural in plurals:
            resource, _, group = plural.partition(".")
            rules.append({"apiGroups": [group], "resources": [resource], "verbs": ["get", "list"]})
        scope = {"namespace": namespace} if namespace else {}
        kind = "Role" if namespace else "ClusterRole"
        self.create({"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": {"name": user, **scope}, "rules": rules})
        self.bind(user, user, namespace)

    def bind(self, user: str, role: str, namespace: str = "") -> None:
        """Give a user a role of a namespace, or of the cluster."""
        scope, kind = ({"namespace": namespace}, "Role") if namespace else ({}, "ClusterRole")
        binding = {"apiVersion": f"{RBAC}/v1", "kind": f"{kind}Binding", "metadata": {"name": user, **scope}}
        subjects = [{"kind": "User", "name": user, "apiGroup": RBAC}]
        self.create({**binding, "roleRef": {"apiGroup": RBAC, "kind": kind, "name": role}, "subjects": subjects})

    def kubeconfig(self, user: str = ADMIN) -> Path:
        """Write a kubeconfig for a user and return its path."""
        path = self._folder / f"{user}.kubeconfig"
        if not path.exists():
            path.write_text(yaml.safe_dump(kubeconfig(self.server, user, user, str(self._authority))))
        return path


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Kubernetes]:
    """Run etcd and kube-apiserver until the block ends."""
    etcd, apiserver = peer("etcd"), peer("kube-apiserver")
    clients, peers, port = free_ports(3)
    key = folder / "sa.key"
    key.write_bytes(_private_key())
    groups = {ADMIN: '"system:masters"'}
    tokens = [f"{user},{user},{user},{groups.get(user, '')}".rstrip(",") for user in (ADMIN, *USERS)]
    (folder / "tokens.csv").write_text("\n".join(tokens) + "\n")
    with contextlib.ExitStack() as processes:
        database = [etcd, "--data-dir", folder / "etcd", "--unsafe-no-fsync", "--log-level", "error"]
        for flag, number in (("client", clients), ("peer", peers)):
            database += [f"--listen-{flag}-urls", f"http://127.0.0.1:{number}"]
        database += ["--advertise-client-urls", f"http://127.0.0.1:{clients}"]
        processes.enter_context(_process(folder / "etcd.log", database))
        server = [apiserver, "--etcd-servers", f"http://127.0.0.1:{clients}", "--secure-port", str(port)]
        server += ["--bind-address", "127.0.0.1", "--cert-dir", folder / "certs", "--authorization-mode", "RBAC"]
        server += ["--token-auth-file", folder / "tokens.csv", "--service-cluster-ip-range", "10.96.0.0/24"]
        server += ["--service-account-key-file", key, "--service-account-signing-key-file", key]
        server += ["--service-account-issuer", "https://kubernetes.default.svc", "--shutdown-delay-duration", "0s"]
        process = processes.enter_context(_process(folder / "kube-apiserver.log", server))
        kubernetes = Kubernetes(folder, port, process)
        processes.callback(kubernetes.close)
        wait(kubernetes.is_ready, f"kube-apiserver is not ready; see {folder}/kube-apiserver.log")
        yield kubernetes


@contextlib.contextmanager
def _process(log: Path, command: Sequence[str | Path]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program; it is killed at the end, for kube-apiserver lingers on its port when its etcd is gone."""
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            yield process
        finally:
            process.kill()


def wait(done: Any, complaint: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not done():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.1)


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on; none that the system gives to a connection meanwhile (ip_local_port_range)."""
    found: list[int] = []
    while len(found) < count:
        port = next(_PORTS)
        with socket.socket() as one, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", port))
            found.append(port)
    return found


def _private_key() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
