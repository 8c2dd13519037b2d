"""`homeport verify --cluster` on a real kube-apiserver, whose admission fills in the pull secrets of pods."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from homeport.cli.app import run
from homeport.cluster.pull_secrets import make_pull_secret
from homeport.mapping import Target
from homeport.registry.credentials import Credential, OneCredential
from homeport.registry.session import Registries
from tests.kit.cluster_contract import made, pod_spec
from tests.kit.images import multi_arch, put
from tests.kit.servers import docker_config, running_registry
from tests.peers import kube
from tests.peers.kube import Kubernetes

pytestmark = pytest.mark.peers

ANN = Credential("ann", "secret")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubernetes]:
    with kube.running(tmp_path_factory.mktemp("kube")) as kubernetes:
        yield kubernetes


def test_a_cluster_is_proven_by_what_its_pods_really_got(
    cluster: Kubernetes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig()))
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "redis"}})
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"namespace": "redis", "name": "default"}}
    with running_registry(users={"ann": "secret"}) as server, Registries(credentials=OneCredential(ANN)) as registries:
        app = put(multi_arch("app"), registries.client(server.host), "team/app", "1")
        (tmp_path / "homeport.lock").write_text(json.dumps({"docker.io/team/app:1": app.digest}))
        docker_config(tmp_path, server.host, "ann", "secret")
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        verify = [
            "verify",
            "--registry",
            server.host,
            "--cluster",
            "-n",
            "redis",
            "--lock",
            str(tmp_path / "homeport.lock"),
        ]
        pod = pod_spec(f"{server.host}/team/app:1")

        cluster.create(make_pull_secret("pull", "redis", Target.parse(server.host), ANN))
        cluster.create(account | {"imagePullSecrets": [{"name": "pull"}]})
        cluster.create(made("Pod", "lent", pod, api_version="v1"))
        assert run(verify) == 0
        assert capsys.readouterr().err.endswith(f"{server.host}: 1 image: 1 proven\n")

        plain = {**account, "metadata": {"namespace": "redis", "name": "plain"}}
        cluster.create(plain)
        cluster.create(made("Pod", "bare", {**pod, "serviceAccountName": "plain"}, api_version="v1"))
        assert run(verify) == 1
        out, err = capsys.readouterr()
        assert out == f"{server.host}/team/app:1\n"
        assert "Pod/redis/bare" in err
        assert "Pod/redis/lent" not in err


def test_the_api_server_takes_the_secret_that_is_made(cluster: Kubernetes) -> None:
    manifest = make_pull_secret("made", "default", Target.parse("registry.example.com:5000/mirror"), ANN)
    kept = cluster.create(yaml.safe_load(yaml.safe_dump(manifest)))
    assert (kept["type"], kept["data"]) == (manifest["type"], manifest["data"])
