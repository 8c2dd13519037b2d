import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from homeport.cli.app import run
from homeport.cli.verify_live import ended_as_interrupted
from homeport.cluster.pull_secrets import make_pull_secret
from homeport.mapping import Target
from homeport.registry.credentials import Credential, OneCredential
from homeport.registry.session import Registries
from tests.kit import api_server
from tests.kit.api_server import StandIn
from tests.kit.cluster_contract import made, pod_spec, workload
from tests.kit.images import multi_arch, put
from tests.kit.servers import docker_config, running_registry

ANN = Credential("ann", "secret")
APP = multi_arch("app")


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    """A private registry with a login that holds mirror/team/app:1."""
    with running_registry(users={"ann": "secret"}) as server, Registries(credentials=OneCredential(ANN)) as registries:
        put(APP, registries.client(server.host), "mirror/team/app", "1")
        yield server.host


@pytest.fixture(autouse=True)
def login(host, tmp_path, monkeypatch) -> None:
    docker_config(tmp_path, host, "ann", "secret")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)


@pytest.fixture
def secret(host, tmp_path) -> Path:
    file = tmp_path / "secret.yaml"
    file.write_text(yaml.safe_dump(make_pull_secret("pull", "redis", Target.parse(host), ANN)))
    return file


@pytest.fixture
def lock(tmp_path) -> Path:
    file = tmp_path / "homeport.lock"
    file.write_text(json.dumps({"docker.io/team/app:1": APP.digest}))
    return file


def manifest(folder: Path, *images: str) -> Path:
    spec = pod_spec(*images, imagePullSecrets=[{"name": "pull"}])
    file = folder / "app.yaml"
    file.write_text(yaml.safe_dump(made("Pod", "app", spec, api_version="v1")))
    return file


def test_all_proven_prints_nothing_and_ends_well(host, tmp_path, secret, lock, capsys):
    file = manifest(tmp_path, f"{host}/mirror/team/app:1")
    arguments = ["--registry", f"{host}/mirror", "--secret", str(secret), "--lock", str(lock)]
    assert run(["verify", *arguments, str(file)]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1] == f"{host}/mirror: 1 image: 1 proven"


def test_wrong_images_stand_on_stdout_one_a_line(host, tmp_path, secret, lock, capsys):
    file = manifest(
        tmp_path, f"{host}/mirror/team/app:1", f"{host}/mirror/team/lost:1", "quay.io/team/app:1", "quay.io/team/app:1"
    )
    arguments = ["--registry", f"{host}/mirror", "--secret", str(secret), "--lock", str(lock)]
    assert run(["verify", *arguments, str(file)]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines() == [f"{host}/mirror/team/lost:1", "quay.io/team/app:1"]
    assert "Pod/redis/app spec.containers[2].image" in err
    assert err.splitlines()[-1] == f"{host}/mirror: 3 images: 1 pulled from elsewhere, 1 missing, 1 proven"


def test_what_is_unknown_is_named_and_is_no_failure(host, tmp_path, capsys):
    file = manifest(tmp_path, f"{host}/mirror/team/app:1")
    assert run(["verify", "--registry", f"{host}/mirror", str(file)]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "whether it can be pulled: Secret pull is in none of the files" in err
    assert "neither a lock nor a source registry is named" in err


def test_json_is_the_whole_report(host, tmp_path, secret, lock, capsys):
    file = manifest(tmp_path, f"{host}/mirror/team/app:1", "quay.io/team/app:1")
    arguments = ["--registry", f"{host}/mirror", "--secret", str(secret), "--lock", str(lock), "-o", "json"]
    assert run(["verify", *arguments, str(file)]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["registry"] == f"{host}/mirror"
    assert [(image["image"], image["status"], image["digest"]) for image in report["images"]] == [
        (f"{host}/mirror/team/app:1", "proven", APP.digest),
        ("quay.io/team/app:1", "elsewhere", None),
    ]
    assert report["images"][1]["places"] == ["Pod/redis/app spec.containers[1].image"]


def test_passwords_are_never_shown(host, tmp_path, secret, capsys):
    wrong = yaml.safe_dump(make_pull_secret("pull", "redis", Target.parse(host), Credential("ann", "hunter2")))
    secret.write_text(wrong)
    file = manifest(tmp_path, f"{host}/mirror/team/app:1")
    assert run(["verify", "--registry", f"{host}/mirror", "--secret", str(secret), str(file)]) == 1
    out, err = capsys.readouterr()
    assert out == f"{host}/mirror/team/app:1\n"
    assert "hunter2" not in err
    assert "YW5uOmh1bnRlcjI=" not in err


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ([], "nothing is named that could be verified"),
        (["--cluster", "app.yaml"], "--cluster takes no files"),
        (["-n", "redis", "app.yaml"], "belong to --cluster"),
        (["--probe", "app.yaml"], "--probe belongs to --cluster"),
        (["--cluster", "--pool", "zone"], "--pool belongs to --probe"),
        (["--since", "missing.json", "app.yaml"], "missing.json: it cannot be read"),
        (["/nowhere.yaml"], "/nowhere.yaml: cannot be read"),
        (["--secret", "/nowhere.yaml", "app.yaml"], "--secret /nowhere.yaml: cannot be read"),
        (["--source-registry", "https://docker.io", "app.yaml"], "is not a registry"),
    ],
)
def test_what_cannot_be_started_is_said(capsys, arguments, what):
    assert run(["verify", "--registry", "r.example.com", *arguments]) == 2
    assert what in capsys.readouterr().err


def test_manifests_without_images_prove_nothing(tmp_path, capsys):
    file = tmp_path / "service.yaml"
    file.write_text("apiVersion: v1\nkind: Service\nmetadata: {name: x}\n")
    assert run(["verify", "--registry", "r.example.com", str(file)]) == 2
    assert "no image is named in" in capsys.readouterr().err


def test_a_broken_file_beside_a_good_one_fails(host, tmp_path, secret, lock, capsys):
    (tmp_path / "broken.yaml").write_text("a: [")
    file = manifest(tmp_path, f"{host}/mirror/team/app:1")
    arguments = ["--registry", f"{host}/mirror", "--secret", str(secret), "--lock", str(lock)]
    assert run(["verify", *arguments, str(file), str(tmp_path / "broken.yaml")]) == 1
    assert "broken.yaml:2:1: did not find expected node content" in capsys.readouterr().err


@pytest.fixture
def cluster(tmp_path, monkeypatch) -> Iterator[StandIn]:
    with api_server.running(tmp_path) as server:
        monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig()))
        server.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "redis"}})
        yield server


