"""The real manifests below $HOMEPORT_CORPUS/manifests/inputs: proved, equal but for the names, and done in one run."""

import os
from itertools import chain
from pathlib import Path

import pytest
import yaml

from homeport.applications.redis_enterprise import KNOWLEDGE
from homeport.discovery.inputs import Source, read_inputs
from homeport.discovery.scan import scan_source
from homeport.mapping import Mapping
from homeport.relocation.relocate import relocate
from homeport.relocation.sweep import sweep

pytestmark = pytest.mark.corpus

ROOT = Path(os.environ.get("HOMEPORT_CORPUS", "/nonexistent")) / "manifests" / "inputs"
TO = "registry.example.com:5000/mirror"
MAPPINGS = {
    "default": Mapping.parse(TO),
    "keep": Mapping.parse(TO, keep_registry=True),
    "bare": Mapping.parse("registry.example.com"),
}


def files() -> list[str]:
    return sorted(path.name for path in ROOT.glob("*.yaml"))


def read(name: str) -> Source:
    ((source,), errors) = read_inputs([str(ROOT / name)], stdin=None)
    assert not errors
    return source


@pytest.mark.parametrize("mapping", MAPPINGS.values(), ids=MAPPINGS)
@pytest.mark.parametrize("name", files())
def test_the_result_is_proved_and_a_second_run_changes_nothing(name, mapping):
    source = read(name)
    before = scan_source(source, KNOWLEDGE)
    result = relocate(source, mapping, knowledge=KNOWLEDGE, pull_secret="regcred")
    again = relocate(Source(name, result.text), mapping, knowledge=KNOWLEDGE, pull_secret="regcred")
    assert again.text == result.text
    assert (again.edits, again.insertions) == ((), ())
    after = scan_source(Source(name, result.text), KNOWLEDGE)
    assert [mapping.relocate(it.reference) for it in before.findings] == [it.reference for it in after.findings]
    assert sweep(name, result.text, mapping, result.references) == []


@pytest.mark.parametrize("name", files())
def test_not_one_character_changes_outside_the_names(name):
    source = read(name)
    result = relocate(source, MAPPINGS["default"], knowledge=KNOWLEDGE)
    findings = scan_source(source, KNOWLEDGE).findings
    places = sorted({(part.start, part.end) for it in findings for part in it.parts})
    rest, at = result.text, 0
    for start, end in places:
        kept = source.text[at:start]
        assert rest.startswith(kept), f"line {source.text.count(chr(10), 0, at) + 1}"
        rest = rest[len(kept) :]
        following = source.text[end : end + 1]
        rest = rest[
            next(
                i
                for i in range(len(rest) + 1)
                if rest[i : i + 1] == following and ends_alike(rest[i:], source.text[end:])
            ) :
        ]
        at = end
    assert rest == source.text[at:]


def ends_alike(one: str, other: str) -> bool:
    """A part's new spelling ends where the text goes on as before, up to the end of the line at least."""
    return one.partition("\n")[0].split(",")[0] == other.partition("\n")[0].split(",")[0]


@pytest.mark.parametrize("name", files())
def test_the_result_loads_equal_but_for_strings_that_hold_names(name):
    source = read(name)
    result = relocate(source, MAPPINGS["default"], knowledge=KNOWLEDGE)
    pairs = zip(load(source.text), load(result.text), strict=True)
    changed = list(chain.from_iterable(differing(before, after) for before, after in pairs))
    assert bool(changed) == bool(result.edits)
    for old, new in changed:
        assert isinstance(old, str)
        assert isinstance(new, str)
        assert old.count("\n") == new.count("\n")
        assert "registry.example.com:5000" in new or new.startswith("mirror/")


def load(text: str) -> list[object]:
    return list(yaml.load_all(text, Loader=yaml.CBaseLoader))


def differing(before: object, after: object) -> list[tuple[object, object]]:
    if isinstance(before, dict) and isinstance(after, dict):
        assert list(before) == list(after)
        return [it for key in before for it in differing(before[key], after[key])]
    if isinstance(before, list) and isinstance(after, list):
        assert len(before) == len(after)
        return [it for pair in zip(before, after, strict=True) for it in differing(*pair)]
    return [] if before == after else [(before, after)]
