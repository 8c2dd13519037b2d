"""Verifications for pipelines."""

import json
from xml.etree import ElementTree as ET

from homeport.cli.verify_forms import junit, sarif
from homeport.workflow.verify import Verdict

VERDICTS = (
    Verdict("docker.io/library/nginx:1", "elsewhere", None, ("its registry is docker.io",), ("Pod/shop/<web> & co",)),
    Verdict("r.example.com/a:1", "unknown", None, ("its node reports no digest\x00",), ("Pod/shop/a",)),
    Verdict("r.example.com/b:1", "proven", "sha256:0", (), ("Pod/shop/b",)),
)
MEANINGS = {"elsewhere": "pulled from elsewhere", "unknown": "unknown", "proven": "proven"}


def test_junit_fails_what_is_wrong_and_skips_what_is_unknown() -> None:
    suite = ET.fromstring(junit("r.example.com", VERDICTS, ["no right to list pods"]))
    assert suite.attrib == {
        "name": "homeport verify r.example.com",
        "tests": "4",
        "failures": "1",
        "errors": "1",
        "skipped": "1",
    }
    failed, skipped, passed, error = suite
    assert failed.find("failure").text == "Pod/shop/<web> & co"
    assert failed.find("failure").attrib["message"] == "elsewhere; its registry is docker.io"
    assert skipped.find("skipped").attrib["message"] == "unknown; its node reports no digest?"
    assert (list(passed), passed.attrib["name"]) == ([], "r.example.com/b:1 (proven)")
    assert error.find("error").attrib["message"] == "no right to list pods"


def test_sarif_names_what_is_wrong_with_its_places() -> None:
    log = json.loads(sarif("r.example.com", VERDICTS, ["no right to list pods"], MEANINGS))
    (run,) = log["runs"]
    assert log["version"] == "2.1.0"
    assert [(it["ruleId"], it["level"]) for it in run["results"]] == [("elsewhere", "error"), ("unknown", "warning")]
    assert {it["ruleId"] for it in run["results"]} == {it["id"] for it in run["tool"]["driver"]["rules"]}
    assert run["results"][0]["message"]["text"] == (
        "docker.io/library/nginx:1: pulled from elsewhere; its registry is docker.io"
    )
    places = run["results"][0]["locations"][0]["logicalLocations"]
    assert places == [{"fullyQualifiedName": "Pod/shop/<web> & co"}]
    assert run["invocations"][0]["executionSuccessful"] is False
