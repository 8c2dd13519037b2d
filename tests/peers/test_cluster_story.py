"""The whole story on a real cluster: Redis Enterprise runs from a stand-in for Docker Hub, moves, proves it, and goes back."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from homeport.applications.redis_enterprise import images_of
from homeport.cli.app import run
from tests.kit.servers import serve_process
from tests.peers import kube_operator, kube_site
from tests.peers.kube_operator import OPERATOR, operator_deployment, redis_cluster
from tests.peers.kube_site import Site

pytestmark = pytest.mark.peers

OBJECTS = [operator_deployment("redis"), redis_cluster("redis")]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with kube_site.running(tmp_path_factory.mktemp("site"), tls=True) as site:
        site.node.api.define("app.redislabs.com", "RedisEnterpriseCluster", "v1")
        site.publish(*(f"{image.repository}:{image.tag}" for image in images_of(OPERATOR)))
        site.start("redis", OBJECTS)
        with kube_operator.running(site.node, "redis"):
            yield site


def test_redis_enterprise_moves_house(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(site.node.api.kubeconfig()))
    file = site.job(tmp_path / "job", "redis", OBJECTS, redisEnterprise={"operator": OPERATOR})
    monkeypatch.setenv("DOCKER_CONFIG", str(file.parent))
    target = f"{site.own.host}/mirror"
    lock = ["--lock", str(file.parent / "homeport.lock"), "--operator", OPERATOR]
    verify = ["verify", "--ca-file", str(site.ca_file), "--registry", target, "--cluster", "-n", "redis", *lock]
    site.node.wait(lambda: _runs(site, 3), "the operator's pods do not run")
    assert all(image.startswith("redislabs/") for image in site.images("redis"))
    rec = site.get("redisenterprisecluster", "redis", "rec")["spec"]
    assert run(verify[:-4]) == 1
    capsys.readouterr()

    assert run(["apply", str(file), "--cluster"]) == 0, capsys.readouterr()
    err = capsys.readouterr().err
    assert err.index("Deployment/redis/redis-enterprise-operator: changed") < err.index(
        "RedisEnterpriseCluster/redis/rec"
    )
    assert all(image.startswith(f"{target}/redislabs/") for image in site.images("redis"))

    assert site.hub.stop() == 0
    site.node.kubectl("delete", "pods", "--all", "-n", "redis")
    site.node.forget_images()
    site.node.wait(lambda: _runs(site, 3), "the pods do not come back")
    assert run(verify) == 0, capsys.readouterr()
    assert capsys.readouterr().out == ""

    rigger = f'{{"repository":"{target}/redislabs/k8s-controller","versionTag":"{OPERATOR}"}}'
    _patch(site, '{"op":"remove","path":"/spec/redisEnterpriseServicesRiggerImageSpec"}')
    assert run(verify) == 1
    assert f"docker.io/redislabs/k8s-controller:{OPERATOR}" in capsys.readouterr().out.splitlines()
    _patch(site, f'{{"op":"add","path":"/spec/redisEnterpriseServicesRiggerImageSpec","value":{rigger}}}')
    site.node.wait(lambda: _runs(site, 3) and run(verify) == 0, "the spec that was forgotten is not back")

    with serve_process(tmp_path / "hub") as hub:
        site.hub = hub
        site.redirect_docker_hub()
        site.publish(*(f"{image.repository}:{image.tag}" for image in images_of(OPERATOR)))
        assert run(["rollback", str(file)]) == 0
        assert site.get("redisenterprisecluster", "redis", "rec")["spec"] == rec
        assert all(image.startswith("redislabs/") for image in site.images("redis"))


def _runs(site: Site, count: int) -> bool:
    """Tell whether so many pods are ready, and no others there."""
    path = "jsonpath={.items[*].status.containerStatuses[*].ready}"
    return site.node.kubectl("get", "pods", "-n", "redis", "-o", path).split() == ["true"] * count


def _patch(site: Site, patch: str) -> None:
    site.node.kubectl("patch", "redisenterprisecluster", "rec", "-n", "redis", "--type=json", "-p", f"[{patch}]")
