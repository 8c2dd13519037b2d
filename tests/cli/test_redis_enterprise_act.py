"""`homeport redis-enterprise manifests` and `upgrade`."""

import json

import pytest
import yaml

from homeport.cli.app import run
from tests.applications.redis_enterprise.texts import operator, rec


def test_one_command_writes_all(capsys):
    assert (
        run(["redis-enterprise", "manifests", "7.22.0-7", "--to", "gcr.io/yourproject", "--pull-secret", "regcred"])
        == 0
    )
    out = capsys.readouterr().out
    assert out.startswith("# Pull secret: homeport secret regcred --registry gcr.io/yourproject")
    assert [document["kind"] for document in yaml.safe_load_all(out)] == ["Deployment", "RedisEnterpriseCluster"]


@pytest.mark.parametrize(("part", "kind"), [("operator", "Deployment"), ("cluster", "RedisEnterpriseCluster")])
def test_parts_stand_alone(part, kind, capsys):
    assert run(["redis-enterprise", "manifests", "7.2.4-7", "--to", "reg.io", "--part", part]) == 0
    out = capsys.readouterr().out
    assert "#" not in out
    assert yaml.safe_load(out)["kind"] == kind
    assert run(["redis-enterprise", "manifests", "7.2.4-7", "--to", "reg.io", "--part", part, "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == kind


def test_json_is_a_list_and_the_secret_a_command(capsys):
    command = ["redis-enterprise", "manifests", "7.2.4-7", "--to", "reg.io/m", "--pull-secret", "p"]
    assert run([*command, "-o", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["items"]) == 2
    assert run([*command, "--part", "secret"]) == 0
    assert capsys.readouterr().out.startswith("homeport secret p --registry reg.io/m ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["manifests", "7.2.4-7", "--to", "https://reg.io"],
        ["manifests", "7.2.4-7"],
        ["manifests", "nonsense", "--to", "reg.io"],
        ["manifests", "7.2.4-7", "--to", "reg.io", "--pull-secret", "a b"],
        ["manifests", "7.2.4-7", "--to", "reg.io", "-n", "A"],
        ["manifests", "7.2.4-7", "--to", "reg.io", "--nodes", "0"],
        ["manifests", "7.2.4-7", "--to", "reg.io", "--name", "a;b"],
        ["manifests", "7.2.4-7", "--to", "reg.io", "--part", "secret", "-o", "json"],
        ["upgrade", "7.4.2-2", "7.2.4-7"],
        ["upgrade", "7.22.2-43", "8.0.20-26"],
        ["upgrade", "7.2.4-7", "7.4.2-2", "missing.yaml"],
    ],
)
def test_what_cannot_be_is_refused(arguments, capsys):
    assert run(["redis-enterprise", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")


def test_the_way_of_an_upgrade(capsys):
    assert run(["redis-enterprise", "upgrade", "7.2.4-7", "7.8.6-1", "--to", "reg.io"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("7.2.4-7 to 7.8.6-1: 2 upgrades\n")
    assert "7.2.4-7 -> 7.4.2-2 (Redis 7.4.2-54), because 7.8 and later" in out
    assert "7.4.2-2 -> 7.8.6-1 (Redis 7.8.6-13)\n" in out
    assert run(["redis-enterprise", "upgrade", "7.2.4-7", "7.8.6-1", "-o", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["hops"]) == 2


def test_files_tell_what_runs(tmp_path, capsys):
    file = tmp_path / "now.yaml"
    file.write_text(f"{operator('7.22.2-43')}---\n{rec('nodes: 5', 'prod')}")
    assert run(["redis-enterprise", "upgrade", "7.22.2-43", "8.0.20-26", str(file)]) == 0
    out = capsys.readouterr().out
    assert "kubectl patch rec prod" in out
    assert "for 5 nodes" in out
