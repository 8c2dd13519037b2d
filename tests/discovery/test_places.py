"""A piece of an embedded text is found in the source, at any depth, and replaced there without touching anything else."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from homeport.discovery.documents import parse_documents
from homeport.discovery.inputs import Source
from homeport.discovery.places import Text, spell
from homeport.discovery.tree import dig

OLD, NEW = "quay.io/a/b:1.0", "registry.example.com:5000/mirror/a/b:1.0"


def block(text: str, indicator: str = "|") -> str:
    return f"{indicator}\n" + "".join(f"    {line}\n" if line else "\n" for line in text.split("\n"))


def double(text: str) -> str:
    return json.dumps(text)


def double_escaped(text: str) -> str:
    """Spell some letters as escapes and break a line where YAML allows it."""
    return double(text).replace("q", "\\x71").replace("io", "\\u0069o").replace("image", "im\\\n      age")


def single(text: str) -> str:
    """Spell as a person would; a text that begins lines with blanks cannot stand there."""
    return double(text) if "\n " in text else "'" + text.replace("'", "''").replace("\n", "\n\n    ") + "'"


def anchored(text: str) -> str:
    return "&x !!str " + double(text)


LAYERS = {"block": block, "double": double, "escaped": double_escaped, "single": single, "anchored": anchored}
INNER = {
    "yaml": f"# {OLD} in a comment\nimage: {OLD} # here\nother: {OLD}x\n",
    "quoted": f"it's: 1\nimage: '{OLD}'\n",
    "json": json.dumps({"say": '"hi"\n', "image": OLD}, indent=1),
}


def locate(text: str, depth: int):
    """Return the part of `image`, `depth` documents deep below `config`."""
    here = Text(text)
    (document,) = parse_documents(Source("test", text))
    for _ in range(depth):
        here = here.within(dig(document.root, ("config",)))
        (document,) = parse_documents(Source("test", here.text))
    return here.part("reference", document.root["image"])


@pytest.mark.parametrize("outer", LAYERS)
@pytest.mark.parametrize("middle", [None, *LAYERS])
@pytest.mark.parametrize("inner", INNER)
def test_every_layer_in_every_other(inner, middle, outer):
    layers = [outer] if middle is None else [middle, outer]
    text, want = INNER[inner], INNER[inner]
    for layer in layers:
        text = f"before: 1\nconfig: {LAYERS[layer](text)}\nafter: {OLD}\n"
    part = locate(text, len(layers))
    assert part.value == OLD
    assert part.start > 0
    assert len(part.encodings) == len(layers) + 1
    changed = text[: part.start] + spell(NEW, part.encodings) + text[part.end :]
    assert innermost(changed, len(layers)) == yaml.safe_load(want) | {"image": NEW}
    assert yaml.safe_load(changed)["after"] == OLD
    assert locate(changed, len(layers)).value == NEW


def innermost(text: str, depth: int) -> dict:
    value = yaml.safe_load(text)
    for _ in range(depth):
        value = yaml.safe_load(value["config"])
    return value


@given(
    words=st.lists(st.text("abc:/'\"\\ \n#-é\U0001f600", max_size=12), min_size=1, max_size=6),
    at=st.integers(0, 6),
    styles=st.lists(st.sampled_from(["|", '"', "'"]), min_size=1, max_size=3),
)
def test_any_text_as_any_writer_spells_it(words, at, styles):
    words.insert(at % (len(words) + 1), f" {OLD} ")
    inner = "".join(words)
    text = inner
    for style in styles:
        text = yaml.dump({"config": text}, default_style=style, width=40, allow_unicode=len(words) % 2 == 0)
    here = Text(text)
    for _ in styles:
        (document,) = parse_documents(Source("test", here.text))
        here = here.within(document.root["config"])
    start = inner.index(OLD)
    span = here.span(start, start + len(OLD))
    assert span is not None
    changed = text[: span[0]] + spell(NEW, here.encodings) + text[span[1] :]
    value = changed
    for _ in styles:
        value = yaml.safe_load(value)["config"]
    assert value == inner[:start] + NEW + inner[start + len(OLD) :]


def test_a_piece_of_a_scalar():
    text = 'args: ["--image=quay.io/a/b:1.0"]'
    (document,) = parse_documents(Source("test", text))
    part = Text(text).part("reference", document.root["args"][0], len("--image="))
    assert (text[part.start : part.end], part.encodings) == (OLD, ("double",))


def test_lines_are_the_sources():
    text = f"a: 1\nconfig: |\n  # first\n  image: {OLD}\n"
    (document,) = parse_documents(Source("test", text))
    inner = Text(text).within(document.root["config"])
    (embedded,) = parse_documents(Source("test", inner.text))
    assert inner.line(embedded.root["image"]) == 4


def test_a_live_string_has_no_place():
    inner = Text("", placed=False).within(f"image: {OLD}")
    (embedded,) = parse_documents(Source("test", inner.text))
    part = inner.part("reference", embedded.root["image"])
    assert (part.value, part.start, part.encodings) == (OLD, -1, ())


def test_a_bracket_cannot_begin_a_plain_scalar():
    assert spell("[::1]:5000/a:1", ("plain",)) is None
    assert spell("[::1]:5000/a:1", ("double", "block")) == "[::1]:5000/a:1"
