"""Pull secrets go where a schema says that a custom resource takes them, in its form, once."""

import pytest
import yaml

from homeport.discovery.inputs import Source
from homeport.discovery.secret_fields import teach
from homeport.mapping import Mapping
from homeport.relocation.relocate import relocate

NAMES = {"type": "array", "items": {"type": "string"}}
OBJECTS = {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}}
OBJECT = {"type": "object", "properties": {"name": {"type": "string"}}}
NAME = {"type": "string"}


def definition(**fields: object) -> str:
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": fields}}}
    return yaml.safe_dump(
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "things.example.com"},
            "spec": {
                "group": "example.com",
                "names": {"kind": "Thing"},
                "versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}],
            },
        }
    )


def secured(crd: str, spec: str) -> tuple[object, list[str]]:
    text = f"apiVersion: example.com/v1\nkind: Thing\nmetadata: {{name: t}}\nspec: {spec}\n"
    knowledge = teach([Source("crd.yaml", crd), Source("t.yaml", text)])
    mapping = Mapping.parse("reg.io/m")
    result = relocate(Source("t.yaml", text), mapping, knowledge=knowledge, pull_secret="regcred")
    again = relocate(Source("t.yaml", result.text), mapping, knowledge=knowledge, pull_secret="regcred")
    assert (again.text, again.insertions) == (result.text, ())
    return yaml.safe_load(result.text)["spec"], [it.reason for it in result.unresolved]


@pytest.mark.parametrize(
    ("field", "schema", "spec", "after"),
    [
        ("imagePullSecrets", OBJECTS, "{a: b}", [{"name": "regcred"}]),
        ("imagePullSecrets", OBJECTS, "{imagePullSecrets: [{name: old}]}", [{"name": "regcred"}, {"name": "old"}]),
        ("pullSecrets", NAMES, "{a: b}", ["regcred"]),
        ("pullSecrets", NAMES, "{pullSecrets: [old]}", ["regcred", "old"]),
        ("pullSecrets", NAMES, "{pullSecrets: [regcred]}", ["regcred"]),
        ("pullSecrets", NAMES, "\n  pullSecrets:\n  - old", ["regcred", "old"]),
        ("imagePullSecret", NAME, "{a: b}", "regcred"),
        ("imagePullSecretName", NAME, "\n  a: b", "regcred"),
        ("imagePullSecret", NAME, '{imagePullSecret: ""}', "regcred"),
        ("imagePullSecret", OBJECT, "{a: b}", {"name": "regcred"}),
        ("imagePullSecretRef", OBJECT, "{imagePullSecretRef: {name: regcred}}", {"name": "regcred"}),
    ],
)
def test_the_secret_is_added_in_the_fields_form(field, schema, spec, after):
    result, unresolved = secured(definition(**{field: schema}), spec)
    assert result[field] == after
    assert unresolved == []


@pytest.mark.parametrize(
    ("schema", "spec"), [(NAME, "{imagePullSecret: old}"), (OBJECT, "{imagePullSecret: {name: old}}")]
)
def test_the_one_secret_that_is_there_stays_and_is_named(schema, spec):
    result, (reason,) = secured(definition(imagePullSecret=schema), spec)
    assert "old" in str(result["imagePullSecret"])
    assert reason == "it takes one pull secret, and old is there; regcred was not added"


def test_fields_deeper_down_get_it_where_their_holder_is_there():
    node = {"type": "object", "properties": {"imagePullSecrets": NAMES}}
    crd = definition(node=node, nodes={"type": "array", "items": node}, byName={"additionalProperties": node})
    result, _ = secured(crd, "{nodes: [{a: b}, {a: c}], byName: {x: {a: d}}}")
    assert [it["imagePullSecrets"] for it in (*result["nodes"], result["byName"]["x"])] == [["regcred"]] * 3
    assert "node" not in result


@pytest.mark.parametrize(
    ("field", "schema"),
    [
        ("pullSecretRotation", NAME),
        ("secret", NAME),
        ("imagePullSecrets", {"type": "object", "properties": {"enabled": {"type": "boolean"}}}),
        ("imagePullSecret", {"type": "object", "properties": {"name": NAME, "key": NAME}}),
        ("imagePullSecrets", {"type": "array", "items": {"type": "integer"}}),
    ],
)
def test_other_fields_are_left_alone(field, schema):
    result, unresolved = secured(definition(**{field: schema}), "{a: b}")
    assert (result, unresolved) == ({"a": "b"}, [])


def test_a_pod_template_that_a_schema_describes_gets_it_once():
    pod = {"type": "object", "properties": {"imagePullSecrets": OBJECTS}}
    crd = definition(template={"type": "object", "properties": {"spec": pod}})
    result, _ = secured(crd, "{template: {spec: {containers: [{name: a, image: 'quay.io/a/b:1'}]}}}")
    assert result["template"]["spec"]["imagePullSecrets"] == [{"name": "regcred"}]
