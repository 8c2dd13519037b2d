"""The story with the bundle that Redis publishes for 7.2.4-7: its definitions, roles, account and operator, below $HOMEPORT_CORPUS.

Its images are stand-ins of the same names, which wait; so the operator's commands, probes and limits are left out, and a user is
named where the public image has one.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from homeport.cli.app import run
from tests.peers import kube_operator, kube_site
from tests.peers.kube_node import NODE
from tests.peers.kube_operator import OPERATOR, names_of, redis_cluster
from tests.peers.kube_site import Site

pytestmark = [pytest.mark.peers, pytest.mark.corpus]

BUNDLE = Path(os.environ.get("HOMEPORT_CORPUS", "/nonexistent")) / "redis-enterprise" / f"v{OPERATOR}" / "bundle.yaml"
LEFT_OUT = ("command", "livenessProbe", "readinessProbe", "resources")
RUNNING = 4  # containers: two of the operator, one of the cluster, one of the rigger


def bundle() -> list[dict[str, Any]]:
    found = [it for it in yaml.safe_load_all(BUNDLE.read_text()) if it]
    (operator,) = (it for it in found if it["kind"] == "Deployment")
    pod = operator["spec"]["template"]["spec"]
    pod["securityContext"]["runAsUser"] = 1000
    pod["containers"] = [{key: it[key] for key in it if key not in LEFT_OUT} for it in pod["containers"]]
    return found


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A cluster of its own, for its definitions are others than those of the stand-in."""
    (tmp_path / "site").mkdir()
    with kube_site.running(tmp_path / "site") as site:
        monkeypatch.setenv("KUBECONFIG", str(site.node.api.kubeconfig()))
        site.publish(*names_of(OPERATOR))
        site.node.namespace("redis")
        # As server-side apply: the definitions are too large for the annotation of the other one.
        apply = ("apply", "--server-side", "-n", "redis", "-f", "-")
        site.node.kubectl(*apply, text=yaml.safe_dump_all(bundle()))
        served = ("get", "redisenterprisecluster", "-n", "redis", "-o", "name")
        site.node.wait(lambda: not site.node.kubectl(*served, check=False), "the definitions are not served")
        site.node.kubectl(*apply, text=yaml.safe_dump(redis_cluster("redis")))
        with kube_operator.running(site.node, "redis"):
            site.wait_for_pods("redis", RUNNING)
            yield site


def test_the_public_bundle_moves_proves_it_and_goes_back(
    house: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site = house
    file = site.job(tmp_path / "job", "redis", [*bundle(), redis_cluster("redis")])
    monkeypatch.setenv("DOCKER_CONFIG", str(file.parent))
    target = f"{site.own.host}/mirror"
    spec = site.get("redisenterprisecluster", "redis", "rec")["spec"]
    names = sorted(f"docker.io/{name}" for name in names_of(OPERATOR))

    assert run(["scan", "--cluster", "-n", "redis", "-o", "names"]) == 0
    found = {name.removeprefix("docker.io/") for name in capsys.readouterr().out.split()}
    assert sorted(found) == sorted(names_of(OPERATOR))
    assert run(["plan", str(file), "-o", "json"]) == 0
    assert sorted(it["source"] for it in json.loads(capsys.readouterr().out)["mirror"]["images"]) == names

    assert run(["apply", str(file), "--cluster", "-o", "json"]) == 0, capsys.readouterr()
    changes = json.loads(capsys.readouterr().out)["cluster"]["changes"]
    assert sorted(changes) == [
        "Deployment/redis/redis-enterprise-operator",
        "RedisEnterpriseCluster/redis/rec",
        "ServiceAccount/redis/redis-enterprise-operator",
    ]
    assert all(image.startswith(f"{target}/") for image in site.images("redis"))

    verify = ["verify", "--ca-file", str(site.ca_file), "--registry", target, "--cluster", "-n", "redis"]
    verify += ["--lock", str(file.parent / "homeport.lock")]
    with site.without(site.hub):
        site.node.kubectl("delete", "pods", "--all", "-n", "redis")
        site.node.forget_images()
        site.wait_for_pods("redis", RUNNING)
        log = tmp_path / "access.log"
        log.write_text("".join(site.own.lines))
        assert run([*verify, "--access-log", str(log), "-o", "json"]) == 0, capsys.readouterr()
        report = json.loads(capsys.readouterr().out)
        assert {it["status"] for it in report["images"]} == {"proven"}
        shown = report["cluster"]["log"]["shown"]
        assert {(it["node"], it["how"]) for it in shown} <= {(NODE, "fetched"), (NODE, "asked")}
        assert sum(len(it["containers"]) for it in shown) == 5

    assert run(["rollback", str(file)]) == 0
    assert site.get("redisenterprisecluster", "redis", "rec")["spec"] == spec
    assert all(image.startswith("redislabs/") for image in site.images("redis"))
