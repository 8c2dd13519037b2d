"""What a scan tells of owners, nodes and what is really pulled, tested alike on the stand-in and on a real API server."""

import base64
import gzip
import json
from typing import Any

import pytest
import yaml

from homeport.cli.app import run
from tests.kit.cluster_contract import Cluster, made, pod_spec, template

OPERATOR = "redislabs/operator:7.2.4-7"
DIGEST = "sha256:" + "a" * 64
HELM = {"meta.helm.sh/release-name": "shop"}
LABELS = {"app": "web"}
PAUSE = "registry.example.com/pause:3.10"


def status_of(image_id: str, *, phase: str = "Running", name: str = "c0") -> dict[str, Any]:
    container = {"name": name, "image": "x", "imageID": image_id, "ready": True, "restartCount": 0}
    return {"phase": phase, "containerStatuses": [container]}


def with_metadata(value: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    value["metadata"] |= metadata
    return value


def build_owned(cluster: Cluster) -> None:
    """Fill a cluster with what a Helm release, a CronJob, an operator of OLM and a kubelet made."""
    for name in ("shop", "redis", "platform"):
        cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        account = {"name": "default", "namespace": name}
        cluster.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
    _build_nodes(cluster)
    _build_shop(cluster)
    _build_release(cluster)
    _build_redis(cluster)


def _build_nodes(cluster: Cluster) -> None:
    info = {"operatingSystem": "linux", "architecture": "amd64", "containerRuntimeVersion": "containerd://2.0.0"}
    info |= dict.fromkeys(("machineID", "systemUUID", "bootID", "kernelVersion", "osImage"), "")
    info |= {"kubeletVersion": "", "kubeProxyVersion": ""}
    small = [{"names": [PAUSE, f"registry.example.com/pause@{DIGEST}"], "sizeBytes": 1}]
    many = [{"names": [f"quay.io/left/over:{number}"], "sizeBytes": 9} for number in range(49)]
    many.append({"names": ["docker.io/library/nginx:1"], "sizeBytes": 5})
    for name, images in (("n1", small), ("n2", many)):
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
        cluster.create({**node, "spec": {}, "status": {"nodeInfo": info, "images": images}})


def _build_shop(cluster: Cluster) -> None:
    spec = {"selector": {"matchLabels": LABELS}, "template": template("nginx:2")}
    spec["template"]["metadata"]["labels"] = LABELS
    web = cluster.create(with_metadata(made("Deployment", "web", spec, namespace="shop"), annotations=HELM))
    for revision in (1, 2):
        old = json.loads(json.dumps(spec))
        old["template"]["spec"]["containers"][0]["image"] = f"nginx:{revision}"
        replicas = with_metadata(made("ReplicaSet", f"web-{revision}", old, owner=web, namespace="shop"), labels=LABELS)
        replicas = cluster.create(replicas)
        pod = pod_spec(f"nginx:{revision}", nodeName="n1")
        pod["containers"][0]["imagePullPolicy"] = "IfNotPresent"
        status = status_of(f"docker.io/library/nginx@{DIGEST}")
        pod = made("Pod", f"web-{revision}-x", pod, api_version="v1", owner=replicas, status=status, namespace="shop")
        cluster.create(with_metadata(pod, labels=LABELS))
    job = {"template": template("quay.io/shop/report:1", restartPolicy="Never")}
    report = {"schedule": "0 0 * * *", "jobTemplate": {"spec": job}}
    cron = cluster.create(made("CronJob", "report", report, api_version="batch/v1", namespace="shop"))
    once = cluster.create(made("Job", "report-1", job, api_version="batch/v1", owner=cron, namespace="shop"))
    pod = made("Pod", "report-1-x", pod_spec("quay.io/shop/report:1", restartPolicy="Never"), api_version="v1",
               owner=once, status=status_of("", phase="Succeeded"), namespace="shop")  # fmt: skip
    cluster.create(pod)
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "n1", "uid": "11111111-0000-0000-0000-000000000000"},
    }
    static = made("Pod", "proxy-n1", pod_spec("registry.k8s.io/proxy:1", nodeName="n1"), api_version="v1", owner=node,
                  namespace="platform")  # fmt: skip
    cluster.create(with_metadata(static, annotations={"kubernetes.io/config.mirror": "x"}))


