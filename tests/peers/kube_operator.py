"""Stand-ins for operators: what they make of their custom resources, by the documented defaults.

Redis Enterprise's makes a StatefulSet, the services rigger and, from 7.22.0-7 on, the call-home CronJob; its release is that of
its own image, and it refuses to jump over a release that has to be reached first. The other is one that nobody has heard of.
"""

import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any

import yaml

from homeport.applications.redis_enterprise import images_of
from homeport.applications.redis_enterprise.releases import version_of
from tests.kit.cluster_contract import made
from tests.peers.kube import Kubernetes
from tests.peers.kube_node import Node
from tests.peers.kube_site import workload

OPERATOR = "7.2.4-7"
_FIELDS = {
    "redisEnterpriseImageSpec": "redislabs/redis",
    "bootstrapperImageSpec": "redislabs/operator",
    "redisEnterpriseServicesRiggerImageSpec": "redislabs/k8s-controller",
}
_CALL_HOME = "redislabs/re-call-home-client"
_DOOR = (7, 4, 2), (7, 8)
"""No cluster older than the first is upgraded to the second or newer."""


def names_of(operator: str) -> list[str]:
    """Return the images of a release as Docker Hub calls them."""
    return [f"{image.repository}:{image.tag}" for image in images_of(operator)]


def operator_deployment(namespace: str, operator: str = OPERATOR) -> dict[str, Any]:
    return workload("Deployment", "redis-enterprise-operator", namespace, f"redislabs/operator:{operator}")


def redis_cluster(namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "app.redislabs.com/v1",
        "kind": "RedisEnterpriseCluster",
        "metadata": {"name": "rec", "namespace": namespace},
        "spec": {"nodes": 1},
    }


def shop(namespace: str) -> dict[str, Any]:
    """Make a custom resource whose images nothing but its definition tells."""
    spec = {"front": {"software": "shop/front:1"}, "size": 1}
    return made("Shop", "corner", spec, api_version="shop.example.com/v1", namespace=namespace)


def define(api: Kubernetes) -> None:
    """Install the definitions of both custom resources."""
    api.define("app.redislabs.com", "RedisEnterpriseCluster", "v1", short="rec")
    software = {"type": "string", "description": "Container image to run."}
    secrets = {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}}
    front = {"type": "object", "properties": {"software": software}}
    api.define("shop.example.com", "Shop", "v1", {"front": front, "size": {"type": "integer"}, "pullSecrets": secrets})


@contextlib.contextmanager
def running(node: Node, namespace: str) -> Iterator[None]:
    """Watch the custom resources of a namespace until the block ends."""
    ended, failures = threading.Event(), []

    def work() -> None:
        try:
            while not ended.wait(0.3):
                for kind, reconcile in (("redisenterpriseclusters", _reconcile), ("shops", _keep_shop)):
                    for value in _items(node, namespace, kind):
                        reconcile(node, value)
        except AssertionError as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    assert not failures, failures


def _items(node: Node, namespace: str, kind: str) -> list[dict[str, Any]]:
    found = node.kubectl("get", kind, "-n", namespace, "-o", "json", check=False)
    items: list[dict[str, Any]] = json.loads(found)["items"] if found.startswith("{") else []
    return items


def _reconcile(node: Node, rec: dict[str, Any]) -> None:
    namespace, name = rec["metadata"]["namespace"], rec["metadata"]["name"]
    release = _release(node, namespace)
    if release is None:
        return
    images = {field: _image(rec["spec"].get(field) or {}, release[default]) for field, default in _FIELDS.items()}
    states = {it["metadata"]["name"]: it for it in _items(node, namespace, "statefulsets")}
    now = states[name]["spec"]["template"]["spec"]["containers"][0]["image"] if name in states else ""
    if _jumps(now, images["redisEnterpriseImageSpec"]):
        _report(node, rec, "InvalidUpgrade")
        return
    wanted = _workloads(rec, images, release)
    _apply(node, rec, wanted)
    if not any(value["kind"] == "CronJob" for value in wanted):
        node.kubectl("delete", "cronjob", f"{name}-call-home", "-n", namespace, "--ignore-not-found")
    status = states.get(name, {}).get("status") or {}
    is_new = now == images["redisEnterpriseImageSpec"]
    is_up = status.get("updatedReplicas") == 1 and status.get("readyReplicas") == 1
    is_settled = status.get("observedGeneration") == states[name]["metadata"]["generation"] if name in states else False
    same_tag = now.rpartition(":")[2] == images["redisEnterpriseImageSpec"].rpartition(":")[2]
    _report(node, rec, "Running" if not now or (is_new and is_up and is_settled) or same_tag else "Upgrade")


