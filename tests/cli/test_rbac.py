"""`homeport rbac`: the least rights, printed as roles."""

import pytest
import yaml

from homeport.cli.app import run

CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "shops.example.com"},
    "spec": {"group": "example.com", "scope": "Cluster", "names": {"plural": "shops", "kind": "Shop"}},
}


def granted(text: str) -> dict[str, set[str]]:
    """Return the verbs of each resource of a role."""
    found: dict[str, set[str]] = {}
    for rule in next(yaml.safe_load_all(text))["rules"]:
        for resource in rule["resources"]:
            name = f"{resource}.{rule['apiGroups'][0]}".rstrip(".")
            found.setdefault(name, set()).update(rule["verbs"])
    return found


def test_scanning_needs_reading_alone(capsys):
    assert run(["rbac", "scan"]) == 0
    rights = granted(capsys.readouterr().out)
    assert set.union(*rights.values()) == {"get", "list"}
    assert rights["nodes"] == {"list"}
    assert not {"secrets", "events"} & rights.keys()
    assert run(["rbac", "scan", "--helm-hooks"]) == 0
    assert granted(capsys.readouterr().out)["secrets"] == {"list"}


def test_verifying_reads_events_and_secrets_and_a_probe_makes_pods(capsys):
    assert run(["rbac", "verify"]) == 0
    rights = granted(capsys.readouterr().out)
    assert (rights["events"], rights["secrets"], rights["pods"]) == ({"list"}, {"get"}, {"get", "list"})
    assert run(["rbac", "probe", "-n", "shop"]) == 0
    rights = granted(capsys.readouterr().out)
    assert rights["pods"] == {"get", "list", "create", "delete"}
    assert "nodes" not in rights


def test_other_kinds_are_named_or_read_from_their_definitions(tmp_path, capsys):
    (tmp_path / "crds.yaml").write_text(yaml.safe_dump(CRD))
    assert run(["rbac", "scan", "--kind", "certificates.cert-manager.io", "--crds", str(tmp_path)]) == 0
    rights = granted(capsys.readouterr().out)
    assert rights["certificates.cert-manager.io"] == rights["shops.example.com"] == {"list"}
    assert run(["rbac", "scan", "-n", "shop", "--crds", str(tmp_path)]) == 0
    assert "shops.example.com" not in granted(capsys.readouterr().out)


@pytest.mark.parametrize("arguments", [["--kind", "Shop"], ["--crds", "missing.yaml"], ["-n", "A b"]])
def test_what_cannot_be_granted_is_refused(arguments, capsys):
    assert run(["rbac", "scan", *arguments]) == 2
    assert capsys.readouterr().out == ""
