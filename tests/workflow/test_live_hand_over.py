"""The change that is another tool's to make, as files: for Helm, Flux, Argo CD and OLM."""

import base64
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from homeport.cluster.api import Api
from homeport.cluster.helm_releases import Chart, File, Release, read_release, unpack
from homeport.cluster.kubeconfig import load_config
from homeport.cluster.owners import Owner, tool_of
from homeport.discovery.knowledge import Knowledge, SecretField
from homeport.errors import ClusterError, InputError
from homeport.mapping import Target
from homeport.reference import Reference
from homeport.workflow.helm_values import _why_left
from homeport.workflow.live_changes import BroughtOnly, Rules, is_decided, wanted_of
from homeport.workflow.live_hand_over import hand_over, handed_to_git, handed_to_helm, handed_to_olm
from homeport.workflow.live_helm import write_release
from tests.kit import api_server
from tests.kit.api_server import StandIn

TO = "registry.example.com/mirror"
BROUGHT = ("team/web:1", "team/side:2", "quay.io/team/op@sha256:" + "a" * 64)
SHOP = Knowledge(secrets=(SecretField("example.com", "Shop", ("spec", "pull"), "name"),))


def rules(*brought: str, hand_over: bool = True) -> Rules:
    images = frozenset(Reference.parse(it).pinned for it in brought or BROUGHT)
    return Rules(BroughtOnly(Target.parse(TO), brought=images), SHOP, "private", hand_over=hand_over)


def deployment(*images: str, env: dict[str, str] | None = None, **metadata: Any) -> dict[str, Any]:
    variables = [{"name": name, "value": value} for name, value in (env or {}).items()]
    containers = [{"name": f"c{n}", "image": image, "env": variables} for n, image in enumerate(images)]
    spec = {"template": {"spec": {"containers": containers}}}
    metadata = {"namespace": "shop", "name": "web", **metadata}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def shop(image: str) -> dict[str, Any]:
    metadata = {"namespace": "shop", "name": "corner"}
    return {"apiVersion": "example.com/v1", "kind": "Shop", "metadata": metadata, "spec": {"image": image}}


IMAGES = [{"name": "quay.io/team/op", "newName": f"{TO}/team/op"}, {"name": "team/web", "newName": f"{TO}/team/web"}]