def _workloads(rec: dict[str, Any], images: dict[str, str], release: dict[str, str]) -> list[dict[str, Any]]:
    spec, name, namespace = rec["spec"], rec["metadata"]["name"], rec["metadata"]["namespace"]
    secrets = {"imagePullSecrets": spec["pullSecrets"]} if spec.get("pullSecrets") else {}
    bootstrap = {
        "name": "bootstrap",
        "image": images["bootstrapperImageSpec"],
        "command": ["/bin/busybox", "true"],
    }
    redis, rigger = images["redisEnterpriseImageSpec"], images["redisEnterpriseServicesRiggerImageSpec"]
    found = [
        workload("StatefulSet", name, namespace, redis, initContainers=[bootstrap], **secrets),
        workload("Deployment", f"{name}-services-rigger", namespace, rigger, **secrets),
    ]
    client = (spec.get("usageMeter") or {}).get("callHomeClient") or {}
    if _CALL_HOME in release and not client.get("disabled"):
        image = _image(client.get("imageSpec") or {}, release[_CALL_HOME])
        containers = [{"name": "client", "image": image, "command": ["/bin/busybox", "true"]}]
        pod = {"restartPolicy": "Never", "containers": containers, **secrets}
        job = {"schedule": "0 23 * * *", "jobTemplate": {"spec": {"template": {"spec": pod}}}}
        found.append(made("CronJob", f"{name}-call-home", job, api_version="batch/v1", namespace=namespace))
    return found


def _keep_shop(node: Node, value: dict[str, Any]) -> None:
    namespace, spec = value["metadata"]["namespace"], value["spec"]
    secrets = {"imagePullSecrets": spec["pullSecrets"]} if spec.get("pullSecrets") else {}
    _apply(node, value, [workload("Deployment", "front", namespace, spec["front"]["software"], **secrets)])


def _apply(node: Node, owner: dict[str, Any], values: list[dict[str, Any]]) -> None:
    reference = {key: owner[key] for key in ("apiVersion", "kind")}
    reference |= {"name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
    for value in values:
        value["metadata"]["ownerReferences"] = [reference | {"controller": True}]
    text = yaml.safe_dump_all(values)
    node.kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=operator", "-f", "-", text=text)


def _release(node: Node, namespace: str) -> dict[str, str] | None:
    """Return the default tags of the operator that runs, by repository; none where there is no operator."""
    for value in _items(node, namespace, "deployments"):
        if value["metadata"]["name"] == "redis-enterprise-operator":
            tag = value["spec"]["template"]["spec"]["containers"][0]["image"].rpartition(":")[2]
            return {image.repository: f"{image.repository}:{image.tag}" for image in images_of(tag)}
    return None


def _image(spec: dict[str, str], default: str) -> str:
    repository, _, tag = default.rpartition(":")
    return f"{spec.get('repository', repository)}:{spec.get('versionTag', tag)}"


def _jumps(now: str, wanted: str) -> bool:
    old, new = version_of(now.rpartition(":")[2]), version_of(wanted.rpartition(":")[2])
    return bool(old and new and old < _DOOR[0] and new >= _DOOR[1])


def _report(node: Node, rec: dict[str, Any], state: str) -> None:
    if (rec.get("status") or {}).get("state") != state:
        patch = json.dumps({"status": {"state": state}})
        name = ("redisenterprisecluster", rec["metadata"]["name"], "-n", rec["metadata"]["namespace"])
        # The public definition has a status of its own, which a plain patch does not reach; the small one has none.
        node.kubectl("patch", *name, "--subresource=status", "--type=merge", "-p", patch, check=False)
        node.kubectl("patch", *name, "--type=merge", "-p", patch)
