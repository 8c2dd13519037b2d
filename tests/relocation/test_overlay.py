"""A kustomize overlay says what the rewrite does."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import homeport.relocation.overlay as room
from homeport.applications.redis_enterprise import KNOWLEDGE
from homeport.discovery.inputs import Source
from homeport.errors import InputError, UnprovenError
from homeport.mapping import Mapping
from homeport.relocation.overlay import changes_between, overlay
from homeport.relocation.relocate import relocate

MIRROR = Mapping.parse("reg.io:5000/m")
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: d, namespace: shop}
spec:
  template:
    spec:
      imagePullSecrets: [{name: old}]
      initContainers: [{name: i, image: "nginx:1"}]
      containers:
      - name: c
        image: nginx:1@sha256:%s
        env: [{name: SIDE_IMAGE, value: 'quay.io/org/side:2'}]
""" % ("a" * 64)
CONFIG = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data:
  a/b~c.yaml: |
    image: quay.io/org/app:1
    other: x
"""


def made(*texts: str, secret: str | None = None) -> dict[str, object]:
    sources = [Source(f"{number}.yaml", text, relative=f"{number}.yaml") for number, text in enumerate(texts)]
    results = [relocate(it, MIRROR, knowledge=KNOWLEDGE, pull_secret=secret).text for it in sources]
    files = overlay(zip(sources, results, strict=True))
    assert [files[f"resources/{number}.yaml"] for number in range(len(texts))] == list(texts)
    return yaml.safe_load(files["kustomization.yaml"])


def test_containers_go_to_the_transformer_and_the_rest_to_patches():
    found = made(DEPLOYMENT, secret="regcred")
    assert found["resources"] == ["resources/0.yaml"]
    assert found["images"] == [{"name": "nginx", "newName": "reg.io:5000/m/library/nginx"}]
    (patch,) = found["patches"]
    target = {"group": "apps", "version": "v1", "kind": "Deployment", "name": "d", "namespace": "shop"}
    assert patch["target"] == target
    pod = "/spec/template/spec"
    assert yaml.safe_load(patch["patch"]) == [
        {"op": "add", "path": f"{pod}/imagePullSecrets/0", "value": {"name": "regcred"}},
        {"op": "replace", "path": f"{pod}/containers/0/env/0/value", "value": "reg.io:5000/m/org/side:2"},
    ]


def test_a_document_in_a_string_is_replaced_as_a_whole():
    (patch,) = made(CONFIG)["patches"]
    (operation,) = yaml.safe_load(patch["patch"])
    assert operation["path"] == "/data/a~1b~0c.yaml"
    assert operation["value"] == "image: reg.io:5000/m/org/app:1\nother: x\n"


def test_what_is_at_the_target_needs_no_more_than_the_resource():
    assert set(made(DEPLOYMENT.replace("nginx", "reg.io:5000/m/nginx").replace("quay.io", "reg.io:5000/m"))) == {
        "apiVersion",
        "kind",
        "resources",
    }


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (["image: quay.io/a/b:1\n"], "0.yaml:1: this is no object with a kind and a name"),
        (["kind: Kustomization\nresources: [a]\n"], "this is a kustomization"),
        ([CONFIG, CONFIG.replace("name: c", "name: c, namespace: n")], "ConfigMap/n/c is there more than once"),
        ([CONFIG.replace("name: c", "name: c, namespace: n"), CONFIG], "ConfigMap/c is there more than once"),
    ],
)
def test_what_kustomize_cannot_take_is_refused(texts, reason):
    with pytest.raises(InputError, match=reason):
        made(*texts)


def test_objects_of_one_name_in_two_namespaces_are_told_apart():
    texts = [CONFIG.replace("name: c", f"name: c, namespace: {space}") for space in ("one", "two")]
    assert [it["target"]["namespace"] for it in made(*texts)["patches"]] == ["one", "two"]


def test_patches_that_do_not_give_what_was_proved_are_refused(monkeypatch):
    def forgetful(before, after, path=()):
        changes = list(changes_between(before, after, path))
        return changes if path else changes[:-1]

    monkeypatch.setattr(room, "changes_between", forgetful)
    with pytest.raises(UnprovenError, match="the patches of ConfigMap/c do not give what was proved"):
        made(CONFIG)


VALUES = st.recursive(
    st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@given(VALUES)
def test_equal_values_need_no_change(value):
    assert list(changes_between(value, value)) == []
