"""A new name over the fields of the old one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.discovery.findings import Part
from homeport.mapping import Mapping
from homeport.reference import Reference
from homeport.relocation.renaming import rename

TO = "reg.io:5000/m"
DIGEST = "sha256:" + "a" * 64


def renamed(fields: dict[str, str], target: str) -> dict[str, str] | None:
    parts = [Part(role, value) for role, value in fields.items()]
    result = rename(parts, Reference.parse(target))
    return None if result is None else {part.role: value for part, value in result}


@pytest.mark.parametrize(
    ("fields", "target", "after"),
    [
        ({"reference": "a/b:1"}, f"{TO}/a/b:1", {"reference": f"{TO}/a/b:1"}),
        ({"reference": f"nginx:1@{DIGEST}"}, f"{TO}/library/nginx:1", {"reference": f"{TO}/library/nginx:1@{DIGEST}"}),
        ({"reference": "h:5/a"}, f"{TO}/a", {"reference": f"{TO}/a"}),
        ({"repository": "a/b", "tag": "1"}, f"{TO}/a/b:1", {"repository": f"{TO}/a/b"}),
        ({"registry": "quay.io", "repository": "a/b"}, f"{TO}/a/b", {"registry": "reg.io:5000", "repository": "m/a/b"}),
        (
            {"registry": "docker.io", "repository": "n"},
            f"{TO}/library/n",
            {"registry": "reg.io:5000", "repository": "m/library/n"},
        ),
        ({"registry": "q.io", "name": "n", "tag": "1"}, f"{TO}/n", {"registry": "reg.io:5000", "name": "m/n"}),
        (
            {"registry": "q.io", "repository": "a/b", "name": "c", "digest": DIGEST},
            f"{TO}/a/b/c",
            {"registry": TO, "repository": "a/b", "name": "c"},
        ),
        (
            {"repository": "nvcr.io/nvidia", "name": "driver"},
            f"{TO}/nvidia/driver",
            {"repository": f"{TO}/nvidia", "name": "driver"},
        ),
        (
            {"registry": "docker.io/istio", "name": "pilot"},
            f"{TO}/istio/pilot",
            {"registry": f"{TO}/istio", "name": "pilot"},
        ),
        (
            {"repository": "nvcr.io/nvidia", "name": "driver:2"},
            f"{TO}/x/other",
            {"repository": f"{TO}/x", "name": "other:2"},
        ),
        ({"repository": "q.io/a", "name": "b/c"}, f"{TO}/one", {"repository": "reg.io:5000", "name": "m/one"}),
        ({"registry": "q.io", "repository": "a", "name": "b"}, "reg.io/web", None),
        ({"digest": DIGEST}, f"{TO}/a", {}),
    ],
)
def test_each_field_gets_its_part_of_the_new_name(fields, target, after):
    assert renamed(fields, target) == after


WORD = st.sampled_from(["a", "b-c", "nginx", "x.y"])
PATH = st.lists(WORD, min_size=1, max_size=3).map("/".join)
FIELDS = st.one_of(
    st.fixed_dictionaries({"registry": st.sampled_from(["q.io", "h:5", "docker.io"]), "repository": PATH}),
    st.fixed_dictionaries({"registry": st.sampled_from(["q.io", "q.io/org"]), "repository": PATH, "name": PATH}),
    st.fixed_dictionaries({"repository": PATH.map("q.io/{}".format), "name": PATH}),
    st.fixed_dictionaries({"repository": PATH}),
    st.fixed_dictionaries({"reference": PATH.map("q.io/{}:1".format)}),
)


@given(FIELDS, st.sampled_from(["reg.io:5000/m", "reg.io"]), st.booleans())
def test_the_fields_joined_are_the_new_name(fields, to, keep):
    mapping = Mapping.parse(to, keep_registry=keep)
    reference = Reference.parse("/".join(fields.values()))
    target = mapping.relocate(reference)
    after = renamed(fields, str(target))
    assert after is not None
    assert Reference.parse("/".join({**fields, **after}.values())) == target
    assert "" not in after.values()
