"""`homeport redis-enterprise check` and `effective` on files and on a cluster."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from homeport.cli.app import run
from homeport.cluster.pull_secrets import make_pull_secret
from homeport.mapping import Target
from homeport.registry.credentials import Credential
from tests.applications.redis_enterprise.texts import operator, rec
from tests.kit import api_server
from tests.kit.cluster_contract import made, pod_spec, workload

PRIVATE = "reg.example.com/redislabs"


def write(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def test_a_wrong_deployment_ends_with_1_and_says_why_and_how(tmp_path, capsys):
    bundle = write(tmp_path, "bundle.yaml", operator("7.2.4-7", f"{PRIVATE}/operator"))
    cluster = write(tmp_path, "rec.yaml", rec())
    assert run(["redis-enterprise", "check", bundle, cluster]) == 1
    out = capsys.readouterr().out
    assert out.startswith(
        "RE021  error: Where a spec names no repository the operator takes its own default, from a public registry.\n"
        f"  {cluster}:5  RedisEnterpriseCluster/rec  spec.bootstrapperImageSpec\n"
        "    the bootstrapper is pulled as docker.io/redislabs/operator:7.2.4-7, not from reg.example.com\n"
        "    fix: Write bootstrapperImageSpec.repository: reg.example.com/redislabs/operator.\n"
    )
    assert out.endswith("3 errors, 1 warning\n")


def test_warnings_alone_end_well(tmp_path, capsys):
    assert run(["redis-enterprise", "check", write(tmp_path, "f.yaml", operator("99.0.0-1"))]) == 0
    assert capsys.readouterr().out.endswith("1 warning\n")


def test_nothing_wrong(tmp_path, capsys):
    files = [write(tmp_path, "a.yaml", operator()), write(tmp_path, "b.yaml", rec())]
    assert run(["redis-enterprise", "check", *files]) == 0
    assert capsys.readouterr().out == "no problem found\n"


def test_json_has_all_of_it(tmp_path, capsys):
    file = write(tmp_path, "f.yaml", rec("pullSecrets: [regcred]"))
    assert run(["redis-enterprise", "check", file, "-o", "json"]) == 1
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert problem["id"] == "RE015"
    assert {"severity", "source", "line", "object", "path", "what", "why", "fix"} <= set(problem)


def test_secrets_in_files_of_their_own(tmp_path, capsys):
    deployment = operator("7.2.4-7", f"{PRIVATE}/operator").replace(
        "      containers:", "      imagePullSecrets: [{name: pull}]\n      containers:"
    )
    file = write(tmp_path, "f.yaml", deployment)
    secret = make_pull_secret("pull", "", Target.parse("other.example.com"), Credential("ann", "hunter2"))
    own = write(tmp_path, "s.yaml", json.dumps(secret))
    assert run(["redis-enterprise", "check", file, "--secret", own]) == 1
    out = capsys.readouterr().out
    assert "no entry of pull serves reg.example.com/redislabs/operator:7.2.4-7; there are: other.example.com" in out
    assert "hunter2" not in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "nothing is named"),
        (["--cluster", "f.yaml"], "--cluster takes no files"),
        (["f.yaml", "--registry", "https://x"], "is not a registry"),
        (["chart.yaml"], "no operator and no RedisEnterpriseCluster in chart.yaml"),
        (["missing.yaml"], "missing.yaml: cannot be read"),
    ],
)
def test_what_cannot_be_checked_is_said(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "f.yaml", rec())
    write(tmp_path, "chart.yaml", "apiVersion: v2\nname: redis-enterprise-operator\nversion: 8.2.0-12\n")
    assert run(["redis-enterprise", "check", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_file_that_cannot_be_read_is_wrong(tmp_path, capsys):
    files = [write(tmp_path, "f.yaml", rec()), write(tmp_path, "g.yaml", "a: [")]
    assert run(["redis-enterprise", "check", *files]) == 1
    assert "g.yaml" in capsys.readouterr().out


def test_what_each_pod_will_pull(tmp_path, capsys):
    files = [write(tmp_path, "a.yaml", operator()), write(tmp_path, "b.yaml", rec())]
    assert run(["redis-enterprise", "effective", *files]) == 0
    assert "bootstrapper           docker.io/redislabs/operator:7.2.4-7  repository: the operator's default" in (
        capsys.readouterr().out
    )
    assert run(["redis-enterprise", "effective", *files, "-o", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 5


@pytest.fixture
def live(tmp_path, monkeypatch) -> Iterator[None]:
    """A cluster whose operator is from a private registry, with a secret that is not there, and a REC that names nothing."""
    with api_server.running(tmp_path) as server:
        image = f"{PRIVATE}/operator:7.2.4-7"
        deployment = workload()
        deployment["template"]["spec"] = pod_spec(image, image, imagePullSecrets=[{"name": "regcred"}])
        server.create(made("Deployment", "redis-enterprise-operator", deployment))
        server.define("app.redislabs.com", "RedisEnterpriseCluster", "v1")
        spec = {"nodes": 5}
        server.create(made("RedisEnterpriseCluster", "prod", spec, api_version="app.redislabs.com/v1"))
        monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig()))
        yield


def test_a_live_cluster_is_checked_with_its_secrets(live, capsys):
    assert run(["redis-enterprise", "check", "--cluster", "-n", "redis"]) == 1
    out = capsys.readouterr().out
    assert "there is no Secret regcred in namespace redis" in out
    assert "RE021" in out


def test_what_a_live_cluster_will_pull(live, capsys):
    assert run(["redis-enterprise", "effective", "--cluster"]) == 0
    assert "docker.io/redislabs/redis:7.2.4-64" in capsys.readouterr().out


def test_an_upgrade_is_planned_from_a_live_cluster(live, capsys):
    assert run(["redis-enterprise", "upgrade", "7.2.4-7", "7.4.2-2", "--cluster", "-n", "redis"]) == 0
    out = capsys.readouterr().out
    assert "kubectl patch rec prod -n redis" in out
    assert "for 5 nodes" in out
    assert run(["redis-enterprise", "upgrade", "7.2.4-2", "7.4.2-2", "--cluster"]) == 2
    assert "are of operator 7.2.4-7" in capsys.readouterr().err


def test_a_cluster_without_redis_enterprise_is_no_success(tmp_path, monkeypatch, capsys):
    with api_server.running(tmp_path) as server:
        monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig()))
        for command in ("check", "effective"):
            assert run(["redis-enterprise", command, "--cluster"]) == 2
            assert "no operator and no RedisEnterpriseCluster" in capsys.readouterr().err
