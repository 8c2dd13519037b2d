"""Whatever hands make of manifests: no traceback, a result that reads, and not one other character changed."""

import io
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from homeport.applications.application import Versions
from homeport.applications.registry import KNOWLEDGE
from homeport.discovery.documents import parse_documents
from homeport.discovery.inputs import Source
from homeport.discovery.scan import scan_source
from homeport.discovery.secrets import scan_secrets
from homeport.errors import CollisionError
from homeport.mapping import Mapping
from homeport.workflow.packages import read_packages
from homeport.workflow.rewrite import Rewriting, rewrite
from tests.relocation.fuzzing import CONFIG, KUSTOMIZATION, POD, TEXTS, mutated

MIRROR = Mapping.parse("reg.io:5000/m")
WORD = re.compile(r"[\w./:@-]+")
SHORT = settings(max_examples=150, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
LONG = settings(max_examples=30_000, deadline=None, suppress_health_check=list(HealthCheck))


def run(source: Source, secret: str | None = None, *, decode: bool = False) -> Rewriting | None:
    try:
        return rewrite([source], MIRROR, versions=Versions(), pull_secret=secret, decode_secrets=decode)
    except CollisionError:
        return None


def check(text: str) -> None:
    """Scan and rewrite; hold the result to the text."""
    source = Source("f.yaml", text)
    scan_source(source, KNOWLEDGE)
    scan_secrets(source, KNOWLEDGE)
    for secret, decode in ((None, False), ("regcred", True)):
        done = run(source, secret, decode=decode)
        assert not any("could not be" in str(it) for it in (done.failures if done else ()))
        for file in done.files if done else ():
            result = file.result
            parse_documents(Source("f.yaml", result.text))
            again = run(Source("f.yaml", result.text), secret, decode=decode)
            assert again is not None
            assert [it.result.text for it in again.files] == [result.text], "a second run must change nothing"
            if not result.insertions and not decode:
                only_names_changed(text, result.text, any_edits=bool(result.edits))


def only_names_changed(before: str, after: str, *, any_edits: bool) -> None:
    """Everything between words is the same, and each word that is another names the target, whole or in its part."""
    assert any_edits or before == after
    assert WORD.sub("", before) == WORD.sub("", after)
    words = zip(WORD.findall(before), WORD.findall(after), strict=True)
    for old, new in words:
        assert old == new or "reg.io:5000" in new or new.startswith("m/") or "/m/" in new, (old, new)


@given(mutated(TEXTS))
@SHORT
def test_mutated_manifests(text):
    check(text)


@pytest.mark.long
@given(mutated(TEXTS))
@LONG
def test_mutated_manifests_at_length(text):
    check(text)


def check_folder(kustomization: str, pod: str, config: str) -> None:
    """Build and rewrite a folder; a second run changes nothing."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "part").mkdir()
        files = {"kustomization.yaml": kustomization, "pod.yaml": pod, "more.yaml": pod, "config.yaml": config}
        files["patch.yaml"] = "kind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: d, image: 'nginx:9'}]}\n"
        files["part/kustomization.yaml"] = "kind: Component\nimages: [{name: busybox, newName: quay.io/x/busybox}]\n"
        for path, text in files.items():
            (folder / path).write_bytes(text.encode())
        read_packages([name], stdin=io.BytesIO(), max_size=1 << 20)
        for turn in range(2):
            sources, _ = read_packages([name], stdin=io.BytesIO(), max_size=1 << 20, rewriting=True)
            try:
                done = rewrite(sources, MIRROR, versions=Versions())
            except CollisionError:
                return
            for file in done.files:
                assert turn == 0 or file.result.text == file.source.text, "a second run must change nothing"
                assert file.source.path is not None
                file.source.path.write_bytes(file.content)


@given(mutated((KUSTOMIZATION,)), mutated((POD,)), mutated((CONFIG,)))
@settings(SHORT, max_examples=40)
def test_mutated_kustomizations(kustomization, pod, config):
    check_folder(kustomization, pod, config)


@pytest.mark.long
@given(mutated((KUSTOMIZATION,)), mutated((POD,)), mutated((CONFIG,)))
@settings(LONG, max_examples=5_000)
def test_mutated_kustomizations_at_length(kustomization, pod, config):
    check_folder(kustomization, pod, config)