def written(owner: Owner, *objects: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    (file,), rest = handed_to_git(owner, objects, rules())
    assert rest == ()
    return file.name, yaml.safe_load(file.text)


def test_each_tool_gets_images_and_patches_where_it_takes_them() -> None:
    objects = deployment("team/web:1", BROUGHT[2]), shop("team/web:1")
    name, flux = written(Owner("", "", "Kustomization", "apps", "flux-system"), *objects)
    assert name == "flux/flux-system.apps.kustomization.yaml"
    assert (flux["apiVersion"], flux["kind"]) == ("kustomize.toolkit.fluxcd.io/v1", "Kustomization")
    assert flux["metadata"] == {"name": "apps", "namespace": "flux-system"}
    assert flux["spec"]["images"] == IMAGES
    (patch,) = flux["spec"]["patches"]
    assert patch["target"] == {
        "group": "example.com",
        "version": "v1",
        "kind": "Shop",
        "name": "corner",
        "namespace": "shop",
    }
    assert yaml.safe_load(patch["patch"]) == [
        {"op": "replace", "path": "/spec/image", "value": f"{TO}/team/web:1"},
        {"op": "add", "path": "/spec/pull", "value": "private"},
    ]

    name, release = written(Owner("", "", "HelmRelease", "apps", "flux-system"), *objects)
    assert name == "flux/flux-system.apps.helmrelease.yaml"
    assert (release["apiVersion"], release["kind"]) == ("helm.toolkit.fluxcd.io/v2", "HelmRelease")
    assert release["spec"] == {"postRenderers": [{"kustomize": flux["spec"]}]}

    name, argo = written(Owner("", "", "Application", "apps"), *objects)
    assert (name, argo["metadata"]) == ("argo/apps.application.yaml", {"name": "apps"})
    assert argo["spec"]["source"]["kustomize"] == {
        "images": [f"quay.io/team/op={TO}/team/op", f"team/web={TO}/team/web"],
        "patches": flux["spec"]["patches"],
    }


def test_a_tag_that_is_not_brought_is_not_moved_along() -> None:
    objects = [deployment("team/web:1"), deployment("team/web:9", name="other")]
    files, (sentence,) = handed_to_git(Owner("Flux", "", "Kustomization", "apps"), objects, rules())
    assert files == ()
    assert "team/web:9 is not brought, and kustomize's images would move every tag of team/web" in sentence


def bundle() -> dict[str, Any]:
    pod = {"containers": [{"name": "c0", "image": BROUGHT[2], "env": [
        {"name": "LEVEL", "value": "info"}, {"name": "RELATED_IMAGE_WEB", "value": "docker.io/team/web:1"}]}]}  # fmt: skip
    install = {"spec": {"deployments": [{"name": "op", "spec": {"template": {"spec": pod}}}]}}
    metadata = {"namespace": "olm", "name": "op.v1", "resourceVersion": "7"}
    spec = {"install": install, "relatedImages": [{"name": "web", "image": "docker.io/team/web:1"}],
            "parameters": [{"name": "SIDE_IMAGE", "value": "docker.io/team/side:2"}]}  # fmt: skip
    kind = {"apiVersion": "operators.coreos.com/v1alpha1", "kind": "ClusterServiceVersion"}
    return {**kind, "metadata": metadata, "spec": spec}


def test_olm_gets_a_patch_that_fails_where_something_has_changed_and_the_subscriptions_environment() -> None:
    theirs = [{"name": "PROXY", "value": "x"}, {"name": "RELATED_IMAGE_WEB", "value": "old"}]
    subscription = {"metadata": {"name": "sub"}, "spec": {"config": {"env": theirs}}}
    (patch, environment), rest = handed_to_olm(bundle(), subscription, rules())
    assert rest == ()
    operations = json.loads(patch.text)
    container = "/spec/install/spec/deployments/0/spec/template/spec/containers/0"
    paths = {
        f"{container}/image",
        f"{container}/env/1/value",
        "/spec/relatedImages/0/image",
        "/spec/parameters/0/value",
    }
    assert {it["path"]: it["value"] for it in operations if it["op"] == "test"} == {
        f"{container}/image": BROUGHT[2],
        f"{container}/env/1/value": "docker.io/team/web:1",
        "/spec/relatedImages/0/image": "docker.io/team/web:1",
        "/spec/parameters/0/value": "docker.io/team/side:2",
    }
    assert {it["path"] for it in operations if it["op"] == "replace"} == paths
    assert operations[0]["op"] == "test"
    assert patch.name == "olm/olm.op.v1.patch.json"
    assert patch.use[0] == "kubectl patch clusterserviceversion op.v1 -n olm --type=json --patch-file FILE"
    assert yaml.safe_load(environment.text) == {
        "spec": {"config": {"env": [{"name": "PROXY", "value": "x"},
                                    {"name": "RELATED_IMAGE_WEB", "value": f"{TO}/team/web:1"}]}}
    }  # fmt: skip
    assert (
        environment.use[0]
        == "kubectl patch subscription.operators.coreos.com sub -n olm --type=merge --patch-file FILE"
    )


def test_a_subscription_that_is_not_known_is_to_be_named() -> None:
    (_, environment), _ = handed_to_olm(bundle(), None, rules())
    assert " SUBSCRIPTION -n olm " in environment.use[0]


@pytest.mark.parametrize(
    ("value", "decided"),
    [
        (deployment("team/web:1", annotations={"meta.helm.sh/release-name": "shop"}), True),
        (deployment("team/web:1", labels={"kustomize.toolkit.fluxcd.io/name": "apps"}), True),
        (deployment("team/web:1", labels={"olm.owner": "op.v1"}), False),
        (deployment("team/web:1"), False),
        (bundle(), True),
        (
            {
                **bundle(),
                "metadata": {**bundle()["metadata"], "labels": {"olm.copiedFrom": "x", "olm.managed": "true"}},
            },
            False,
        ),
        (
            deployment(
                "team/web:1",
                labels={"argocd.argoproj.io/instance": "apps"},
                ownerReferences=[{"kind": "ReplicaSet", "name": "x", "controller": True, "uid": "u"}],
            ),
            False,
        ),
    ],
)
def test_what_another_object_makes_is_not_asked_of_a_tool(value: dict[str, Any], decided: bool) -> None:
    assert is_decided(value) is decided


def test_pods_that_a_tool_will_move_get_their_secret_before() -> None:
    value = deployment("team/web:1", annotations={"meta.helm.sh/release-name": "shop"})
    assert wanted_of(value, rules()).account == "default"
    assert wanted_of(value, rules()).handed
    other = wanted_of(value, rules(hand_over=False))
    assert (other.account, other.handed) == ("", False)
    olm = wanted_of(deployment("team/web:1", labels={"olm.owner": "op.v1"}), rules())
    assert (olm.account, olm.handed) == ("default", False), "its ClusterServiceVersion is"
    stays = wanted_of(deployment("team/web:9", annotations={"meta.helm.sh/release-name": "shop"}), rules())
    assert (stays.account, stays.handed) == ("", False)


def test_a_tools_unit_is_named_with_its_namespace() -> None:
    def unit(**metadata: Any) -> tuple[str, str, str]:
        owner = tool_of(deployment("x", **metadata))
        assert owner
        return owner.kind, owner.namespace, owner.called

    helm = {"meta.helm.sh/release-name": "shop"}
    assert unit(annotations=helm) == ("Release", "shop", "shop")
    assert unit(annotations={**helm, "meta.helm.sh/release-namespace": "far"}) == ("Release", "far", "shop")
    flux = {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
    assert unit(labels=flux) == ("Kustomization", "flux-system", "apps")
    flux = {"helm.toolkit.fluxcd.io/name": "apps", "helm.toolkit.fluxcd.io/namespace": "flux-system"}
    assert unit(labels=flux, annotations=helm) == ("HelmRelease", "flux-system", "apps")
    assert unit(labels={"argocd.argoproj.io/instance": "apps"}) == ("Application", "", "apps")
    tracked = {"argocd.argoproj.io/tracking-id": "teams_apps:apps/Deployment:shop/web"}
    assert unit(annotations=tracked) == ("Application", "teams", "apps")


def release(**more: Any) -> Release:
    chart = Chart({"name": "demo", "version": "0.1.0", "dependencies": [{"name": "cache"}]}, (File("templates/a.yaml", b"a"),),
                  {"image": "team/web:1", "port": 80}, None, (File("files/b", b"b"),))  # fmt: skip
    fields: dict[str, Any] = {"name": "shop", "namespace": "shop", "chart": chart, "config": {"port": 81}}
    return Release(**(fields | more))


def test_a_releases_chart_is_written_with_the_values_that_count(tmp_path: Path) -> None:
    write_release(release(), tmp_path)
    found = {str(it.relative_to(tmp_path)): it.read_text() for it in tmp_path.rglob("*") if it.is_file()}
    assert yaml.safe_load(found.pop("values.yaml")) == {"image": "team/web:1", "port": 81}
    assert yaml.safe_load(found.pop("Chart.yaml")) == {"name": "demo", "version": "0.1.0"}
    assert found == {"templates/a.yaml": "a", "files/b": "b"}


@pytest.mark.parametrize("name", ["../x", "/tmp/x", "templates/../../x", "a\0b"])
def test_a_release_cannot_write_outside_its_folder(name: str, tmp_path: Path) -> None:
    chart = Chart({"name": "demo"}, (File(name, b"x"),))
    with pytest.raises(InputError):
        write_release(release(chart=chart), tmp_path / "chart")
    assert not (tmp_path / "x").exists()
    files, rest = handed_to_helm(release(chart=chart), rules())
    assert files == []
    assert "leads out of the chart" in rest[0]


def test_contained_charts_are_not_in_a_release_and_that_is_said() -> None:
    manifest = "---\n# Source: demo/templates/a.yaml\na: 1\n---\n# Source: demo/charts/cache/templates/pod.yaml\nb: 1\n"
    files, rest = handed_to_helm(release(manifest=manifest), rules())
    assert files == []
    assert rest[0] == "Helm (release shop): Helm keeps no contained charts, and cache rendered a part of it"
    assert "homeport helm-plugin DIR --to registry.example.com/mirror --pull-secret private" in rest[1]
    assert "helm upgrade shop CHART --version 0.1.0 -n shop --reuse-values --post-renderer homeport" in rest[1]


def test_a_release_is_unpacked_as_helm_packs_it() -> None:
    text = {"name": "shop", "namespace": "n", "chart": {"metadata": {"name": "demo"}, "files": None, "schema": None,
            "templates": [{"name": "t", "data": base64.b64encode(b"x").decode()}]}, "config": None, "version": 3}  # fmt: skip
    packed = base64.b64encode(base64.b64encode(gzip.compress(json.dumps(text).encode()))).decode()
    found = unpack({"data": {"release": packed}}, Release)
    assert found
    assert found.chart.templates == (File("t", b"x"),)
    assert unpack({"data": {"release": packed[:-40]}}, Release) is None
    assert unpack({"data": {"release": "%"}}, Release) is None
    assert unpack({}, Release) is None


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[StandIn, Api]]:
    with api_server.running(tmp_path) as server:
        monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig()))
        with Api(load_config()) as found:
            yield server, found


