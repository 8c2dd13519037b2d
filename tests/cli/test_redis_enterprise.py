"""`homeport redis-enterprise` says what belongs to a release, and learns new ones."""

import json

import pytest

from homeport.applications.redis_enterprise.releases import forget_learned
from homeport.cli.app import run


@pytest.fixture(autouse=True)
def learned(tmp_path, monkeypatch):
    monkeypatch.setenv("HOMEPORT_RELEASES", str(tmp_path / "learned.json"))
    forget_learned()
    yield tmp_path / "learned.json"
    forget_learned()


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["7.2.4-7"], ["k8s-controller:7.2.4-7", "operator:7.2.4-7", "redis:7.2.4-64"]),
        (["7.2.4-7", "--redis", "7.2.4-52"], ["k8s-controller:7.2.4-7", "operator:7.2.4-7", "redis:7.2.4-52"]),
        (
            ["8.2.0-13"],
            ["k8s-controller:8.2.0-13", "operator:8.2.0-13", "re-call-home-client:8.2.0-13", "redis:8.2.0-46.13"],
        ),
        (
            ["8.2.0-13", "--minimal", "--no-call-home"],
            ["k8s-controller:8.2.0-13", "operator:8.2.0-13", "redis:8.2.0-46.13.minimal"],
        ),
    ],
)
def test_names(arguments, names, capsys):
    assert run(["redis-enterprise", "images", *arguments, "-o", "names"]) == 0
    assert capsys.readouterr().out.splitlines() == [f"docker.io/redislabs/{name}" for name in names]


def test_names_at_red_hat_are_other_ones(capsys):
    assert run(["redis-enterprise", "images", "7.2.4-7", "--openshift", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == [
        "registry.connect.redhat.com/redislabs/redis-enterprise-operator:7.2.4-7",
        "registry.connect.redhat.com/redislabs/redis-enterprise:7.2.4-64.rhel8-openshift",
        "registry.connect.redhat.com/redislabs/services-manager:7.2.4-7",
    ]


@pytest.mark.parametrize("operator", ["9.9.9-9", "nonsense", "7.2.4 7"])
def test_an_unknown_version_is_a_usage_error(operator, capsys):
    assert run(["redis-enterprise", "images", operator]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_an_unknown_version_with_its_redis_tag_works_with_a_warning(capsys):
    assert run(["redis-enterprise", "images", "9.9.9-9", "--redis", "9.9.9-1.9"]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 4
    assert err.startswith("warning: operator 9.9.9-9 is not among the known releases")


def test_all_releases(capsys):
    assert run(["redis-enterprise", "releases", "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"tag": "7.2.4-64", "date": "2023-10", "openshift": "7.2.4-64.rhel8-openshift"}.items() <= next(
        release["redis"][0] for release in found if release["operator"] == "7.2.4-7"
    ).items()
    assert run(["redis-enterprise", "releases"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["7.2.4-7", "7.2.4-64", "2023-10", "7.2.4-64.rhel8-openshift", "-", "-", "7.2.4-7.0"] in rows


def test_explain(capsys):
    assert run(["redis-enterprise", "explain", "7.4.6-102"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("7.4.6-102 is a Redis tag\n  operator  7.4.6-6, published 2024-12\n")
    assert "release-notes" in out
    assert run(["redis-enterprise", "explain", "nothing"]) == 2


def test_a_release_is_learned_and_listed(learned, tmp_path, capsys):
    bundle = tmp_path / "bundle.yaml"
    bundle.write_text(
        "kind: Deployment\nspec: {template: {spec: {containers: [{name: redis-enterprise-operator, "
        "image: 'redislabs/operator:9.9.9-9'}]}}}\n---\napiVersion: app.redislabs.com/v1\n"
        "kind: RedisEnterpriseCluster\nspec: {redisEnterpriseImageSpec: {versionTag: 9.9.9-1.9}}\n"
    )
    assert run(["redis-enterprise", "releases", "--update", str(bundle)]) == 0
    assert capsys.readouterr().out == f"learned operator 9.9.9-9; Redis: 9.9.9-1.9\nkept in {learned}\n"
    assert run(["redis-enterprise", "releases", "--update", str(bundle)]) == 0
    assert capsys.readouterr().out == "nothing new: this is known already\n"
    assert run(["redis-enterprise", "images", "9.9.9-9"]) == 0
    out, err = capsys.readouterr()
    assert "docker.io/redislabs/redis:9.9.9-1.9\n" in out
    assert err == ""
    assert run(["redis-enterprise", "releases"]) == 0
    assert "1 learned" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--update"], ["bundle.yaml"], ["--update", "/nonexistent.yaml"]])
def test_learning_wants_files(arguments, capsys):
    assert run(["redis-enterprise", "releases", *arguments]) == 2
    assert capsys.readouterr().err.startswith("error: ")
