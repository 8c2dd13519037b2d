import pytest

from homeport.applications.redis_enterprise.explain import explain_name
from homeport.errors import UsageError

OPERATOR_7_2_4_7 = "sha256:139b03628f2597e8eba49c87cb7ee604ac3c3f25d144676eaeaaa723f657d07a"


@pytest.mark.parametrize(
    ("name", "what", "fact"),
    [
        ("7.2.4-64", "a Redis tag", ("operator", "7.2.4-7, published 2023-10")),
        ("7.2.4-64.rhel8-openshift", "a Redis tag", ("variant", "Red Hat's name for 7.2.4-64")),
        ("8.2.0-46.13.minimal", "a Redis tag", ("variant", "the minimal base image")),
        ("7.2.4-64.minimal", "a Redis tag", ("variant", "no minimal image was published")),
        ("7.2.4-7", "an operator", ("Redis", "7.2.4-64, published 2023-10; at Red Hat 7.2.4-64.rhel8-openshift")),
        ("7.2.4-7", "an operator", ("call-home client", "none; it came with 7.22.0-7")),
        ("v7.2.4-7.0", "an OLM bundle", ("operator", OPERATOR_7_2_4_7)),
        ("redis-enterprise-operator.v7.2.4-7.0", "an OLM bundle", ("operator", OPERATOR_7_2_4_7)),
        (OPERATOR_7_2_4_7, "a digest", ("operator", "of OLM bundle 7.2.4-7.0")),
    ],
)
def test_names(name, what, fact):
    found = explain_name(name)
    assert found.what == what
    assert fact in found.facts
    assert found.sources


def test_all_operators_that_ship_a_tag_are_named():
    assert [value.partition(",")[0] for _, value in explain_name("7.4.6-102").facts] == ["7.4.6-6", "7.4.6-2"]


def test_a_near_name_is_offered():
    with pytest.raises(UsageError) as caught:
        explain_name("7.2.4-65")
    assert "7.2.4-64" in caught.value.hint
