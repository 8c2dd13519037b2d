"""A stand-in for the Redis Enterprise operator: makes what a RedisEnterpriseCluster asks for, by the documented defaults."""

import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any

import yaml

from tests.peers.kube_node import Node
from tests.peers.kube_site import workload

OPERATOR, REDIS = "7.2.4-7", "7.2.4-64"
_DEFAULTS = {
    "redisEnterpriseImageSpec": ("redislabs/redis", REDIS),
    "bootstrapperImageSpec": ("redislabs/operator", OPERATOR),
    "redisEnterpriseServicesRiggerImageSpec": ("redislabs/k8s-controller", OPERATOR),
}


def operator_deployment(namespace: str) -> dict[str, Any]:
    return workload("Deployment", "redis-enterprise-operator", namespace, f"redislabs/operator:{OPERATOR}")


def redis_cluster(namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "app.redislabs.com/v1",
        "kind": "RedisEnterpriseCluster",
        "metadata": {"name": "rec", "namespace": namespace},
        "spec": {"nodes": 1},
    }


@contextlib.contextmanager
def running(node: Node, namespace: str) -> Iterator[None]:
    """Watch the RedisEnterpriseClusters of a namespace until the block ends."""
    ended, failures = threading.Event(), []

    def work() -> None:
        try:
            while not ended.wait(0.3):
                found = node.kubectl("get", "redisenterpriseclusters", "-n", namespace, "-o", "json", check=False)
                if found.startswith("{"):
                    for rec in json.loads(found)["items"]:
                        _reconcile(node, rec)
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


def _reconcile(node: Node, rec: dict[str, Any]) -> None:
    spec, name, namespace = rec["spec"], rec["metadata"]["name"], rec["metadata"]["namespace"]
    images = {field: _image(spec.get(field) or {}, *default) for field, default in _DEFAULTS.items()}
    secrets = {"imagePullSecrets": spec["pullSecrets"]} if spec.get("pullSecrets") else {}
    bootstrap = [
        {
            "name": "bootstrap",
            "image": images["bootstrapperImageSpec"],
            "command": ["/bin/busybox", "true"],
        }
    ]
    redis = workload(
        "StatefulSet", name, namespace, images["redisEnterpriseImageSpec"], initContainers=bootstrap, **secrets
    )
    rigger = workload(
        "Deployment",
        f"{name}-services-rigger",
        namespace,
        images["redisEnterpriseServicesRiggerImageSpec"],
        **secrets,
    )
    owner = {key: rec[key] for key in ("apiVersion", "kind")} | {"name": name, "uid": rec["metadata"]["uid"]}
    for value in (redis, rigger):
        value["metadata"]["ownerReferences"] = [owner | {"controller": True}]
    text = yaml.safe_dump_all([redis, rigger])
    node.kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=operator", "-f", "-", text=text)
    if (rec.get("status") or {}).get("state") != "Running":
        patch = '{"status":{"state":"Running"}}'
        node.kubectl("patch", "redisenterprisecluster", name, "-n", namespace, "--type=merge", "-p", patch)


def _image(spec: dict[str, str], repository: str, tag: str) -> str:
    return f"{spec.get('repository', repository)}:{spec.get('versionTag', tag)}"
