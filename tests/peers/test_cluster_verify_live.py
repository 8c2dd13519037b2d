"""`homeport verify --cluster` on a cluster whose pods really pull: events as evidence, probes, drift."""

import json
from pathlib import Path

import pytest

from homeport.cli.app import run
from homeport.cluster.api import Api
from homeport.cluster.kubeconfig import load_config
from homeport.cluster.pull_access import Access, held
from homeport.cluster.pull_secrets import make_pull_secret
from homeport.mapping import Target
from homeport.reference import Reference
from homeport.registry.credentials import Credential
from homeport.workflow.live_probe import Wish, probe
from tests.kit.images import put
from tests.kit.servers import docker_config
from tests.peers.kube_images import sleepers
from tests.peers.kube_node import NODE
from tests.peers.kube_site import PASSWORD, USER, Site, workload

pytestmark = pytest.mark.peers


@pytest.fixture(autouse=True)
def _as_admin(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(site.node.api.kubeconfig()))
    docker_config(tmp_path, site.own.host, USER, PASSWORD)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))


@pytest.fixture(scope="module")
def shop(site: Site) -> str:
    """A Deployment whose pods run from the private registry, with a secret that their service account lends."""
    with site.login() as registries:
        put(sleepers("app"), registries.client(site.own.host), "team/app", "1")
    image = f"{site.own.host}/team/app:1"
    site.node.namespace("proof")
    site.node.api.create(make_pull_secret("pull", "proof", Target.parse(site.own.host), Credential(USER, PASSWORD)))
    lend(site, "pull")
    web = workload("Deployment", "web", "proof", image, replicas=2)
    site.node.kubectl("apply", "-f", "-", text=json.dumps(web))
    site.node.kubectl("rollout", "status", "deployment/web", "-n", "proof", "--timeout=180s")
    return image


def lend(site: Site, *secrets: str) -> None:
    patch = json.dumps({"imagePullSecrets": [{"name": name} for name in secrets]})
    site.node.kubectl("patch", "serviceaccount", "default", "-n", "proof", "--type=merge", "-p", patch)


def lock(tmp_path: Path, site: Site) -> list[str]:
    with site.login() as registries:
        head = registries.client(site.own.host).head_manifest("team/app", "1")
    file = tmp_path / "homeport.lock"
    file.write_text(json.dumps({"docker.io/team/app:1": head.digest}))
    return [
        "verify",
        "--ca-file",
        str(site.ca_file),
        "--registry",
        site.own.host,
        "--cluster",
        "-n",
        "proof",
        "--lock",
        str(file),
    ]


def pods(site: Site, labels: str) -> str:
    return site.node.kubectl("get", "pods", "-A", "-l", labels, "-o", "name")


def test_events_tell_who_pulled_and_a_probe_that_the_node_can(
    site: Site, shop: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verify = lock(tmp_path, site)
    assert run([*verify, "-o", "json"]) == 0
    (evidence,) = json.loads(capsys.readouterr().out)["cluster"]["origins"]
    assert (evidence["image"], evidence["nodes"], evidence["silent"]) == (shop, [NODE], 0)
    # Of two pods that start at once on one node, each may pull or find what the other pulled.
    assert evidence["pulled"] >= 1
    assert evidence["pulled"] + evidence["present"] == 2

    assert run([*verify, "--probe"]) == 0
    err = capsys.readouterr().err
    assert f"{NODE}: {shop} in proof: pulled\n" in err
    assert "1 proven" in err
    assert pods(site, "app.kubernetes.io/component=probe") == ""


def test_the_registrys_log_shows_which_node_fetched_what_runs(
    site: Site, shop: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "access.log"
    log.write_text("".join(site.own.lines))
    verify = [*lock(tmp_path, site), "--access-log", str(log)]
    assert run([*verify, "-o", "json"]) == 0
    cluster = json.loads(capsys.readouterr().out)["cluster"]
    shown = cluster["log"]["shown"]
    assert [(it["image"], it["node"], it["how"], it["fetch"]["client"]) for it in shown] == [
        (shop, NODE, "fetched", site.address())
    ] * len(shown)
    assert sum(len(it["containers"]) for it in shown) == 2
    assert all(it["fetch"]["agent"].startswith("containerd/") for it in shown)
    # What the log shows is not unknown any more.
    assert cluster["unknown"] == []

    log.write_text("junk\n")
    assert run(verify) == 0
    err = capsys.readouterr().err
    assert "not shown by the log: the log tells of no manifest\n" in err
    assert f"of the log 1 line cannot be read: {log}:1\n" in err


def test_a_service_account_that_lends_no_longer_is_wrong_although_all_pods_run(
    site: Site, shop: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lend(site)
    try:
        assert run(lock(tmp_path, site)) == 1
        out, err = capsys.readouterr()
        assert out == f"{shop}\n"
        assert "no pull secret is named, and service account default lends none" in err
        assert "    Deployment/proof/web spec.template.spec.containers[0].image\n" in err
        assert "    Pod/proof/web-" not in err
    finally:
        lend(site, "pull")


def test_a_probe_says_why_a_node_cannot_pull_and_leaves_nothing(site: Site, shop: str) -> None:
    said: list[str] = []
    with Api(load_config()) as api:
        absent = Reference.parse(f"{site.own.host}/team/none:1")
        (probed,) = probe(api, [Wish(NODE, "proof", absent, Access(secrets=("pull",)))], said.append)
        assert probed.pulled is False
        assert "the registry has no such image" in probed.reason
        (probed,) = probe(api, [Wish(NODE, "nowhere", absent, Access())], said.append)
        assert (probed.pulled, "nowhere" in probed.reason) == (None, True)
    assert pods(site, "app.kubernetes.io/component=probe") == ""


def test_an_interrupted_probe_removes_its_pods_and_the_next_what_a_killed_one_left(site: Site, shop: str) -> None:
    secret = make_pull_secret("pull", "proof", Target.parse(site.own.host), Credential(USER, PASSWORD))
    access = Access(held(secret).keyring, ("pull",))
    good, absent = Reference.parse(shop), Reference.parse(f"{site.own.host}/team/none:2")

    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    with Api(load_config()) as api:
        with pytest.raises(KeyboardInterrupt):
            probe(api, [Wish(NODE, "proof", good, access), Wish(NODE, "proof", absent, access)], interrupt)
        assert pods(site, "app.kubernetes.io/component=probe") == ""
        left = {"app.kubernetes.io/managed-by": "homeport", "app.kubernetes.io/component": "probe"}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "left", "namespace": "proof", "labels": left}}
        site.node.api.create({**pod, "spec": {"containers": [{"name": "c", "image": shop}]}})
        assert [each.pulled for each in probe(api, [Wish(NODE, "proof", good, access)], str)] == [True]
    site.node.wait(lambda: not pods(site, "app.kubernetes.io/component=probe"), "what was left is still there")


def test_what_has_changed_since_the_last_report(
    site: Site, shop: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verify = lock(tmp_path, site)[:-2]
    run([*verify, "-o", "json"])
    earlier = tmp_path / "earlier.json"
    earlier.write_text(capsys.readouterr().out)
    assert run([*verify, "--since", str(earlier)]) == 0
    assert "nothing has changed since the last report" in capsys.readouterr().err
    with site.login() as registries:
        put(sleepers("other"), registries.client(site.own.host), "team/app", "1")
    assert run([*verify, "--since", str(earlier)]) == 1
    out, err = capsys.readouterr()
    assert out == f"{shop}\n"
    assert f"moved since the last report: {shop}: sha256:" in err
