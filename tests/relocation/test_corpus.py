"""The real files of Redis Enterprise, below $HOMEPORT_CORPUS/redis-enterprise: found, rewritten, and nothing else touched."""

import os
from pathlib import Path

import pytest
import yaml

from homeport.applications.redis_enterprise import KNOWLEDGE, choose, knowledge
from homeport.discovery.inputs import read_inputs
from homeport.discovery.scan import scan_source
from homeport.mapping import Mapping, Target
from homeport.relocation.relocate import relocate

pytestmark = pytest.mark.corpus

ROOT = Path(os.environ.get("HOMEPORT_CORPUS", "/nonexistent")) / "redis-enterprise"
MIRROR = Mapping(Target.parse("registry.example.com:5000/mirror"))
RED_HAT = "registry.connect.redhat.com/redislabs/"

EXPECTED = {
    "extras/gears.yaml": ["python:3.7"],
    "helm-8.2.0-12/Chart.yaml": [],
    "helm-8.2.0-12/values.yaml": [],
    "v7.2.4-7/bundle.yaml": ["redislabs/operator:7.2.4-7"] * 2,
    "v7.2.4-7/openshift.bundle.yaml": [f"{RED_HAT}redis-enterprise-operator:7.2.4-7"] * 2,
    "v7.2.4-7/operator.yaml": ["redislabs/operator:7.2.4-7"] * 2,
    "v7.2.4-7/openshift/rec_rhel.yaml": [
        f"{RED_HAT}redis-enterprise:7.2.4-64.rhel8-openshift",
        f"open {RED_HAT}redis-enterprise-operator",
        f"open {RED_HAT}services-manager",
    ],
    "v8.0.20-23/bundle.yaml": ["redislabs/operator:8.0.20-23"] * 2,
    "v8.0.20-23/openshift.bundle.yaml": [f"{RED_HAT}redis-enterprise-operator:8.0.20-23"] * 2,
    "v8.0.20-23/examples/rec.yaml": [],
    "v8.0.20-23/openshift/rec_rhel.yaml": [
        f"{RED_HAT}redis-enterprise:8.0.20-44.23",
        f"open {RED_HAT}redis-enterprise-operator",
        f"open {RED_HAT}services-manager",
        f"open {RED_HAT}call-home-client",
    ],
}


def files() -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for path in ROOT.rglob("*.yaml"))


def load(text: str) -> list[object]:
    return list(yaml.load_all(text, Loader=yaml.CBaseLoader))


@pytest.mark.parametrize("name", files())
def test_images_are_found(name):
    ((source,), _) = read_inputs([str(ROOT / name)], stdin=None)
    scan = scan_source(source, KNOWLEDGE)
    assert scan.errors == ()
    if name in EXPECTED:
        assert [f"open {it.text}" if it.open else it.text for it in scan.findings] == EXPECTED[name]
    assert len(scan.unresolved) == (4 if name.endswith("examples/rec.yaml") else 0)


@pytest.mark.parametrize("name", files())
def test_only_names_and_secrets_change(name):
    ((source,), _) = read_inputs([str(ROOT / name)], stdin=None)
    scan = scan_source(source, KNOWLEDGE)
    rules = knowledge(choose(scan.findings, operator="8.0.20-23" if name.endswith("examples/rec.yaml") else None))
    result = relocate(source, MIRROR, knowledge=rules, pull_secret="regcred")
    assert result.unresolved == ()

    after = load(result.text)
    mapped = {str(it.path): it for it in scan.findings}
    differences = dict(differing(load(source.text), after))
    for path, (old, new) in differences.items():
        if old is None:
            assert path.endswith(("imagePullSecrets", "pullSecrets")) or name.endswith("examples/rec.yaml")
        else:
            finding = mapped[path.partition(":")[2].removesuffix(".repository")]
            target = MIRROR.relocate(finding.reference)
            assert new == (target.name if path.endswith(".repository") else str(target))
    assert sum(old is not None for old, _ in differences.values()) == len(scan.findings)

    again = relocate(type(source)(name, result.text), MIRROR, knowledge=rules, pull_secret="regcred")
    assert again.text == result.text
    assert (again.edits, again.insertions) == ((), ())


def differing(before: object, after: object, path: str = "") -> list[tuple[str, tuple[object, object]]]:
    """List the places where two values differ; what was added has None before."""
    if isinstance(before, dict) and isinstance(after, dict):
        assert set(before) <= set(after)
        added = [(f"{path}.{key}", (None, after[key])) for key in after if key not in before]
        return added + [
            it
            for key in before
            for it in differing(before[key], after[key], f"{path}.{key}" if path[-1] != ":" else path + key)
        ]
    if isinstance(before, list) and isinstance(after, list):
        assert len(before) == len(after)
        mark = "[{}]" if path else "{}:"
        return [
            it
            for i, pair in enumerate(zip(before, after, strict=True))
            for it in differing(*pair, path + mark.format(i))
        ]
    return [] if before == after else [(path, (before, after))]
