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


def write(folder, **files):
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path = path.with_name(f"{path.name}.yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def images(folder) -> list[str]:
    """Return the images of what kustomize builds, in its order."""
    built = run_peer("kubectl", "kustomize", str(folder))
    return [line.partition("image: ")[2].strip() for line in built.splitlines() if "image: " in line]


def test_relocated_kustomizations_build_the_same_images_at_the_target(tmp_path):
    containers = "\n".join(f"      - {{name: {name}, image: '{image}'}}" for name, image in (
        ("a", "nginx:1"), ("b", "docker.io/nginx:1"), ("c", "controller:latest"), ("d", "quay.io/x/y@sha256:" + "a" * 64)
    ))  # fmt: skip
    write(
        tmp_path,
        base__app=f"apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: d}}\nspec:\n  template:\n    spec:\n      containers:\n{containers}\n",
        base__kustomization="resources: [app.yaml]\nimages:\n- {name: quay.io/x/y, newName: quay.io/x/z}\n",
        mirror__kustomization="apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nimages:\n- {name: nginx, newName: quay.io/my/nginx}\n",
        prod__kustomization="""\
resources: [../base]
components: [../mirror]
images:
- name: controller
  newName: ghcr.io/org/controller
  newTag: v2
- {name: quay.io/x/z, newTag: "3"}
patches:
- patch: |-
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: d}
    spec:
      template:
        spec:
          containers:
          - {name: e, image: "nginx:7"}
          - {name: f, image: "controller:1"}
- target: {kind: Deployment}
  patch: |-
    - {op: add, path: /spec/template/spec/initContainers, value: [{name: i, image: "controller:3"}]}
    - {op: add, path: /spec/template/spec/initContainers/-, value: {name: j, image: "busybox:1"}}
""",
        dev__kustomization="resources: [../base]\nimages:\n- {name: nginx, digest: 'sha256:" + "b" * 64 + "'}\n",
    )
    target = "registry.example.com:5000/mirror"
    moved = {
        "nginx": "library/nginx",
        "docker.io/nginx": "library/nginx",
        "controller": "library/controller",
        "busybox": "library/busybox",
    }

    def at_target(image: str) -> str:
        name, sign, rest = image.partition("@") if "@" in image else image.rpartition(":")
        for host in ("quay.io/", "ghcr.io/"):
            name = name.removeprefix(host)
        return f"{target}/{moved.get(name, name)}{sign}{rest}"

    before = {name: images(tmp_path / name) for name in ("prod", "dev")}
    command = (*HOMEPORT, "relocate", "--to", target, "--in-place", str(tmp_path))
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        for name, old in before.items():
            assert images(tmp_path / name) == [at_target(image) for image in old]
    assert "changed" not in done.stderr, done.stderr