def kept(version: int, chart: str, status: str = "deployed") -> dict[str, Any]:
    text = {"name": "shop", "namespace": "shop", "chart": {"metadata": {"name": chart}}}
    packed = base64.b64encode(base64.b64encode(json.dumps(text).encode())).decode()
    labels = {"owner": "helm", "status": status, "name": "shop", "version": str(version)}
    metadata = {"name": f"sh.helm.release.v1.shop.v{version}", "namespace": "shop", "labels": labels}
    secret = {"apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1", "metadata": metadata}
    return {**secret, "data": {"release": packed}}


def test_the_newest_revision_that_is_deployed_counts(api: tuple[StandIn, Api]) -> None:
    server, client = api
    for version, status in ((9, "deployed"), (10, "deployed"), (2, "deployed"), (11, "failed")):
        server.create(kept(version, f"chart-{version}", status))
    assert read_release(client, "shop", "shop").chart.metadata == {"name": "chart-10"}
    with pytest.raises(ClusterError, match="Helm release shop/other: no Secret of this namespace keeps it"):
        read_release(client, "shop", "other")


def test_a_release_that_cannot_be_read_stops_no_other_tool(api: tuple[StandIn, Api]) -> None:
    _, client = api
    values = [
        deployment("team/web:1", annotations={"meta.helm.sh/release-name": "shop"}),
        deployment("team/web:1", labels={"kustomize.toolkit.fluxcd.io/name": "apps"}),
    ]
    made = hand_over(client, values, rules())
    assert [it.name for it in made.files] == ["flux/apps.kustomization.yaml"]
    assert made.rest == (
        "Helm (release shop): Helm release shop/shop: no Secret of this namespace keeps it as deployed",
    )


def test_the_subscription_that_installed_a_bundle_is_found(api: tuple[StandIn, Api]) -> None:
    server, client = api
    kind = {"apiVersion": "operators.coreos.com/v1alpha1", "kind": "Subscription"}
    server.define("operators.coreos.com", "Subscription", "v1alpha1")
    for name, installed in (("another", "another.v3"), ("mine", "op.v1")):
        server.create({**kind, "metadata": {"name": name, "namespace": "olm"}, "status": {"installedCSV": installed}})
    made = hand_over(client, [bundle()], rules())
    assert [it.name for it in made.files] == ["olm/olm.op.v1.patch.json", "olm/olm.mine.subscription.yaml"]


def test_why_an_image_is_left_by_values() -> None:
    assert _why_left(Reference.parse("team/web:9"), rules().mapping) == "it is not among the images that are brought"
    assert _why_left(Reference.parse("team/web:1"), rules().mapping).startswith("no value says this image")
