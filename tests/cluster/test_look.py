"""Walking over live objects: alike pods once, and nothing less is found than by a plain walk."""

import copy
from typing import Any

import pytest

from homeport.applications.registry import KNOWLEDGE
from homeport.cluster import look
from homeport.cluster.look import Looker
from homeport.discovery.walk import Walk, walk
from homeport.reference import DOCKER_HUB

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "web-1",
        "namespace": "shop",
        "labels": {"pod-template-hash": "1"},
        "annotations": {"sidecar.istio.io/proxyImage": "docker.io/istio/proxyv2:1.2", "cni/address": "10.0.0.1"},
    },
    "spec": {
        "nodeName": "n1",
        "tolerations": [{"operator": "Exists"}],
        "imagePullSecrets": [{"name": "pull"}],
        "initContainers": [{"name": "i", "image": "busybox:1", "resources": {"limits": {"cpu": "1"}}}],
        "containers": [
            {
                "name": "c",
                "image": "team/web:1",
                "env": [{"name": "RELATED_IMAGE_AGENT", "value": "quay.io/team/agent:2"}],
                "args": ["--image=quay.io/team/tool:3"],
                "livenessProbe": {"httpGet": {"path": "/", "port": 80}},
                "volumeMounts": [{"name": "kube-api-access-abcde", "mountPath": "/x"}],
            }
        ],
        "volumes": [
            {"name": "kube-api-access-abcde", "projected": {"sources": []}},
            {"name": "model", "image": {"reference": "r.io/model:1"}},
            {"name": "csi", "csi": {"driver": "csi.example.com", "volumeAttributes": {"image": "r.io/csi/data:4"}}},
        ],
    },
    "status": {"containerStatuses": [{"name": "c", "image": "docker.io/team/web:1", "imageID": "x"}]},
}


def noted(found: Walk) -> list[Any]:
    return sorted((str(it.object), it.path, it.how, it.text, it.sure) for it in (*found.findings, *found.uncertain))


def another(name: str, **changes: Any) -> dict[str, Any]:
    pod = copy.deepcopy(POD)
    pod["metadata"] |= {"name": name, "annotations": {**POD["metadata"]["annotations"], "cni/address": name}}
    pod["spec"] |= {"nodeName": name, **changes}
    return pod


def test_as_much_is_found_as_by_a_plain_walk():
    looker = Looker("cluster test", DOCKER_HUB)
    for pod in (POD, another("web-2")):
        plain = walk(pod, "cluster test", KNOWLEDGE)
        found = looker.look_at_pod(pod, KNOWLEDGE)
        assert noted(found) == noted(plain)
        assert [(it.object, it.names) for it in found.secrets] == [(it.object, it.names) for it in plain.secrets]
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": POD["metadata"],
        "spec": {"template": {"metadata": {}, "spec": POD["spec"]}},
    }
    assert noted(looker.look(deployment, KNOWLEDGE)) == noted(walk(deployment, "cluster test", KNOWLEDGE))


def test_pods_that_are_alike_are_walked_over_once(monkeypatch: pytest.MonkeyPatch):
    walked = []
    monkeypatch.setattr(look, "walk", lambda *arguments: walked.append(arguments) or walk(*arguments))
    looker = Looker("cluster test", DOCKER_HUB)
    for number in range(5):
        pod = another(f"web-{number}")
        del pod["metadata"]["annotations"]["cni/address"]
        looker.look_at_pod(pod, KNOWLEDGE)
    assert len(walked) == 2  # the specification, and the annotations apart
    changed = another("web-9", containers=[{**POD["spec"]["containers"][0], "image": "team/web:2"}])
    assert "team/web:2" in [it.text for it in looker.look_at_pod(changed, KNOWLEDGE).findings]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(look, "_REMEMBERED", 3)
    looker = Looker("cluster test", DOCKER_HUB)
    for number in range(9):
        looker.look_at_pod(another(f"web-{number}"), KNOWLEDGE)
    assert len(looker._known) <= 3