def _build_release(cluster: Cluster) -> None:
    """Keep a release as Helm does: one hook that runs after an upgrade."""
    hook = yaml.safe_dump(
        made("Job", "migrate", {"template": template("quay.io/shop/migrate:1")}, api_version="batch/v1")
    )
    hooks = [{"path": "shop/templates/migrate.yaml", "manifest": hook, "events": ["post-upgrade"]}]
    release = json.dumps({"name": "shop", "namespace": "shop", "hooks": hooks, "manifest": ""})
    packed = base64.b64encode(base64.b64encode(gzip.compress(release.encode()))).decode()
    labels = {"owner": "helm", "status": "deployed"}
    nested = base64.b64encode(base64.b64encode(b'{"x":' + b"[" * 100_000)).decode()
    junk = base64.b64encode(b"junk").decode()
    for name, data in (("sh.helm.release.v1.shop.v1", packed), ("broken", junk), ("nested", nested)):
        metadata = {"name": name, "namespace": "shop", "labels": labels}
        secret = {"apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1", "metadata": metadata}
        cluster.create({**secret, "data": {"release": data}})


def _build_redis(cluster: Cluster) -> None:
    spec = {"selector": {"matchLabels": {"app": "x"}}, "template": template(OPERATOR)}
    operator = cluster.create(with_metadata(made("Deployment", "operator", spec), labels={"olm.owner": "redis.v7"}))
    replicas = cluster.create(made("ReplicaSet", "operator-1", spec, owner=operator))
    cluster.create(made("Pod", "operator-1-x", pod_spec(OPERATOR), api_version="v1", owner=replicas))
    cluster.define("app.redislabs.com", "RedisEnterpriseCluster", "v1")
    cluster.create(made("RedisEnterpriseCluster", "rec", {"nodes": 3}, api_version="app.redislabs.com/v1"))


