"""How texts become values with places, and what is said about those that cannot be read."""

import contextlib

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from homeport.discovery.documents import parse_documents
from homeport.discovery.inputs import Source
from homeport.discovery.tree import Map, Scalar, Seq, is_null, is_true
from homeport.errors import InputError


def parse(text):
    return [document.root for document in parse_documents(Source("f.yaml", text))]


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a: b: c\n", "f.yaml:1:5", "mapping values are not allowed"),
        ("a:\n\t- b\n", "f.yaml:2:1", "a tab stands where YAML wants blanks"),
        ("a:\n   b: 1\n  c: 2\n", "f.yaml:3:3", "did not find expected key"),
        ("ok: 1\n---\na: [\n", "f.yaml:4:1", "did not find expected node content"),
        ("a: *x\n", "f.yaml:1:4", "the alias *x has no anchor before it"),
        ("a: &x [*x]\n", "f.yaml:1:8", "stands inside its own anchor"),
        ("ä: ö\nb: \x07\n", "f.yaml:2:4", "control characters are not allowed"),
        ("[" * 30_000, "f.yaml:1:1001", "nested deeper than 1,000 levels"),
        ("".join(" " * i + "a:\n" for i in range(1_100)), "f.yaml:1001:1001", "nested deeper than 1,000 levels"),
    ],
)
def test_a_fault_is_named_with_file_line_column_and_a_sentence(text, place, words):
    with pytest.raises(InputError) as caught:
        parse(text)
    assert str(caught.value).startswith(place + ": ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_template_is_recognised():
    with pytest.raises(InputError) as caught:
        parse("a: {{ .Values.x }}\nb: {{- if }}\n")
    assert "helm template" in caught.value.hint


def test_a_thousand_levels_are_fine():
    (root,) = parse("[" * 1000 + "]" * 1000)
    assert isinstance(root, Seq)


@pytest.mark.parametrize("text", ["", "---\n", "---", "# only a comment\n", "---\n---\n...\n"])
def test_an_empty_document_holds_nothing(text):
    assert all(is_null(root) for root in parse(text))


def test_scalars_keep_their_text_and_know_their_place():
    text = "a: 1.10\nb: 'x ''y'\nc: |\n  two\n  lines\nd: [q, \"r\"]\n"
    (root,) = parse(text)
    assert root == {"a": "1.10", "b": "x 'y", "c": "two\nlines\n", "d": ["q", "r"]}
    assert [text[s.start : s.end] for s in (root["a"], root["b"], *root["d"])] == ["1.10", "'x ''y'", "q", '"r"']
    assert (root["b"].line, root["b"].column, root["b"].style) == (2, 3, "'")


def test_json_is_yaml_also_with_tabs():
    (root,) = parse('{\n\t"a": {"b": ["c", null, true]}\n}')
    assert root == {"a": {"b": ["c", "null", "true"]}}
    assert is_null(root["a"]["b"][1])
    assert is_true(root["a"]["b"][2])


def test_quoted_words_are_text():
    (root,) = parse("a: 'null'\nb: \"true\"\nc: !!str\n")
    assert not is_null(root["a"])
    assert not is_true(root["b"])
    assert not is_null(root["c"])


def test_an_alias_has_its_own_line_and_the_anchors_place():
    text = "a: &x nginx\nb: *x\nc: *x\n"
    (document,) = parse_documents(Source("f", text))
    assert document.root["b"] == "nginx"
    assert (document.root["b"].line, document.root["b"].start) == (2, document.root["a"].start)
    assert document.aliases == {document.root["a"].start: [2, 3]}


def test_merge_keys_bring_entries_in_and_own_ones_win():
    (root,) = parse("base: &b {x: 1, y: 2}\nmore: &m {y: 3, z: 4}\none: {<<: *b, x: 9}\ntwo:\n  <<: [*m, *b]\n")
    assert root["one"] == {"x": "9", "y": "2"}
    assert root["two"] == {"x": "1", "y": "3", "z": "4"}
    (root,) = parse("base: &b {x: 1}\none: {'<<': *b}\n")
    assert root["one"] == {"<<": {"x": "1"}}


def test_an_alias_bomb_is_not_expanded():
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
    (root,) = parse("\n".join(lines))
    assert len(root) == 30


def test_merge_keys_cannot_multiply_without_end():
    wide = "{" + ", ".join(f"k{i}: 1" for i in range(2_000)) + "}"
    text = f"a: &a {wide}\nb:\n" + "- <<: *a\n" * 1_000
    with pytest.raises(InputError, match="merge keys expand"):
        parse(text)


def test_repeated_keys_are_remembered():
    (document,) = parse_documents(Source("f", "a: 1\nb: {c: 1, c: 2}\na: 2\n"))
    assert [(str(key), key.line) for key in document.repeated] == [("c", 2), ("a", 3)]


def test_schemas_are_left_out_even_where_the_kind_comes_late():
    assert parse("spec: {a: 1}\nkind: CustomResourceDefinition\nb: *nothing\n---\nkind: X\n") == [None, {"kind": "X"}]


PLAIN = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=12)
VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(PLAIN, inner, max_size=4))


@given(VALUES, st.sampled_from([None, True, False]), st.sampled_from(["\n", "\r\n"]))
def test_what_pyyaml_reads_as_text_is_read_alike(value, flow, line_end):
    text = yaml.dump(value, default_flow_style=flow, allow_unicode=True).replace("\n", line_end)
    (expected,) = yaml.load_all(text, Loader=yaml.BaseLoader)
    (root,) = parse(text)
    assert root == expected


@given(VALUES, st.sampled_from([True, False]))
def test_places_cover_what_was_read(value, flow):
    text = yaml.dump({"k": value}, default_flow_style=flow, allow_unicode=True, default_style='"', width=10**6)
    pending = parse(text)
    while pending:
        node = pending.pop()
        if isinstance(node, Scalar):
            assert yaml.load(text[node.start : node.end], Loader=yaml.BaseLoader) == node
        elif isinstance(node, Map):
            pending += [*node.keys_written, *node.values()]
        else:
            pending += node


@given(st.text(st.sampled_from("ab:-[]{}&*!|>'\"%@`#,?<~ \n\t\r\ufeff\x85é"), max_size=40))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(InputError):
        parse(text)


def test_jsons_pairs_of_escapes_are_read_and_places_stay():
    text = '{"smile": "\\ud83d\\ude00!", "image": "a"}'
    ((document),) = parse_documents(Source("f.json", text))
    image = document.root["image"]
    assert text[image.start : image.end] == '"a"'
    assert document.root["smile"].startswith("\U0001f600")
