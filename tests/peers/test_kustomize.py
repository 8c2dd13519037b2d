"""Real kustomize (in kubectl) builds the overlay, and gets what the rewrite gives."""

import subprocess

import pytest
import yaml

from tests.kit.peers import run_peer
from tests.kit.servers import HOMEPORT

pytestmark = pytest.mark.peers

MANIFESTS = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: operator, namespace: redis}
spec:
  selector: {matchLabels: {a: b}}
  template:
    metadata: {labels: {a: b}}
    spec:
      imagePullSecrets: [{name: old}]
      initContainers: [{name: i, image: "nginx:1"}]
      containers:
      - name: c
        image: redislabs/operator:7.2.4-7
        args: [--sidecar-image=quay.io/org/side:2]
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec: {schedule: "@daily", jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: "nginx:1"}]}}}}}
---
apiVersion: app.redislabs.com/v1
kind: RedisEnterpriseCluster
metadata: {name: rec, namespace: redis}
spec:
  redisEnterpriseImageSpec: {repository: redislabs/redis, versionTag: 7.2.4-64}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: config, namespace: redis}
data:
  images.yaml: |
    # the side
    image: quay.io/org/side:2
"""


def objects(text: str) -> dict[tuple[str, str], object]:
    return {(it["kind"], it["metadata"]["name"]): it for it in yaml.safe_load_all(text) if it}


def test_the_overlay_builds_what_the_rewrite_gives(tmp_path):
    (tmp_path / "app.yaml").write_text(MANIFESTS)
    options = ("--to", "registry.example.com:5000/mirror", "--pull-secret", "regcred", "--operator", "7.2.4-7")
    command = (*HOMEPORT, "relocate", *options, str(tmp_path / "app.yaml"))
    rewritten = subprocess.run(command, capture_output=True, text=True, check=False)
    assert rewritten.returncode == 0, rewritten.stderr
    made = subprocess.run((*command, "--kustomize", str(tmp_path / "out")), capture_output=True, text=True, check=False)
    assert (made.returncode, made.stdout) == (0, ""), made.stderr
    assert objects(run_peer("kubectl", "kustomize", str(tmp_path / "out"))) == objects(rewritten.stdout)
