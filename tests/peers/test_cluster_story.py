"""The whole story on a real cluster: Redis Enterprise runs from a stand-in for Docker Hub, moves, proves it, and goes back."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from homeport.cli.app import run
from tests.peers import kube_operator
from tests.peers.kube_operator import OPERATOR, names_of, operator_deployment, redis_cluster, shop
from tests.peers.kube_site import Site

pytestmark = pytest.mark.peers

OBJECTS = [operator_deployment("redis"), redis_cluster("redis"), shop("redis")]
FRONT = "shop/front:1"


@pytest.fixture(params=["site", "newer_site"], ids=["containerd 1", "containerd 2"])
def house(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A cluster in which two operators run; of one of them nothing is known but its definition."""
    site: Site = request.getfixturevalue(request.param)
    monkeypatch.setenv("KUBECONFIG", str(site.node.api.kubeconfig()))
    site.publish(*names_of(OPERATOR), FRONT)
    site.start("redis", OBJECTS)
    with kube_operator.running(site.node, "redis"):
        site.wait_for_pods("redis", 4)
        yield site


def test_redis_enterprise_moves_house(
    house: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site = house
    file = site.job(tmp_path / "job", "redis", OBJECTS, redisEnterprise={"operator": OPERATOR})
    definition = site.node.kubectl("get", "crd", "shops.shop.example.com", "-o", "yaml")
    (file.parent / "definition.yaml").write_text(definition)
    file.write_text(file.read_text().replace("- app.yaml", "- app.yaml\n- definition.yaml"))
    monkeypatch.setenv("DOCKER_CONFIG", str(file.parent))
    target = f"{site.own.host}/mirror"
    lock = ["--lock", str(file.parent / "homeport.lock"), "--operator", OPERATOR]
    verify = ["verify", "--ca-file", str(site.ca_file), "--registry", target, "--cluster", "-n", "redis", *lock]
    assert all(image.startswith(("redislabs/", "shop/")) for image in site.images("redis"))
    before = [site.get("redisenterprisecluster", "redis", "rec")["spec"], site.get("shop", "redis", "corner")["spec"]]
    assert run(verify[:-4]) == 1
    capsys.readouterr()

    assert run(["apply", str(file), "--cluster"]) == 0, "".join(capsys.readouterr())
    err = capsys.readouterr().err
    assert err.index("Deployment/redis/redis-enterprise-operator: changed") < err.index(
        "RedisEnterpriseCluster/redis/rec"
    )
    assert all(image.startswith(f"{target}/") for image in site.images("redis"))
    front = site.get("deployment", "redis", "front")["spec"]["template"]["spec"]
    assert front["imagePullSecrets"] == [{"name": "private"}]

    with site.without(site.hub):
        site.node.kubectl("delete", "pods", "--all", "-n", "redis")
        site.node.forget_images()
        site.wait_for_pods("redis", 4)
        assert run(verify) == 0, capsys.readouterr()
        assert capsys.readouterr().out == ""
        log = tmp_path / "access.log"
        log.write_text("".join(site.own.lines))
        assert run([*verify, "--access-log", str(log), "-o", "json"]) == 0
        shown = json.loads(capsys.readouterr().out)["cluster"]["log"]["shown"]
        # A pod that came back before the node had forgotten its image was asked for by its digest only.
        assert {it["how"] for it in shown} <= {"fetched", "asked"}
        assert sum(len(it["containers"]) for it in shown) == 5

        rigger = {"repository": f"{target}/redislabs/k8s-controller", "versionTag": OPERATOR}
        field = "/spec/redisEnterpriseServicesRiggerImageSpec"
        site.patch("rec", "redis", "rec", [{"op": "remove", "path": field}])
        assert run(verify) == 1
        assert f"docker.io/redislabs/k8s-controller:{OPERATOR}" in capsys.readouterr().out.splitlines()
        site.patch("rec", "redis", "rec", [{"op": "add", "path": field, "value": rigger}])
        site.wait_for_pods("redis", 4)
        site.node.wait(lambda: run(verify) == 0, "the spec that was forgotten is not back")

    assert run(["rollback", str(file)]) == 0
    after = [site.get("redisenterprisecluster", "redis", "rec")["spec"], site.get("shop", "redis", "corner")["spec"]]
    assert after == before
    assert all(image.startswith(("redislabs/", "shop/")) for image in site.images("redis"))
    assert (
        json.loads(site.node.kubectl("get", "serviceaccount", "default", "-n", "redis", "-o", "json")).get(
            "imagePullSecrets"
        )
        is None
    )
