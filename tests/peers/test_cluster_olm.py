"""What OLM decides is left alone: its digests are brought, and nodes are told where they are."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from homeport.cli.app import run
from homeport.cluster.pull_secrets import make_pull_secret
from homeport.mapping import Target
from homeport.registry.credentials import Credential
from tests.kit.cluster_contract import made
from tests.peers.kube_site import PASSWORD, USER, Site, workload

pytestmark = pytest.mark.peers

RED_HAT = "registry.connect.redhat.com"
NAMES = ("redislabs/redis-enterprise-operator", "redislabs/services-manager")


@pytest.fixture(params=["site", "newer_site"], ids=["containerd 1", "containerd 2"])
def house(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    found: Site = request.getfixturevalue(request.param)
    monkeypatch.setenv("KUBECONFIG", str(found.node.api.kubeconfig()))
    found.node.api.define("operators.coreos.com", "ClusterServiceVersion", "v1alpha1")
    yield found
    found.node.kubectl("delete", "crd", "clusterserviceversions.operators.coreos.com")


def bundle(images: list[str]) -> dict[str, Any]:
    related = [{"name": image.rpartition("/")[2].partition("@")[0], "image": image} for image in images]
    spec = {"displayName": "Redis Enterprise Operator", "version": "7.2.4-7.0", "relatedImages": related}
    name = "redis-enterprise-operator.v7.2.4-7.0"
    return made("ClusterServiceVersion", name, spec, api_version="operators.coreos.com/v1alpha1", namespace="olm")


def test_an_operator_of_olm_runs_from_the_private_registry_by_its_digests(
    house: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site = house
    digests = site.publish(*(f"{name}:7.2.4-7" for name in NAMES))
    images = [f"{RED_HAT}/{name}@{digests[f'{name}:7.2.4-7']}" for name in NAMES]
    site.redirect(RED_HAT, site.hub)
    site.node.namespace("olm")
    # Nodes choose a pull secret by the name in the manifest, which stays Red Hat's.
    secret = make_pull_secret("nodes", "olm", Target.parse(RED_HAT), Credential(USER, PASSWORD))
    site.node.api.create(secret)
    csv = site.node.api.create(bundle(images))
    owner = {"apiVersion": csv["apiVersion"], "kind": csv["kind"], "name": csv["metadata"]["name"]}
    pods = {"imagePullSecrets": [{"name": "nodes"}]}
    objects = [workload("Deployment", f"part-{n}", "olm", image, **pods) for n, image in enumerate(images)]
    for value in objects:
        value["metadata"]["ownerReferences"] = [owner | {"uid": csv["metadata"]["uid"], "controller": False}]
    site.run("olm", objects)

    file = site.job(tmp_path / "job", "olm", [bundle(images)])
    config = yaml.safe_load(file.read_text())
    config["registries"][RED_HAT] = {"endpoint": site.hub.url}
    file.write_text(yaml.safe_dump(config))
    monkeypatch.setenv("DOCKER_CONFIG", str(file.parent))
    assert run(["apply", str(file), "--cluster", "-n", "olm", "-o", "json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert [it["status"] for it in report["job"]["mirror"]["images"]] == ["copied", "copied"]
    (first, *_) = (it for it in report["cluster"]["left"] if it.startswith("Deployment/olm/part-0"))
    assert "OLM (redis-enterprise-operator.v7.2.4-7.0) decides: change the catalog" in first
    (of_bundle, *_) = (it for it in report["cluster"]["left"] if it.startswith("ClusterServiceVersion/olm/"))
    assert "its catalog decides what it says" in of_bundle
    assert site.images("olm") == set(images)

    out = tmp_path / "out"
    assert run(["apply", str(file), "--cluster", "-n", "olm", "--dry-run", "--hand-over", str(out), "-o", "json"]) == 1
    (handed,) = json.loads(capsys.readouterr().out)["handed"]
    command = handed["use"][0].split()
    patched = json.loads(site.node.kubectl(*command[1:], "--dry-run=server", "-o", "json"))
    moved = [f"{site.own.host}/mirror/{image.partition('/')[2]}" for image in images]
    assert [it["image"] for it in patched["spec"]["relatedImages"]] == moved

    nodes = ["nodes", "--to", f"{site.own.host}/mirror", "--runtime", "containerd", "--ca-file", str(site.ca_file)]
    assert run([*nodes, "--output-dir", str(tmp_path), str(file.parent / "app.yaml")]) == 0
    for written in (tmp_path / "etc/containerd/certs.d" / RED_HAT).iterdir():
        (site.node.certs / RED_HAT / written.name).write_text(written.read_text())
    with site.without(site.hub):
        site.node.kubectl("delete", "pods", "--all", "-n", "olm")
        site.node.forget_images()
        site.wait_for_pods("olm", 2)
    assert site.images("olm") == set(images)
