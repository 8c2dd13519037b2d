"""What CustomResourceDefinitions teach."""

import pytest
import yaml

from homeport.discovery.inputs import Source
from homeport.discovery.knowledge import Knowledge
from homeport.discovery.scan import scan_source
from homeport.discovery.schemas import learn

PROPERTIES = {
    "image": {"type": "string"},
    "agent": {"type": "string", "description": "The container image to use for the agent."},
    "mode": {"type": "string", "description": "Which tag of the container image to use."},
    "parts": {"type": "array", "items": {"type": "object", "properties": {"toolImage": {"type": "string"}}}},
    "named": {
        "type": "object",
        "additionalProperties": {"type": "object", "properties": {"image": {"type": "string"}}},
    },
    "disk": {"type": "object", "properties": {"image": {"type": "string"}, "pool": {"type": "string"}}},
    "split": {"type": "object", "properties": {"image": {"type": "string"}, "tag": {"type": "string"}}},
}


def definition(kind: str = "Thing") -> str:
    return yaml.dump(
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "spec": {
                "group": "example.com",
                "names": {"kind": kind},
                "versions": [
                    {
                        "name": "v1",
                        "schema": {
                            "openAPIV3Schema": {
                                "type": "object",
                                "properties": {
                                    "spec": {"type": "object", "properties": PROPERTIES},
                                    "status": {"type": "object", "properties": {"image": {"type": "string"}}},
                                },
                            }
                        },
                    }
                ],
            },
        }
    )


THING = yaml.dump(
    {
        "apiVersion": "example.com/v1",
        "kind": "Thing",
        "spec": {
            "image": "nginx",
            "agent": "redis",
            "mode": "fast",
            "parts": [{"toolImage": "tool"}],
            "named": {"a": {"image": "b"}},
            "disk": {"image": "disk", "pool": "p"},
            "split": {"image": "a/b", "tag": "1"},
        },
        "status": {"image": "old"},
    }
)


def found(text: str, *teachers: str) -> set[tuple[str, str]]:
    sources = [Source("x", text), *(Source("y", teacher) for teacher in teachers)]
    return {(it.text, it.how) for it in scan_source(sources[0], Knowledge(rules=learn(sources))).findings}


def test_fields_that_only_a_schema_knows():
    assert found(THING) == {("a/b:1", "shape")}
    assert found(THING, definition()) == {
        ("nginx", "CRD schema"),
        ("redis", "CRD schema"),
        ("tool", "CRD schema"),
        ("b", "CRD schema"),
        ("a/b:1", "shape"),
    }


def test_the_schema_may_stand_in_the_same_text_before_or_after():
    assert ("nginx", "CRD schema") in found(f"{definition()}---\n{THING}")
    assert ("nginx", "CRD schema") in found(f"{THING}---\n{definition()}")


def test_schemas_of_kinds_that_do_not_occur_are_not_read():
    assert learn([Source("x", THING), Source("y", definition("Other"))]).rules == ()
    assert learn([Source("y", definition())]).rules == ()


@pytest.mark.parametrize(
    "text", ["kind: CustomResourceDefinition\nspec: [", "kind: CustomResourceDefinition\nspec: {names: 1}"]
)
def test_a_broken_schema_teaches_nothing(text):
    assert learn([Source("x", THING), Source("y", f"{text}\n# kind: Thing")]).rules == ()
