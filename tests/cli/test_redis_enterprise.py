"""`homeport redis-enterprise images` lists what a release pulls, ready for the mirror."""

import json

import pytest

from homeport.cli.app import run


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["7.2.4-7"], ["k8s-controller:7.2.4-7", "operator:7.2.4-7", "redis:7.2.4-64"]),
        (["7.2.4-7", "--redis", "7.2.4-52"], ["k8s-controller:7.2.4-7", "operator:7.2.4-7", "redis:7.2.4-52"]),
        (
            ["8.2.0-13"],
            ["k8s-controller:8.2.0-13", "operator:8.2.0-13", "re-call-home-client:8.2.0-13", "redis:8.2.0-46.13"],
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
