"""What `homeport scan` and `homeport rules` show of what a scan knows."""

import json

import pytest

from homeport.cli.app import run

MANIFEST = """\
apiVersion: example.com/v1
kind: Thing
metadata: {name: x}
spec:
  image: a/b:1
  same: docker.io/a/b:1
  other: org/thing:1.2
  part: {repository: quay.io/c/d, tag: "2"}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "thing.yaml").write_text(MANIFEST)
    return tmp_path


@pytest.fixture
def homeport(capsys):
    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(list(arguments))
        return code, *capsys.readouterr()

    return call


def test_what_is_uncertain_is_shown_apart_and_only_when_asked(folder, homeport):
    _, out, _ = homeport("scan", "thing.yaml", "-o", "names", "--all")
    assert out == "a/b:1\ndocker.io/a/b:1\nquay.io/c/d:2\n"
    _, out, _ = homeport("scan", "thing.yaml")
    assert "org/thing" not in out
    _, out, _ = homeport("scan", "thing.yaml", "--all")
    assert "docker.io/org/thing:1.2" in out.partition("uncertain, and counted nowhere:")[2]
    _, out, _ = homeport("scan", "thing.yaml", "--all", "-o", "json")
    report = json.loads(out)
    assert [it["reference"] for it in report["uncertain"]] == ["docker.io/org/thing:1.2"]
    assert {it["sure"] for image in report["images"] for it in image["findings"]} == {"certain", "likely"}


def test_names_that_differ_only_in_spelling_are_named(folder, homeport):
    _, out, _ = homeport("scan", "thing.yaml")
    assert "written in several ways: docker.io/a/b:1: a/b:1, docker.io/a/b:1" in out


@pytest.mark.parametrize("name", ["a/b:1", "docker.io/a/b", "index.docker.io/a/b:1"])
def test_why_shows_every_place_in_any_spelling(folder, homeport, name):
    code, out, _ = homeport("scan", "thing.yaml", "--why", name)
    assert code == 0
    assert ("spec.image" in out, "spec.same" in out, "quay.io" in out) == (True, True, False)


def test_why_of_what_is_nowhere(folder, homeport):
    code, out, _ = homeport("scan", "thing.yaml", "--why", "a/b:2")
    assert (code, out) == (1, "no image found\n")


def test_cyclonedx(folder, homeport):
    (folder / "thing.yaml").write_text(
        MANIFEST + f"  pinned: r.io/e/f:3@sha256:{'a' * 64}\n  open: {{repository: quay.io/g/h, tag: ''}}\n"
    )
    code, out, _ = homeport("scan", "thing.yaml", "-o", "cyclonedx")
    document = json.loads(out)
    components = {it["bom-ref"]: it for it in document["components"]}
    assert (code, document["bomFormat"], document["specVersion"]) == (0, "CycloneDX", "1.6")
    assert components["docker.io/a/b:1"]["evidence"] == {
        "occurrences": [{"location": "thing.yaml:5"}, {"location": "thing.yaml:6"}]
    }
    pinned = components[f"r.io/e/f:3@sha256:{'a' * 64}"]
    assert pinned["purl"] == f"pkg:oci/f@sha256%3A{'a' * 64}?repository_url=r.io%2Fe%2Ff&tag=3"
    assert pinned["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    assert components["quay.io/g/h (open)"]["properties"] == [{"name": "homeport:open", "value": "true"}]
    assert homeport("scan", "thing.yaml", "-o", "cyclonedx")[1] == out


def test_strict_stops_at_the_first_broken_input(folder, homeport):
    (folder / "broken.yaml").write_text("a: [")
    code, out, err = homeport("scan", ".", "-o", "names")
    assert (code, "a/b:1" in out, "broken.yaml:" in err) == (1, True, True)
    code, out, err = homeport("scan", ".", "-o", "names", "--strict")
    assert (code, out, "broken.yaml:" in err) == (2, "", True)
    code, out, err = homeport("scan", "thing.yaml", "nowhere.yaml", "--strict")
    assert (code, out) == (2, "")


def test_ones_own_rules(folder, homeport):
    rule = "- {name: mine, source: me, kinds: [example.com/Thing], images: [{at: spec, image: other}], not_images: [spec.same]}"
    (folder / "rules.yml.txt").write_text(rule)
    _, out, _ = homeport("scan", "thing.yaml", "-o", "names", "--rules", "rules.yml.txt")
    assert out == "a/b:1\norg/thing:1.2\nquay.io/c/d:2\n"
    (folder / "rules.yml.txt").write_text("- {name: mine, wrong: 1}")
    code, _, err = homeport("scan", "thing.yaml", "--rules", "rules.yml.txt")
    assert (code, "rule mine" in err) == (2, True)


def test_crds_teach(folder, homeport):
    (folder / "thing.yaml").write_text("{apiVersion: example.com/v1, kind: Thing, spec: {image: nginx}}")
    (folder / "crd.txt").write_text(
        "{kind: CustomResourceDefinition, spec: {group: example.com, names: {kind: Thing}, versions: [{schema: {openAPIV3Schema: "
        "{properties: {spec: {properties: {image: {type: string}}}}}}}]}}"
    )
    assert homeport("scan", "thing.yaml", "-o", "names")[1] == ""
    assert homeport("scan", "thing.yaml", "-o", "names", "--crds", "crd.txt")[1] == "nginx\n"


def test_explain(folder, homeport):
    code, out, _ = homeport("rules", "explain", "thing.yaml", "spec.part")
    assert code == 0
    assert out.splitlines() == [
        "spec.part: quay.io/c/d:2",
        "  quay.io/c/d:2",
        "  found by: shape (certain), line 8",
        "  repository: quay.io/c/d (characters 148 to 159)",
        "  tag: 2 (characters 166 to 169)",
    ]
    assert homeport("rules", "explain", "thing.yaml", "metadata")[0] == 1


def test_the_list_of_rules(homeport):
    code, out, _ = homeport("rules", "list")
    assert code == 0
    assert any(line.startswith("system-upgrade-controller ") and "github.com/" in line for line in out.splitlines())
