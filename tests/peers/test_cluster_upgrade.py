"""Redis Enterprise is upgraded by the plan, command by command, on a real cluster that pulls from the private registry alone."""

import json
import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from homeport.cli.app import run
from tests.peers import kube, kube_operator
from tests.peers.kube_operator import OPERATOR, names_of, operator_deployment, redis_cluster
from tests.peers.kube_site import Site

pytestmark = pytest.mark.peers

MIDDLE, END = "7.4.2-2", "7.22.0-7"
REC = ("get", "rec", "rec", "-n", "up", "-o", "jsonpath={.status.state}")
NOT_HERE = ("curl ", "kubectl patch redb", "sed ", "CERT=", "kubectl patch validatingwebhookconfiguration")
"""What needs the internet, databases, or the admission controller."""


def test_an_upgrade_goes_by_the_plan_and_not_at_one_go(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(site.node.api.kubeconfig()))
    monkeypatch.chdir(tmp_path)
    for operator in (OPERATOR, MIDDLE, END):
        site.publish(*names_of(operator))
    objects = [operator_deployment("up"), redis_cluster("up")]
    file = site.job(tmp_path / "job", "up", objects, redisEnterprise={"operator": OPERATOR})
    monkeypatch.setenv("DOCKER_CONFIG", str(file.parent))
    site.start("up", objects)
    with kube_operator.running(site.node, "up"):
        site.wait_for_pods("up", 3)
        site.node.wait(lambda: site.node.kubectl(*REC) == "Running", "the cluster is not well")
        assert run(["apply", str(file), "--cluster"]) == 0, "".join(capsys.readouterr())
        capsys.readouterr()
        _try_at_one_go(site, file, capsys)

        plan = _plan(site, capsys)
        assert [hop["operator"] for hop in plan["hops"]] == [MIDDLE, END]
        for hop in plan["hops"]:
            _write_bundle(tmp_path, hop["operator"])
            for command in (it for step in hop["steps"] for it in step["commands"]):
                if not command.startswith(NOT_HERE):
                    _do(site, command)
            wanted = {f"{site.own.host}/mirror/{name}" for name in names_of(hop["operator"])}
            site.node.wait(lambda names=wanted: _names(site) == names, "the operator does not bring the new release")
            for name in ("statefulset/rec", "deployment/rec-services-rigger"):
                site.node.kubectl("rollout", "status", name, "-n", "up", "--timeout=180s")
            site.wait_for_pods("up", 3)
            site.node.wait(lambda: site.node.kubectl(*REC) == "Running", "the upgrade does not end")
        capsys.readouterr()
        _go_without_docker_hub(site, file, capsys)


def _try_at_one_go(site: Site, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Upgrade operator and cluster at once, as the plan does not: the operator refuses, and nothing is done on top of that."""
    here = f"{site.own.host}/mirror"
    for name in names_of(END):
        _do(site, f"homeport mirror --to {here} docker.io/{name}")
    _do(site, f"kubectl set image -n up deployment/redis-enterprise-operator main={here}/redislabs/operator:{END}")
    _do(site, "kubectl patch rec rec -n up --type merge -p " + shlex.quote(_redis_tag(END)))
    site.node.wait(lambda: site.node.kubectl(*REC) == "InvalidUpgrade", "the operator does not refuse")
    capsys.readouterr()
    assert run(["redis-enterprise", "upgrade", OPERATOR, END, "--cluster", "-n", "up"]) == 2
    assert "in state InvalidUpgrade: an upgrade has begun already" in capsys.readouterr().err
    assert run(["redis-enterprise", "check", "--cluster", "-n", "up"]) == 1
    assert "the state is InvalidUpgrade" in capsys.readouterr().out
    assert run(["rollback", str(file)]) == 1
    assert "its names are not taken back while an upgrade is under way" in capsys.readouterr().err
    lent = site.node.kubectl(
        "get", "serviceaccount", "default", "-n", "up", "-o", "jsonpath={.imagePullSecrets[*].name}"
    )
    assert lent == "private"
    _do(site, "kubectl patch rec rec -n up --type merge -p " + shlex.quote(_redis_tag(OPERATOR)))
    _do(site, f"kubectl set image -n up deployment/redis-enterprise-operator main={here}/redislabs/operator:{OPERATOR}")
    site.node.wait(lambda: site.node.kubectl(*REC) == "Running", "the cluster is not well again")


def _go_without_docker_hub(site: Site, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Let the CronJob of the night run, and forget its image spec: only the proof can tell that before the night."""
    verify = [
        "verify",
        "--ca-file",
        str(site.ca_file),
        "--registry",
        f"{site.own.host}/mirror",
        "--cluster",
        "-n",
        "up",
    ]
    verify += ["--operator", END]
    with site.without(site.hub):
        site.node.forget_images()
        site.node.kubectl("create", "job", "tonight", "--from=cronjob/rec-call-home", "-n", "up")
        site.node.kubectl("wait", "--for=condition=complete", "job/tonight", "-n", "up", "--timeout=180s")
        assert run(verify) == 0, "".join(capsys.readouterr())
        site.patch("rec", "up", "rec", [{"op": "remove", "path": "/spec/usageMeter"}])
        client = f"docker.io/redislabs/re-call-home-client:{END}"
        assert run(verify) == 1
        assert capsys.readouterr().out.splitlines() == [client]


def _plan(site: Site, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    asked = ["redis-enterprise", "upgrade", OPERATOR, END, "--cluster", "-n", "up"]
    assert run([*asked, "--to", f"{site.own.host}/mirror", "--pull-secret", "private", "-o", "json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def _do(site: Site, command: str) -> None:
    """Do a command of the plan, with what this place needs besides."""
    if command.startswith("homeport mirror"):
        more = ["--endpoint", f"docker.io={site.hub.url}", "--ca-file", str(site.ca_file)]
        assert run([*shlex.split(command)[1:], *more]) == 0, command
    elif command.startswith("homeport "):
        assert run(shlex.split(command)[1:]) == 0, command
    else:
        kubectl = Path(kube.peer("kubectl")).parent
        environment = {**os.environ, "PATH": f"{kubectl}:{os.environ['PATH']}"}
        done = subprocess.run(("sh", "-c", command), env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr}"


def _write_bundle(folder: Path, operator: str) -> None:
    """Write what the release's own bundle would change here: the operator."""
    (folder / "bundle.yaml").write_text(yaml.safe_dump(operator_deployment("up", operator)))


def _redis_tag(operator: str) -> str:
    tag = next(name.rpartition(":")[2] for name in names_of(operator) if name.startswith("redislabs/redis:"))
    return json.dumps({"spec": {"redisEnterpriseImageSpec": {"versionTag": tag}}})


def _names(site: Site) -> set[str]:
    """Return the images that workloads name, those of the night included."""
    path = "{range .items[*]}{.spec.template.spec.containers[*].image}{' '}{.spec.template.spec.initContainers[*].image}{' '}{end}"
    cron = "{.items[*].spec.jobTemplate.spec.template.spec.containers[*].image}"
    found = site.node.kubectl("get", "deployments,statefulsets", "-n", "up", "-o", f"jsonpath={path}").split()
    return {*found, *site.node.kubectl("get", "cronjobs", "-n", "up", "-o", f"jsonpath={cron}").split()}
