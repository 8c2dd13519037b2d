"""Byte for byte: a file is its template with other names, whatever surrounds them."""

import io

import yaml
from hypothesis import given
from hypothesis import strategies as st

from homeport.discovery.inputs import read_inputs
from homeport.discovery.knowledge import Knowledge
from homeport.mapping import Mapping
from homeport.reference import Reference
from homeport.relocation.relocate import relocate

TO = "reg.io:5000/m"
MAPPINGS = [
    Mapping.parse(TO),
    Mapping.parse(TO, keep_registry=True),
    Mapping.parse("reg.io:5000", redirects=("quay.io=q",)),
]
POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n"
TEMPLATES = [
    POD
    + "spec:\n  containers:   # all of them\n  -   image:   '@1'   # it's\n      name: \"é😀\"\n  -   {name: b, image: @2}\n",
    POD + "spec:\n  containers:\n  - &c\n    image: @1\n    name: a\n  - <<: *c\n    name: b\n",
    POD + "spec:\n  initContainers: [{image: &j @2, name: i}]\n  containers: [{image: *j, name: c}]\n",
    '{\n\t"apiVersion": "v1",\n\t"kind": "Pod",\n\t"spec": {"containers": [\n\t\t{"image": "@1", "name": "x"},\n\t\t{"image": "@2"}\n\t]}\n}\n',
    "kind: ConfigMap\napiVersion: v1\ndata:\n  a.yaml: |\n    # @1 in a comment stays\n    image: '@1'\n\n    sub: {image: @2}   \n  b: >-\n    folded\n\n    text\n",
    'kind: ConfigMap\napiVersion: v1\ndata:\n  a.json: "{\\"image\\": \\"@1\\",\\t\\"x\\": \\"\\u00e9\\"}"\n  c.json: \'{"image": "@2", "it": "isn\'\'t"}\'\n',
    POD
    + "spec:\n  containers:\n  - image: >-\n      @1\n    args:\n    - --sidecar-image=@2\n    - '--x=''y'''\n    command: |+\n      run @1\n\n",
    "%YAML 1.1\n%TAG ! tag:example.com,2000:\n---\n"
    + POD
    + 'spec: !!map\n  containers: !!seq\n  - image: !!str @1\n    name: "a \\\n      b"\n...\n',
    "# only a comment\n---\n---\nkind: CustomResourceDefinition\nspec: {image: nginx}\n---\n"
    + POD
    + "spec: {containers: [{image: @1}]}\n",
]
NAMES = st.sampled_from(
    [
        "quay.io/a/b:1",
        "docker.io/org/app@sha256:" + "0" * 64,
        "ghcr.io/x/y:v1@sha256:" + "1" * 64,
        "nginx:1.27",
        f"{TO}/q/here:1",
    ]
)


@given(
    st.sampled_from(TEMPLATES),
    NAMES,
    NAMES,
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.booleans(),
    st.sampled_from(MAPPINGS),
)
def test_a_file_is_its_template_with_other_names(template, one, two, line_end, bom, ends, mapping):
    text = template if ends or template.endswith("...\n") else template.rstrip("\n")
    before = fill(text, one, two, one)
    data = (("\ufeff" if bom else "") + before.replace("\n", line_end)).encode()
    ((source,), errors) = read_inputs(["-"], stdin=io.BytesIO(data))
    assert not errors
    result = relocate(source, mapping, knowledge=Knowledge())
    after = fill(text, *(target(mapping, name) for name in (one, two)), one)
    assert source.encode(result.text) == (("\ufeff" if bom else "") + after.replace("\n", line_end)).encode()
    assert [type(it) for it in yaml.load_all(after, yaml.CBaseLoader)] == [
        type(it) for it in yaml.load_all(before, yaml.CBaseLoader)
    ]


def fill(text: str, one: str, two: str, comment: str) -> str:
    """Put names in; what pulls nothing (a comment, a shell's words) keeps the first one."""
    text = text.replace("# @1", f"# {comment}").replace("run @1", f"run {comment}")
    return text.replace("@1", one).replace("@2", two)


def target(mapping: Mapping, name: str) -> str:
    reference = Reference.parse(name)
    return name if mapping.holds(reference) else str(mapping.relocate(reference))
