"""Roll-outs that fail on a real node: what is wrong is said in words, with what to do next."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from homeport.cluster.api import Api
from homeport.cluster.kubeconfig import load_config
from homeport.cluster.pull_secrets import make_pull_secret
from homeport.discovery.findings import ObjectKey
from homeport.errors import ClusterError
from homeport.mapping import Target
from homeport.registry.credentials import Credential
from homeport.registry.session import Registries
from homeport.workflow.live_changes import Wanted
from homeport.workflow.live_rollout import Waiter
from tests.kit.images import index, put
from tests.kit.servers import serve_process, write_certificate
from tests.peers.kube_images import sleeper, sleepers
from tests.peers.kube_site import PASSWORD, USER, Site, workload

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module", autouse=True)
def _filled(site: Site) -> None:
    site.node.namespace("bad")
    with site.login() as registries:
        client = registries.client(site.own.host)
        put(sleepers("app"), client, "team/app", "1")
        put(index(sleeper("mainframe", "s390x")), client, "team/mainframe", "1")


@pytest.fixture
def api(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setenv("KUBECONFIG", str(site.node.api.kubeconfig()))
    with Api(load_config()) as api:
        yield api


def fails(site: Site, api: Api, name: str, image: str, secret: dict[str, Any] | None = None) -> str:
    """Roll out a Deployment that cannot start, and return what is said of it."""
    secrets: dict[str, Any] = {}
    if secret:
        secrets = {"imagePullSecrets": [{"name": secret["metadata"]["name"]}]}
        if secret["metadata"].get("namespace"):
            site.node.api.create(secret)
    value = site.node.api.create(workload("Deployment", name, "bad", image, **secrets))
    lines: list[str] = []
    with pytest.raises(ClusterError, match=f"Deployment/bad/{name} does not roll out") as caught:
        Waiter(api, lines.append, lambda: None, 60).wait(
            Wanted(value, ObjectKey("apps/v1", "Deployment", "bad", name)), lambda _: False
        )
    assert caught.value.hint
    return str(caught.value)


def secret_for(host: str, name: str, password: str = PASSWORD, namespace: str = "bad") -> dict[str, Any]:
    return make_pull_secret(name, namespace, Target.parse(host), Credential(USER, password))


def test_an_image_that_is_not_there(site: Site, api: Api) -> None:
    said = fails(site, api, "absent", f"{site.own.host}/team/none:1", secret_for(site.own.host, "good"))
    assert "the registry has no such image: `homeport mirror` brings it" in said


def test_no_pull_secret(site: Site, api: Api) -> None:
    assert "the pod names no pull secret" in fails(site, api, "bare", f"{site.own.host}/team/app:1")


def test_a_secret_of_another_host(site: Site, api: Api) -> None:
    said = fails(site, api, "other-host", f"{site.own.host}/team/app:1", secret_for("other.example.com", "elsewhere"))
    assert "Secret elsewhere has no credentials for it (keys: other.example.com)" in said


def test_a_secret_that_is_in_another_namespace(site: Site, api: Api) -> None:
    site.node.api.create(secret_for(site.own.host, "far", namespace="default"))
    said = fails(site, api, "far", f"{site.own.host}/team/app:1", {"metadata": {"name": "far"}})
    assert "Secret far is not in the pod's namespace, or holds nothing" in said


def test_a_secret_of_the_wrong_type(site: Site, api: Api) -> None:
    opaque = {**secret_for(site.own.host, "opaque"), "type": "Opaque"}
    said = fails(site, api, "opaque", f"{site.own.host}/team/app:1", opaque)
    assert "its type is Opaque, not kubernetes.io/dockerconfigjson" in said


def test_a_password_that_is_not_accepted(site: Site, api: Api) -> None:
    said = fails(site, api, "stale", f"{site.own.host}/team/app:1", secret_for(site.own.host, "stale", "0ld-word"))
    assert "Secret stale has credentials for it, and they are not accepted" in said
    assert "0ld-word" not in said


def test_another_architecture(site: Site, api: Api) -> None:
    said = fails(site, api, "mainframe", f"{site.own.host}/team/mainframe:1", secret_for(site.own.host, "fits"))
    assert "the image is not for this node's architecture" in said


def test_no_image_name(site: Site, api: Api) -> None:
    assert "InvalidImageName: Team/App:1 is not an image name" in fails(site, api, "upper", "Team/App:1")


def test_a_registry_that_is_away(site: Site, api: Api) -> None:
    assert "the node cannot reach the registry" in fails(site, api, "away", "127.0.0.1:1/team/app:1")


def test_a_certificate_that_the_node_does_not_trust(site: Site, api: Api, tmp_path: Path) -> None:
    _, certificate, key = write_certificate(tmp_path)
    tls = ("--tls-cert", str(certificate), "--tls-key", str(key))
    with serve_process(tmp_path / "data", *tls) as server, Registries() as _:
        (site.node.certs / server.host).mkdir()
        (site.node.certs / server.host / "hosts.toml").write_text(
            f'[host."{server.url}"]\n  capabilities = ["pull", "resolve"]\n'
        )
        said = fails(site, api, "tls", f"{server.host}/team/app:1")
    assert "the node does not trust the registry's certificate: `homeport nodes` prints what nodes need" in said


def test_a_quota_that_is_used_up(site: Site, api: Api) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none", "namespace": "bad"}}
    site.node.kubectl("create", "quota", "none", "--hard=pods=0", "-n", "bad")
    try:
        said = fails(site, api, "many", f"{site.own.host}/team/app:1")
    finally:
        site.node.kubectl("delete", quota["kind"], "none", "-n", "bad")
    assert "no pod can be made" in said
    assert "exceeded quota: none" in said
