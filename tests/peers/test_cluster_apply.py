"""`homeport apply --cluster` and `homeport rollback` on a real cluster whose pods really pull."""

import json
import re
from pathlib import Path

import pytest

from homeport.cli.app import run
from tests.peers import kube_site
from tests.peers.kube_node import NODE
from tests.peers.kube_site import Site, workload

pytestmark = pytest.mark.peers

CRON = {
    "apiVersion": "batch/v1",
    "kind": "CronJob",
    "metadata": {"name": "report", "namespace": "shop"},
    "spec": {
        "schedule": "0 0 1 1 *",
        "jobTemplate": {
            "spec": {
                "template": {
                    "spec": {"restartPolicy": "Never", "containers": [{"name": "r", "image": "team/report:3"}]}
                }
            }
        },
    },
}


@pytest.fixture(autouse=True)
def _as_admin(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(site.node.api.kubeconfig()))


def test_a_running_cluster_moves_to_the_target_and_back(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site.publish("team/web:1", "team/db:2", "team/report:3")
    own_list = {"imagePullSecrets": [{"name": "theirs"}]}
    objects = [
        workload("Deployment", "web", "shop", "team/web:1", replicas=2),
        workload("StatefulSet", "db", "shop", "docker.io/team/db:2", **own_list),
        CRON,
    ]
    site.start("shop", objects)
    file = site.job(tmp_path / "job", "shop", objects)
    monkeypatch.setenv("DOCKER_CONFIG", str(file.parent))
    before = {name: site.get(*name) for name in (("deployment", "shop", "web"), ("statefulset", "shop", "db"))}

    held = ("get", "node", NODE, "-o", "jsonpath={.status.images[*].names}")
    site.node.wait(lambda: "team/db" in site.node.kubectl(*held), "the node does not report what it holds")
    assert run(["apply", str(file), "--cluster", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "Deployment/shop/web\n    spec.template.spec.containers[main].image: team/web:1 -> " in out
    assert "ServiceAccount/shop/default\n    imagePullSecrets[private]: (none) -> private" in out
    assert out.count("shop/web-") == 2
    assert f"their nodes would pull:\n  REGISTRY {' ' * (len(site.own.host) - 8)} PULL POLICY   IMAGES  PULLS\n" in out
    # A node tells its images now and then (kubelet, image manager), so it may not be known yet that it lacks these.
    assert re.search(
        rf"^  {re.escape(site.own.host)}  IfNotPresent  2       (2|0 to 2  1 node does not report all images)$",
        out,
        re.MULTILINE,
    )
    assert site.images("shop") == {"team/web:1", "docker.io/team/db:2"}
    assert "not found" in site.node.kubectl("get", "secret", "private", "-n", "shop", check=False)

    assert run(["apply", str(file), "--cluster"]) == 0
    out, err = capsys.readouterr()
    target = f"{site.own.host}/mirror"
    assert site.images("shop") == {f"{target}/team/web:1", f"{target}/team/db:2"}
    assert "Deployment/shop/web: 2 of 2 pods new, 2 ready" in err
    assert kube_site.PASSWORD not in out + err
    database = site.get("statefulset", "shop", "db")["spec"]["template"]["spec"]["imagePullSecrets"]
    assert database == [{"name": "theirs"}, {"name": "private"}]
    cron = site.get("cronjob", "shop", "report")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert cron["containers"][0]["image"] == f"{target}/team/report:3"

    versions = _versions(site)
    assert run(["apply", str(file), "--cluster"]) == 0
    assert "no object has to change" in capsys.readouterr().out
    assert _versions(site) == versions

    verify = [
        "verify",
        "--ca-file",
        str(site.ca_file),
        "--registry",
        target,
        "--cluster",
        "-n",
        "shop",
        "--lock",
        str(tmp_path / "job/homeport.lock"),
    ]
    assert run(verify) == 0, capsys.readouterr()
    capsys.readouterr()

    assert run(["rollback", str(file)]) == 0
    capsys.readouterr()
    assert site.images("shop") == {"team/web:1", "docker.io/team/db:2"}
    for name, value in before.items():
        assert site.get(*name)["spec"] == value["spec"]
    assert "imagePullSecrets" not in site.get("serviceaccount", "shop", "default")
    assert run(["rollback", str(file)]) == 0
    assert "0 objects restored" in capsys.readouterr().out


def _versions(site: Site) -> dict[str, str]:
    """Return the resource versions of all that may have been written."""
    kinds = "deployments,statefulsets,cronjobs,serviceaccounts,secrets,configmaps"
    items = json.loads(site.node.kubectl("get", kinds, "-n", "shop", "-o", "json"))["items"]
    return {f"{it['kind']}/{it['metadata']['name']}": it["metadata"]["resourceVersion"] for it in items}
