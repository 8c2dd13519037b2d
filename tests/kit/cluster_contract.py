"""What a scan of a cluster promises, tested alike on the stand-in and on a real API server."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest

from homeport.applications.redis_enterprise import KNOWLEDGE
from homeport.cluster import api, scan_cluster
from homeport.discovery.findings import Scan
from homeport.errors import ClusterError, UsageError

OPERATOR = "redislabs/operator:7.2.4-7"
REDIS = "redislabs/redis:7.2.4-64"


class Cluster(Protocol):
    """What both servers offer a test."""

    server: str

    def create(self, value: dict[str, Any]) -> dict[str, Any]: ...

    def define(self, group: str, kind: str, version: str) -> None: ...

    def grant(self, user: str, plurals: Sequence[str], namespace: str = "") -> None: ...

    def kubeconfig(self, user: str = "admin") -> Path: ...


def made(
    kind: str,
    name: str,
    spec: dict[str, Any],
    *,
    api_version: str = "apps/v1",
    namespace: str = "redis",
    owner: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "namespace": namespace}
    if owner:
        reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"]}
        metadata["ownerReferences"] = [{**reference, "uid": owner["metadata"]["uid"], "controller": True}]
    value = {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}
    return value | ({"status": status} if status else {})


def pod_spec(*images: str, **more: Any) -> dict[str, Any]:
    return {"containers": [{"name": f"c{i}", "image": image} for i, image in enumerate(images)], **more}


def template(*images: str, **more: Any) -> dict[str, Any]:
    return {"metadata": {"labels": {"app": "x"}}, "spec": pod_spec(*images, **more)}


def workload(*images: str, **more: Any) -> dict[str, Any]:
    return {"selector": {"matchLabels": {"app": "x"}}, "template": template(*images), **more}


def build_world(cluster: Cluster) -> None:
    """Fill a cluster: an operator that runs twice, a REC, and workloads that run no pod, in three namespaces."""
    for namespace in ("redis", "shop", "many"):
        cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        account = {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "default", "namespace": namespace},
        }
        cluster.create(account)
    operator = cluster.create(made("Deployment", "operator", workload(OPERATOR, OPERATOR)))
    replicas = cluster.create(made("ReplicaSet", "operator-1", workload(OPERATOR, OPERATOR), owner=operator))
    cluster.create(made("ReplicaSet", "operator-0", workload("redislabs/operator:7.2.4-2", replicas=0), owner=operator))
    seen = [
        {"name": "c0", "image": "docker.io/redislabs/operator:other", "imageID": "", "ready": True, "restartCount": 0}
    ]
    for number in range(2):
        status = {"phase": "Running", "containerStatuses": seen}
        cluster.create(
            made(
                "Pod",
                f"operator-{number}",
                pod_spec(OPERATOR, OPERATOR),
                api_version="v1",
                owner=replicas,
                status=status,
            )
        )
    cluster.define("app.redislabs.com", "RedisEnterpriseCluster", "v1")
    spec = {"nodes": 3, "redisEnterpriseImageSpec": {"repository": "redislabs/redis", "versionTag": "7.2.4-64"}}
    rec = made("RedisEnterpriseCluster", "rec", spec, api_version="app.redislabs.com/v1")
    rec = cluster.create(rec)
    states = cluster.create(made("StatefulSet", "rec", {"serviceName": "rec", **workload(REDIS)}, owner=rec))
    cluster.create(made("Pod", "rec-0", pod_spec(REDIS), api_version="v1", owner=states))
    _build_idle(cluster)
    for number in range(7):
        cluster.create(made("Pod", f"p{number}", pod_spec("busybox:1"), api_version="v1", namespace="many"))


def _build_idle(cluster: Cluster) -> None:
    cluster.create(
        made(
            "StatefulSet", "db", {"serviceName": "db", "replicas": 0, **workload("quay.io/shop/db:1")}, namespace="shop"
        )
    )
    cluster.create(made("DaemonSet", "log", workload("quay.io/shop/log:1"), namespace="shop"))
    job = {"spec": {"template": template("quay.io/shop/job:1", restartPolicy="Never"), "suspend": True}}
    cluster.create(made("Job", "load", job["spec"], api_version="batch/v1", namespace="shop"))
    report = {
        "schedule": "0 0 * * *",
        "jobTemplate": {"spec": {"template": template("quay.io/shop/cron:1", restartPolicy="Never")}},
    }
    cluster.create(made("CronJob", "report", report, api_version="batch/v1", namespace="shop"))
    rolled = cluster.create(made("Deployment", "web", workload("nginx:2"), namespace="shop"))
    replicas = cluster.create(made("ReplicaSet", "web-1", workload("nginx:1"), owner=rolled, namespace="shop"))
    cluster.create(made("Pod", "web-1-x", pod_spec("nginx:1"), api_version="v1", owner=replicas, namespace="shop"))


def places(scan: Scan) -> list[tuple[str, str]]:
    return [(str(found.object), found.text) for found in scan.findings]


class ClusterContract:
    """A subclass gives the fixture `cluster`, which `build_world` has filled."""

    @pytest.fixture(autouse=True)
    def _admin(self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig()))

    def test_each_pods_image_counts_once_as_the_spec_names_it(self) -> None:
        found = Counter(
            text for place, text in places(scan_cluster(None, [], KNOWLEDGE).scan) if place.startswith("Pod/")
        )
        assert found == {OPERATOR: 2, REDIS: 1, "nginx:1": 1, "busybox:1": 7}

    def test_a_template_names_what_none_of_its_pods_does(self) -> None:
        found = [place for place in places(scan_cluster(None, [], KNOWLEDGE).scan) if not place[0].startswith("Pod/")]
        assert sorted(found) == [
            ("CronJob/shop/report", "quay.io/shop/cron:1"),
            ("DaemonSet/shop/log", "quay.io/shop/log:1"),
            ("Deployment/shop/web", "nginx:2"),
            ("Job/shop/load", "quay.io/shop/job:1"),
            ("RedisEnterpriseCluster/redis/rec", REDIS),
            ("StatefulSet/shop/db", "quay.io/shop/db:1"),
        ]

    def test_a_finding_says_which_cluster_and_field(self) -> None:
        scan = scan_cluster(None, ["redis"], KNOWLEDGE).scan
        pod = next(found for found in scan.findings if found.object.name == "operator-0")
        assert (pod.source, pod.path, pod.object.api_version) == ("cluster admin", "spec.containers[0].image", "v1")

    def test_only_the_named_namespaces_are_read(self) -> None:
        scan = scan_cluster(None, ["shop", "many"], KNOWLEDGE).scan
        assert {found.object.namespace for found in scan.findings} == {"shop", "many"}

    def test_lists_are_read_page_by_page(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(api, "_PAGE", 3)
        scan = scan_cluster(None, ["many"], KNOWLEDGE).scan
        assert [found.object.name for found in scan.findings] == [f"p{number}" for number in range(7)]

    def test_a_namespace_that_is_not_there_is_refused(self) -> None:
        with pytest.raises(UsageError, match="there is no namespace 'shopp' in context 'admin'"):
            scan_cluster(None, ["shopp"], KNOWLEDGE)

    def test_a_missing_right_is_named_and_the_rest_goes_on(
        self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kinds = ["deployments.apps", "statefulsets.apps", "daemonsets.apps", "replicasets.apps", "jobs.batch"]
        cluster.grant("reader", ["pods", "replicationcontrollers", "podtemplates", *kinds])
        monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig("reader")))
        scan = scan_cluster(None, [], KNOWLEDGE).scan
        assert scan.errors == (
            "no right to list cronjobs.batch in all namespaces; its images are not in the report",
            "no right to list redisenterpriseclusters.app.redislabs.com in all namespaces; its images are not in the report",
        )
        assert ("Pod/redis/rec-0", REDIS) in places(scan)

    def test_rights_in_one_namespace_suffice_for_it(self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
        cluster.grant("shopkeeper", ["pods"], "shop")
        monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig("shopkeeper")))
        scan = scan_cluster(None, ["shop"], KNOWLEDGE).scan
        assert places(scan) == [("Pod/shop/web-1-x", "nginx:1")]
        assert "no right to list deployments.apps in namespace shop; its images are not in the report" in scan.errors
        with pytest.raises(ClusterError, match="no right to list anything in all namespaces"):
            scan_cluster(None, [], KNOWLEDGE)

    def test_an_expired_token_is_said(self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        expired = tmp_path / "expired"
        expired.write_text(cluster.kubeconfig().read_text().replace("token: admin", "token: expired"))
        monkeypatch.setenv("KUBECONFIG", str(expired))
        with pytest.raises(ClusterError, match="does not accept the token or certificate of context 'admin'") as caught:
            scan_cluster(None, [], KNOWLEDGE)
        assert (caught.value.status, "log in again" in caught.value.hint) == (401, True)
        assert "expired'" not in str(caught.value)