class LiveContract:
    """A subclass gives the fixture `cluster`, which `build_owned` has filled."""

    @pytest.fixture(autouse=True)
    def _admin(self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig()))
        self.capsys = capsys

    def scan(self, *arguments: str) -> dict[str, Any]:
        run(["scan", "--cluster", "-o", "json", *arguments])
        found: dict[str, Any] = json.loads(self.capsys.readouterr().out)
        return found

    def place(self, name: str, *arguments: str) -> dict[str, Any]:
        found = [place for image in self.scan(*arguments)["images"] for place in image["findings"]]
        return next(place for place in found if place["object"]["name"] == name)

    def test_a_pod_tells_its_owners_its_node_and_what_was_pulled(self) -> None:
        pod = self.place("web-2-x")
        assert pod["owners"] == ["ReplicaSet/shop/web-2", "Deployment/shop/web", "Helm (release shop)"]
        assert (pod["node"], pod["phase"], pod["policy"]) == ("n1", "Running", "IfNotPresent")
        assert pod["pulled"] == f"docker.io/library/nginx@{DIGEST}"

    @pytest.mark.parametrize(
        ("name", "owners"),
        [
            ("report-1-x", ["Job/shop/report-1", "CronJob/shop/report"]),
            ("proxy-n1", ["static pod of node n1"]),
            ("operator-1-x", ["ReplicaSet/redis/operator-1", "Deployment/redis/operator", "OLM (redis.v7)"]),
        ],
    )
    def test_whatever_decides_ends_the_chain(self, name: str, owners: list[str]) -> None:
        assert self.place(name)["owners"] == owners

    def test_a_pod_that_has_ended_is_found_with_its_phase(self) -> None:
        assert self.place("report-1-x")["phase"] == "Succeeded"

    def test_only_running_pods_are_shown_where_that_is_asked_for(self) -> None:
        found = self.scan("--only-running")["images"]
        assert [image["reference"] for image in found] == ["docker.io/library/nginx:1", "docker.io/library/nginx:2"]
        assert self.place("web-2-x", "--only-running")["owners"][1:] == ["Deployment/shop/web", "Helm (release shop)"]

    def test_a_selector_chooses_and_the_chain_goes_on_to_what_it_does_not_choose(self) -> None:
        found = [
            place["object"]["name"] for image in self.scan("-l", "app=web")["images"] for place in image["findings"]
        ]
        assert sorted(found) == ["web-1-x", "web-2-x"]
        assert self.place("web-1-x", "-l", "app=web")["owners"][-2:] == ["Deployment/shop/web", "Helm (release shop)"]

    def test_it_is_told_who_pulls_next(self) -> None:
        images = {image["reference"]: image for image in self.scan()["images"]}
        (report,) = images["quay.io/shop/report:1"]["next"]
        assert report["by"] == "CronJob/shop/report"
        (new,) = images["docker.io/library/nginx:2"]["next"]
        assert (new["by"], new["when"]) == ("Deployment/shop/web", "pulls on a node that lacks it")
        (old,) = images["docker.io/library/nginx:1"]["next"]
        assert old["when"].startswith("not by its template")

    def test_nodes_that_hold_an_image_are_counted(self) -> None:
        images = {image["reference"]: image["nodes"] for image in self.scan()["images"]}
        # n1 runs both; n2 reports as many images as a kubelet does at most.
        assert images["docker.io/library/nginx:1"] == {"held": 2, "lacking": 0, "unknown": 0}
        assert images["docker.io/library/nginx:2"] == {"held": 1, "lacking": 0, "unknown": 1}
        assert images["quay.io/shop/report:1"] == {"held": 0, "lacking": 1, "unknown": 1}

    def test_what_nodes_hold_and_nothing_names_is_apart(self) -> None:
        nodes = {node["name"]: node for node in self.scan()["nodes"]}
        assert (nodes["n1"]["unnamed"], nodes["n1"]["complete"]) == ([PAUSE], True)
        assert (len(nodes["n2"]["unnamed"]), nodes["n2"]["complete"]) == (49, False)
        assert all("unnamed" not in node or not node["unnamed"] for node in self.scan("-n", "shop")["nodes"])

    def test_the_running_operator_tells_what_a_cluster_pulls_unnamed(self) -> None:
        found = self.scan("-n", "redis")
        assert "docker.io/redislabs/k8s-controller:7.2.4-7" in [image["reference"] for image in found["images"]]
        assert found["unresolved"] == []

    def test_hooks_of_helm_releases_are_read_where_that_is_asked_for(
        self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert "quay.io/shop/migrate:1" not in [image["reference"] for image in self.scan("-n", "shop")["images"]]
        found = self.scan("-n", "shop", "--helm-hooks")
        (place,) = next(it for it in found["images"] if it["reference"] == "quay.io/shop/migrate:1")["findings"]
        assert place["source"] == "cluster admin Helm release shop/shop shop/templates/migrate.yaml"
        assert found["errors"] == [
            f"cluster admin: Secret/shop/{name} cannot be unpacked as a Helm release" for name in ("broken", "nested")
        ]
        cluster.grant("shopkeeper", ["pods"], "shop")
        monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig("shopkeeper")))
        errors = self.scan("-n", "shop", "--only-running", "--helm-hooks")["errors"]
        assert "no right to list secrets in namespace shop; the hooks of Helm releases are not in the report" in errors

    def test_several_contexts_are_told_apart(self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
        reader = cluster.kubeconfig("reader")
        cluster.grant("reader", ["pods"])
        monkeypatch.setenv("KUBECONFIG", f"{cluster.kubeconfig()}:{reader}")
        found = self.scan("--context", "admin", "--context", "reader", "--only-running")
        sources = {place["source"] for image in found["images"] for place in image["findings"]}
        assert sources == {"cluster admin", "cluster reader"}
        assert any("no right to list nodes" in sentence for sentence in found["unknown"])

    def test_the_table_is_grouped_as_wanted(self) -> None:
        assert run(["scan", "--cluster", "--by", "owner", "-n", "shop"]) == 0
        out = self.capsys.readouterr().out
        assert "Deployment/shop/web < Helm (release shop)  (cluster admin, 2 images)\n" in out
        assert f"  docker.io/library/nginx:1  1 pod on 1 node  {DIGEST[:19]}\n" in out
        assert run(["scan", "--cluster", "--by", "node"]) == 0
        out = self.capsys.readouterr().out
        assert out.index("\nruns nowhere now  (") > out.index("n1  (cluster admin, 3 images)\n")
        assert f"  {PAUSE}" in out
        assert run(["scan", "--cluster", "--by", "namespace", "--why", "nginx:2"]) == 0
        assert self.capsys.readouterr().out.startswith("shop  (cluster admin, 1 image)\n")

    def test_why_an_image_is_there_says_who_pulls_it_next(self) -> None:
        assert run(["scan", "--cluster", "--why", "nginx:2"]) == 0
        out = self.capsys.readouterr().out
        assert "    next: cluster admin  Deployment/shop/web: pulls on a node that lacks it\n" in out
        assert "    nodes: 1 hold it, 0 lack it, 1 do not say\n" in out
        assert PAUSE not in out
