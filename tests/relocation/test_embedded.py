"""Names are rewritten where they stand: in documents inside strings, in arguments, in split fields that others share."""

import json
from textwrap import dedent

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from homeport.discovery.inputs import Source
from homeport.discovery.knowledge import Knowledge
from homeport.errors import UnprovenError
from homeport.mapping import Mapping
from homeport.relocation.relocate import relocate

TO = "reg.io:5000/m"
NOTHING = Knowledge()


def rewritten(text: str, mapping: Mapping | None = None) -> str:
    mapping = mapping or Mapping.parse(TO)
    result = relocate(Source("f.yaml", text), mapping, knowledge=NOTHING)
    again = relocate(Source("f.yaml", result.text), mapping, knowledge=NOTHING)
    assert (again.text, again.edits) == (result.text, ())
    return result.text


@pytest.mark.parametrize(
    "text",
    [
        "data:\n  a.yaml: |\n    # image: old\n    image: {}a/b:1\n    other: x\n",
        "data:\n  a.yaml: |2-\n      image: {}a/b:1\n    other: x",
        "data:\n  a.yaml: |+\n    image: '{}a/b:1'\n\n\n",
        'data:\n  a.json: |\n    {{"image": "{}a/b:1"}}\n',
        'data:\n  a.json: \'{{"image": "{}a/b:1", "x": "it\'\'s"}}\'\n',
        'data:\n  a.json: "{{\\"image\\": \\"{}a/b:1\\"}}"\n',
        'data:\r\n  a.yaml: "image: {}a/b:1\\nother: \\u00e9"\r\n',
        "data:\n  a.yaml: |\n    b.yaml: |\n      image: {}a/b:1\n",
        'metadata:\n  annotations:\n    config: \'{{"spec":{{"image":"{}a/b:1"}}}}\'\n',
        "data:\n  x: |\n    SIDECAR_IMAGE={}a/b:1\n    OTHER=1\n",
    ],
)
def test_embedded_documents_keep_everything_but_the_name(text):
    text = "kind: ConfigMap\napiVersion: v1\n" + text
    assert rewritten(text.format("quay.io/")) == text.format(f"{TO}/")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("args: [--sidecar-image=quay.io/a/b:1]", f"args: [--sidecar-image={TO}/a/b:1]"),
        ("args: ['--image', 'quay.io/a/b:1', --x]", f"args: ['--image', '{TO}/a/b:1', --x]"),
        ('args: ["-image=quay.io/a/b:1"]', f'args: ["-image={TO}/a/b:1"]'),
        ("env: [{name: X_IMAGE, value: 'quay.io/a/b:1'}]", f"env: [{{name: X_IMAGE, value: '{TO}/a/b:1'}}]"),
    ],
)
def test_arguments_and_environment_keep_their_form(before, after):
    text = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: {}\n    {}\n"
    assert rewritten(text.format("quay.io/a/c:1", before)) == text.format(f"{TO}/a/c:1", after)


def test_split_fields_come_out_consistent():
    text = """\
    kind: X
    spec:
      imageA: {registry: docker.io, repository: redis, tag: "1"}   # kept
      imageB: {repository: quay.io/org/app, version: v1}
      imageC: {repository: nvcr.io/nvidia, image: driver, version: "2"}
      imageD: {registry: ghcr.io, repository: org/d, digest: sha256:%s}
    """ % ("a" * 64)
    spec = yaml.safe_load(rewritten(dedent(text)))["spec"]
    assert spec["imageA"] == {"registry": "reg.io:5000", "repository": "m/library/redis", "tag": "1"}
    assert spec["imageB"] == {"repository": f"{TO}/org/app", "version": "v1"}
    assert spec["imageC"] == {"repository": f"{TO}/nvidia", "image": "driver", "version": "2"}
    assert spec["imageD"] == {"registry": "reg.io:5000", "repository": "m/org/d", "digest": "sha256:" + "a" * 64}


SHARED = """\
global:
  image: {registry: docker.io}
a:
  image: {repository: org/a, tag: "1"}
b:
  image: {repository: other/b, tag: "1"}
registry: &reg docker.io
c:
  image: {registry: *reg, repository: org/c, tag: "1"}
d:
  image: {registry: *reg, repository: org/d, tag: "1"}
"""


def test_a_registry_that_an_anchor_shares_moves_once_for_all():
    values = yaml.safe_load(rewritten(SHARED))
    assert values["c"]["image"] == {"registry": "reg.io:5000", "repository": "m/org/c", "tag": "1"}
    assert values["registry"] == "reg.io:5000"


def test_an_alias_in_two_places_that_must_differ_is_refused_with_its_line():
    text = dedent("""\
    kind: X
    spec:
      image: {registry: &r quay.io/org, name: a, tag: "1", repository: x}
      note: {text: *r}
    """)
    with pytest.raises(UnprovenError, match=r"f\.yaml:3: .* anchor that is used elsewhere, too \(line 4\)"):
        rewritten(text)


def test_a_prefix_that_two_images_share_and_would_have_to_differ_for_is_refused_with_both_lines():
    text = dedent("""\
    kind: X
    spec:
      a: {image: {repository: &r quay.io/org, image: a, version: "1"}}
      b: {image: {repository: *r, image: b, version: "1"}}
    """)
    with pytest.raises(UnprovenError, match=r"f\.yaml:4: quay\.io/org is shared with line 3"):
        rewritten(text, Mapping.parse(TO, redirects=("quay.io/org/b=else",)))
    moved = yaml.safe_load(rewritten(text))["spec"]
    assert moved["a"]["image"]["repository"] == moved["b"]["image"]["repository"] == f"{TO}/org"


NAMES = st.sampled_from(["quay.io/a/b:1", "ghcr.io/x/y@sha256:" + "0" * 64, "docker.io/org/app:v2", f"{TO}/here/it:1"])
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=12)


@given(
    st.dictionaries(st.sampled_from(["image", "sideImage", "other"]), NAMES, min_size=1),
    WORDS,
    st.integers(1, 3),
    st.booleans(),
)
def test_json_in_json_at_any_depth_differs_by_the_names_alone(images, word, depth, ascii_only):
    mapping = Mapping.parse(TO)
    before = after = {"note": word, **images}
    after = {key: value if key == "note" else moved(mapping, value) for key, value in before.items()}
    for _ in range(depth):
        before, after = ({"config": json.dumps(it, ensure_ascii=ascii_only)} for it in (before, after))
    wrapped = [json.dumps({"kind": "ConfigMap", "data": it}, ensure_ascii=ascii_only) for it in (before, after)]
    assert rewritten(wrapped[0]) == wrapped[1]


def moved(mapping: Mapping, name: str) -> str:
    return name if name.startswith(TO) else f"{TO}/{name.partition('/')[2]}"
