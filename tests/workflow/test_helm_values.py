"""The values that point a chart at a target."""

import os
import stat
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from homeport.applications.redis_enterprise import KNOWLEDGE
from homeport.discovery.knowledge import Knowledge, SecretField
from homeport.mapping import Mapping
from homeport.workflow.helm import Settings
from homeport.workflow.helm_values import Rules, difference, merge, override_values
from tests.kit.charts import pack_chart, write_chart

RULES = Rules(Mapping.parse("reg.io:5000/m"), KNOWLEDGE, "docker.io")
EXPECTED = {
    "image": {"registry": "reg.io:5000", "repository": "m/redislabs/operator"},
    "sidecars": [{"name": "exporter", "image": "reg.io:5000/m/org/exporter:1", "port": 8080}],
    "store": {"image": {"repository": "reg.io:5000/m/org/cache"}},
}


@pytest.fixture(autouse=True)
def no_helm(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


def fake_helm(tmp_path: Path, rendered: str) -> None:
    (tmp_path / "bin").mkdir()
    helm = tmp_path / "bin/helm"
    helm.write_text(f"#!/bin/sh\nprintf '%s\\n' '{rendered}'\n")
    helm.chmod(helm.stat().st_mode | stat.S_IXUSR)


@pytest.mark.parametrize("packed", [False, True])
def test_only_what_changes_is_overridden_parts_below_their_alias(tmp_path, packed):
    chart = write_chart(tmp_path / "demo")
    if packed:
        chart = pack_chart(chart, tmp_path / "demo.tgz")
    made = override_values(chart, Settings(), RULES, 1 << 20)
    assert yaml.safe_load(made.text) == EXPECTED
    assert [str(it) for it in made.references] == [
        "docker.io/redislabs/operator:7.2.4-7",
        "ghcr.io/org/cache:v3",
        "quay.io/org/exporter:1",
    ]
    (error,) = made.errors
    assert "there is no helm on the PATH" in str(error)


def test_a_persons_own_values_count_more(tmp_path):
    chart = write_chart(tmp_path / "demo")
    (tmp_path / "mine.yaml").write_text("image: {registry: quay.io, repository: my/operator, tag: '1'}\n")
    made = override_values(chart, Settings((tmp_path / "mine.yaml",)), RULES, 1 << 20)
    assert yaml.safe_load(made.text)["image"] == {"registry": "reg.io:5000", "repository": "m/my/operator"}


def test_the_override_is_proved_by_rendering_with_it(tmp_path):
    chart = write_chart(tmp_path / "demo")
    fake_helm(
        tmp_path, "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{image: quay.io/fixed:1}]}}"
    )
    made = override_values(chart, Settings(), RULES, 1 << 20)
    assert made.errors == ()
    ((text, reason),) = [(it.text, it.reason) for it in made.left]
    assert (text, reason) == ("quay.io/fixed:1", "no value says this image; relocate what Helm renders")


def test_an_override_that_reaches_every_image_is_clean(tmp_path):
    chart = write_chart(tmp_path / "demo")
    fake_helm(tmp_path, "{apiVersion: v1, kind: Pod, spec: {containers: [{image: reg.io:5000/m/a/b:1}]}}")
    made = override_values(chart, Settings(), RULES, 1 << 20)
    assert (made.left, made.errors) == ((), ())


def test_a_null_that_an_application_knows_to_take_secrets_gets_one(tmp_path):
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo/Chart.yaml").write_text("name: demo\n")
    (tmp_path / "demo/values.yaml").write_text("pulls: null\nimage: {repository: quay.io/a/b, tag: '1'}\n")
    knowledge = Knowledge(secrets=(SecretField("", "", ("pulls",), form="names"),))
    made = override_values(
        tmp_path / "demo", Settings(), Rules(RULES.mapping, knowledge, "docker.io", "regcred"), 1 << 20
    )
    assert yaml.safe_load(made.text) == {"pulls": ["regcred"], "image": {"repository": "reg.io:5000/m/a/b"}}
    assert [it.path for it in made.insertions] == ["pulls"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"imagePullSecrets": []}, {"imagePullSecrets": [{"name": "s"}]}),
        ({"imagePullSecrets": ["a"]}, {"imagePullSecrets": ["s", "a"]}),
        ({"a": {"pullSecrets": []}}, {"a": {"pullSecrets": ["s"]}}),
        ({"imagePullSecrets": [{"name": "s"}], "pullSecrets": ["s"]}, {}),
        ({"pullSecrets": None, "other": []}, {}),
    ],
)
def test_a_pull_secret_goes_to_lists_that_take_one_in_their_form(before, after):
    assert difference(before, before, "s") == after


VALUES = st.dictionaries(
    st.sampled_from("abc"),
    st.recursive(st.integers() | st.lists(st.integers()), lambda it: st.dictionaries(st.sampled_from("abc"), it)),
)


@given(VALUES, VALUES)
def test_an_override_laid_over_the_values_gives_what_was_wanted(before, after):
    wanted = merge(before, after)
    assert merge(before, difference(before, wanted)) == wanted


def test_this_machines_own_helm_is_out_of_reach():
    assert not any(Path(folder, "helm").exists() for folder in os.environ["PATH"].split(os.pathsep))