def test_a_cluster_is_verified_with_its_own_secrets(host, cluster, secret, lock, capsys):
    cluster.create(yaml.safe_load(secret.read_text()))
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "redis"}}
    cluster.create(account | {"imagePullSecrets": [{"name": "pull"}]})
    spec = pod_spec(f"{host}/mirror/team/app:1", imagePullSecrets=[{"name": "pull"}])
    cluster.create(made("Pod", "app", spec, api_version="v1"))
    cluster.create(made("StatefulSet", "idle", workload(f"{host}/mirror/team/app:1")))
    arguments = ["verify", "--registry", f"{host}/mirror", "--cluster", "--lock", str(lock)]
    assert run(arguments) == 0
    cluster.create(made("Pod", "bare", pod_spec(f"{host}/mirror/team/app:1"), api_version="v1"))
    cluster.create(made("Pod", "other", pod_spec("nginx:1"), api_version="v1"))
    capsys.readouterr()
    assert run(arguments) == 1
    out, err = capsys.readouterr()
    assert out.splitlines() == [f"{host}/mirror/team/app:1", "docker.io/library/nginx:1"]
    assert "Pod/redis/bare spec.containers[0].image" in err
    assert "no pull secret is named" in err


def test_secrets_that_may_not_be_read_are_unknown(host, cluster, lock, monkeypatch, capsys):
    spec = pod_spec(f"{host}/mirror/team/app:1", imagePullSecrets=[{"name": "pull"}])
    cluster.create(made("Pod", "app", spec, api_version="v1"))
    cluster.create(made("StatefulSet", "idle", workload(f"{host}/mirror/team/app:1")))
    kinds = [
        "deployments.apps",
        "statefulsets.apps",
        "daemonsets.apps",
        "replicasets.apps",
        "jobs.batch",
        "cronjobs.batch",
    ]
    cluster.grant("reader", ["pods", "replicationcontrollers", "podtemplates", *kinds])
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig("reader")))
    assert run(["verify", "--registry", f"{host}/mirror", "--cluster", "--lock", str(lock)]) == 0
    err = capsys.readouterr().err
    assert "Secret pull may not be read" in err
    assert "service account default may not be read" in err


def test_what_a_live_operator_pulls_by_default_is_wrong_and_named(host, cluster, capsys):
    operator = pod_spec(f"{host}/mirror/redislabs/operator:7.2.4-7")
    cluster.create(made("Pod", "redis-enterprise-operator", operator, api_version="v1"))
    cluster.define("app.redislabs.com", "RedisEnterpriseCluster", "v1")
    cluster.create(made("RedisEnterpriseCluster", "rec", {}, api_version="app.redislabs.com/v1"))
    assert run(["verify", "--registry", f"{host}/mirror", "--cluster"]) == 1
    assert "docker.io/redislabs/redis:7.2.4-64" in capsys.readouterr().out.splitlines()


def test_the_end_of_the_process_is_taken_for_an_interrupt():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), ended_as_interrupted():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
