"""Texts shaped like real manifests, and what careless hands make of them."""

from collections.abc import Callable

from hypothesis import strategies as st

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: p, annotations: {note: "nginx:1 is 'here'"}}
spec:
  # before quay.io/a/b:1
  initContainers: &list
  - &c
    image: "quay.io/a/b:1"   # it's
    name: i
  containers:
  - <<: *c
    name: c
  - name: d
    image: 'nginx'
    env: [{name: X_IMAGE, value: ghcr.io/x/y:v1}, {name: X_TAG, value: v2}]
    args: [--sidecar=quay.io/a/side:2, --image, "redis:7", -c, "crane copy quay.io/a/from:3 to"]
"""
VALUES = """\
global:
  imageRegistry: quay.io
  registry: {address: docker.io/org}
image: {repository: a/b, tag: "1.10", pullPolicy: Always}
images:
  web: &web
    registry: ghcr.io
    repository: org/web
    tag: v1
  api: {<<: *web, repository: org/api}
  reaper: {repository: lastpickle, name: reaper, tag: 3}
controller_image_name: org/controller
image_tag_version: latest
sidecars:
- quay.io/org/side:1
- {image: redis, version: 5.0.3}
"""
CONFIG = """\
kind: ConfigMap
apiVersion: v1
metadata: {name: config}
data:
  a.yaml: |
    # a comment with nginx:1
    image: 'quay.io/a/b:1'

    sub: {image: nginx:1}
  b.json: "{\\"image\\": \\"quay.io/a/json:1\\",\\t\\"x\\": \\"\\u00e9\\"}"
  c.conf: >-
    proxy_image = "quay.io/a/conf:1"

    other = 1
  run.sh: |+
    #!/bin/sh
    X=quay.io/a/set:1
    docker pull quay.io/a/pulled:1

---
kind: Secret
apiVersion: v1
data: {a: aW1hZ2U6IHF1YXkuaW8vYS9oaWRkZW46MQo=}
stringData:
  b: "image: quay.io/a/plain:1"
"""
CLUSTER = """\
apiVersion: app.redislabs.com/v1
kind: RedisEnterpriseCluster
metadata:
    name: rec
spec:
    nodes: 3
    redisEnterpriseImageSpec:
        repository: redislabs/redis
        versionTag: 7.2.4-64
    bootstrapperImageSpec: {versionTag: 7.2.4-7}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: redis-enterprise-cluster-spec}
data:
  cluster.yaml: |
    kind: RedisEnterpriseCluster
    apiVersion: app.redislabs.com/v1
    spec:
      nodes: 3
"""
BUNDLE = """\
{"apiVersion": "operators.coreos.com/v1alpha1", "kind": "ClusterServiceVersion",
\t"metadata": {"name": "x", "annotations": {"alm-examples": "[{\\"kind\\": \\"X\\", \\"spec\\": {\\"image\\": \\"quay.io/a/e:1\\"}}]"}},
\t"spec": {"relatedImages": [{"name": "r", "image": "quay.io/a/r@sha256:SHA"}],
\t"install": {"spec": {"deployments": [{"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "quay.io/a/op:1"}]}}}}]}}}}
""".replace("SHA", "0" * 64)
KUSTOMIZATION = """\
resources: [pod.yaml, more.yaml]
components: [part]
images:
- name: nginx
  newTag: "2"
- {name: quay.io/a/b, newName: ghcr.io/a/b}
- name: redis
  digest: sha256:SHA
patches:
- path: patch.yaml
- patch: |-
    kind: Pod
    metadata: {name: p}
    spec: {containers: [{name: c, image: "busybox:1"}]}
- target: {kind: Pod}
  patch: |-
    - {op: replace, path: /spec/containers/1/image, value: "redis:6"}
configMapGenerator: [{name: c, files: [config.yaml]}]
""".replace("SHA", "0" * 64)
TEXTS = (POD, VALUES, CONFIG, CLUSTER, BUNDLE, POD + "---\n" + CLUSTER)

_TOKENS = (
    *(": ", "- ", "&c ", "*c", "<<: *c", "|", ">-", "'", '"', "{", "}", "[", "]", ",", "#", " # ", "\t", "\r", "\n", "---\n", "...\n"),
    *("\\", "\\u0041", "é😀", "\x85", "\u2028", "\ufeff", "!!str ", "!x ", "? ", "%", "@", "$(X)", "{{ .V }}", "~", "null", "\0"),
    *("quay.io/a/b:1", "nginx", "reg.io:5000/m/a/b:1", "@sha256:" + "0" * 64, "image: ", "repository: a/b\n", "tag: ''\n", "kind: List\n"),
)  # fmt: skip


def mutated(texts: tuple[str, ...]) -> st.SearchStrategy[str]:
    """Draw one of the texts after up to three mutations, with either line end."""
    places = st.floats(0, 1, exclude_max=True)
    change = st.one_of(
        st.builds(_insert, places, st.sampled_from(_TOKENS)),
        st.builds(_delete, places, st.integers(1, 12)),
        st.builds(_move_line, places, places),
        st.builds(_repeat_line, places),
        st.builds(_indent, places, st.integers(-3, 3)),
    )
    ends = st.sampled_from(["\n", "\r\n"])
    return st.builds(_changed, st.sampled_from(texts), st.lists(change, max_size=3), ends)


def _changed(text: str, changes: list[Callable[[str], str]], end: str) -> str:
    for change in changes:
        text = change(text) or text
    return text.replace("\n", end)


def _insert(place: float, token: str) -> Callable[[str], str]:
    return lambda text: text[: int(place * len(text))] + token + text[int(place * len(text)) :]


def _delete(place: float, count: int) -> Callable[[str], str]:
    return lambda text: text[: int(place * len(text))] + text[int(place * len(text)) + count :]


def _move_line(place: float, to: float) -> Callable[[str], str]:
    def change(text: str) -> str:
        lines = text.splitlines(keepends=True)
        line = lines.pop(int(place * len(lines)))
        lines.insert(int(to * len(lines)), line)
        return "".join(lines)

    return change


def _repeat_line(place: float) -> Callable[[str], str]:
    def change(text: str) -> str:
        lines = text.splitlines(keepends=True)
        at = int(place * len(lines))
        return "".join((*lines[:at], lines[at], *lines[at:]))

    return change


def _indent(place: float, by: int) -> Callable[[str], str]:
    def change(text: str) -> str:
        lines = text.splitlines(keepends=True)
        at = int(place * len(lines))
        lines[at] = (
            " " * by + lines[at] if by > 0 else lines[at][min(-by, len(lines[at]) - len(lines[at].lstrip(" "))) :]
        )
        return "".join(lines)

    return change
