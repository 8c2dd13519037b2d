"""The vendor's real files, below $HOMEPORT_CORPUS/redis-enterprise: a table says what changes in each, and nothing else does."""

import os
from pathlib import Path

import pytest
import yaml

from homeport.applications.redis_enterprise.checks import Context, check
from homeport.applications.redis_enterprise.effective import effective_images
from homeport.applications.redis_enterprise.facts import Facts
from homeport.applications.redis_enterprise.learning import learn_files
from homeport.applications.redis_enterprise.releases import bundles, find_release
from homeport.applications.registry import KNOWLEDGE, learn_all
from homeport.cluster.pull_access import FilePullSecrets
from homeport.discovery.documents import parse_documents
from homeport.discovery.inputs import Source, read_inputs
from homeport.discovery.scan import scan_source
from homeport.errors import UsageError
from homeport.mapping import Mapping, Target
from homeport.relocation.relocate import relocate

pytestmark = pytest.mark.corpus

ROOT = Path(os.environ.get("HOMEPORT_CORPUS", "/nonexistent")) / "redis-enterprise"
REG = "registry.example.com:5000/mirror"
MIRROR = Mapping(Target.parse(REG))
RED_HAT = "registry.connect.redhat.com/redislabs/"
SECRET = [{"name": "regcred"}]
POD = "spec.template.spec"
CSV = "spec.install.spec.deployments[0].spec.template.spec"


def deployment(name: str, tag: str, at: str) -> dict[str, object]:
    containers = {f"Deployment {POD}.containers[{number}].image": f"{at}{name}:{tag}" for number in (0, 1)}
    secrets = {"ServiceAccount imagePullSecrets": SECRET, f"Deployment {POD}.imagePullSecrets": SECRET}
    return containers | secrets


def bundle(version: str) -> dict[str, object]:
    return deployment("operator", version, f"{REG}/redislabs/")


def openshift_bundle(version: str) -> dict[str, object]:
    return deployment("redis-enterprise-operator", version, f"{REG}/redislabs/")


def specs(*names: str) -> dict[str, object]:
    fields = (
        "redisEnterpriseImageSpec",
        "bootstrapperImageSpec",
        "redisEnterpriseServicesRiggerImageSpec",
        "usageMeter.callHomeClient.imageSpec",
    )
    changed = {
        f"RedisEnterpriseCluster spec.{field}.repository": f"{REG}/redislabs/{name}"
        for field, name in zip(fields, names, strict=False)
    }
    return changed | {"RedisEnterpriseCluster spec.pullSecrets": SECRET}


def csv(*images: str) -> dict[str, object]:
    """Return what changes in a bundle's ClusterServiceVersion: two containers, the related images, a secret; no digest."""
    paths = [f"{CSV}.containers[0].image", f"{CSV}.containers[1].image"]
    paths += [f"spec.relatedImages[{number}].image" for number in range(len(images))]
    names = [images[0], images[0], *images]
    changed = {
        f"ClusterServiceVersion {path}": f"{REG}/redislabs/{name}" for path, name in zip(paths, names, strict=True)
    }
    return changed | {f"ClusterServiceVersion {CSV}.imagePullSecrets": SECRET}


OPERATOR = "redis-enterprise-operator"
ADDED_SPECS = {
    "redisEnterpriseImageSpec": ("redis", "8.0.20-44.23"),
    "bootstrapperImageSpec": ("operator", "8.0.20-23"),
    "redisEnterpriseServicesRiggerImageSpec": ("k8s-controller", "8.0.20-23"),
}
CHANGES = {
    "extras/gears.yaml": {
        " spec.redisEnterpriseAdditionalPodSpecAttributes.initContainers[0].image": f"{REG}/library/python:3.7"
    },
    "helm-8.2.0-12/Chart.yaml": {},
    "helm-8.2.0-12/values.yaml": {
        " operator.image.repository": f"{REG}/redislabs/operator",
        " imagePullSecrets": ["regcred"],
    },
    "olm-7.2.4-7.0/clusterserviceversion.yaml": csv(
        OPERATOR, OPERATOR, OPERATOR, "services-manager", "redis-enterprise"
    ),
    "olm-8.0.20-23.0/clusterserviceversion.yaml": csv(
        OPERATOR, OPERATOR, OPERATOR, "services-manager", "redis-enterprise", "redis-enterprise", "call-home-client"
    ),
    "v7.2.4-7/bundle.yaml": bundle("7.2.4-7"),
    "v7.2.4-7/openshift.bundle.yaml": openshift_bundle("7.2.4-7"),
    "v7.2.4-7/operator.yaml": {
        path: value for path, value in bundle("7.2.4-7").items() if path.startswith("Deployment")
    },
    "v7.2.4-7/openshift/rec_rhel.yaml": specs("redis-enterprise", OPERATOR, "services-manager"),
    "v8.0.20-23/bundle.yaml": bundle("8.0.20-23"),
    "v8.0.20-23/openshift.bundle.yaml": openshift_bundle("8.0.20-23"),
    "v8.0.20-23/openshift/rec_rhel.yaml": specs("redis-enterprise", OPERATOR, "services-manager", "call-home-client"),
    "v8.0.20-23/examples/rec.yaml": {
        **{
            f"RedisEnterpriseCluster spec.{field}": {"repository": f"{REG}/redislabs/{name}", "versionTag": tag}
            for field, (name, tag) in ADDED_SPECS.items()
        },
        "RedisEnterpriseCluster spec.usageMeter": {
            "callHomeClient": {
                "imageSpec": {"repository": f"{REG}/redislabs/re-call-home-client", "versionTag": "8.0.20-23"}
            }
        },
        "RedisEnterpriseCluster spec.pullSecrets": SECRET,
    },
}
PAIRS = {
    "v7.2.4-7/bundle.yaml": None,
    "v7.2.4-7/openshift.bundle.yaml": "v7.2.4-7/openshift/rec_rhel.yaml",
    "v8.0.20-23/bundle.yaml": "v8.0.20-23/examples/rec.yaml",
    "v8.0.20-23/openshift.bundle.yaml": "v8.0.20-23/openshift/rec_rhel.yaml",
    "olm-7.2.4-7.0/clusterserviceversion.yaml": None,
    "olm-8.0.20-23.0/clusterserviceversion.yaml": None,
}


def read(name: str) -> Source:
    ((source,), errors) = read_inputs([str(ROOT / name)], stdin=None)
    assert errors == []
    return source


def load(text: str) -> list[object]:
    return [document for document in yaml.load_all(text, Loader=yaml.CBaseLoader) if document]


def roots(*sources: Source) -> list[tuple[str, object]]:
    return [(source.name, document.root) for source in sources for document in parse_documents(source)]


def problems(*sources: Source):
    found = Facts.of(roots(*sources))
    return check(Context.of(found, FilePullSecrets({}, {}), secrets_known=False))


def test_the_table_names_every_file():
    assert sorted(str(path.relative_to(ROOT)) for path in ROOT.rglob("*.yaml")) == sorted(CHANGES)


@pytest.mark.parametrize("name", CHANGES)
def test_what_changes_and_that_nothing_else_does(name):
    source = read(name)
    scan = scan_source(source, KNOWLEDGE)
    learned = learn_all(scan.findings)
    if name.endswith("examples/rec.yaml"):
        learned = learn_all(scan_source(read("v8.0.20-23/bundle.yaml"), KNOWLEDGE).findings)
    result = relocate(source, MIRROR, knowledge=learned.knowledge, pull_secret="regcred")
    assert result.unresolved == ()

    changed = {}
    for before, after in zip(load(source.text), load(result.text), strict=True):
        kind = before.get("kind", "")
        changed |= {f"{kind} {path}": new for path, new in differing(before, after)}
    assert {path: without_digest(new) for path, new in changed.items()} == CHANGES[name]

    again = relocate(Source(name, result.text), MIRROR, knowledge=learned.knowledge, pull_secret="regcred")
    assert again.text == result.text
    assert (again.edits, again.insertions) == ((), ())
    left = scan_source(Source(name, result.text), learned.knowledge)
    assert {it.reference.registry for it in left.findings} <= {"registry.example.com:5000"}


@pytest.mark.parametrize(("operator", "cluster"), PAIRS.items())
def test_the_vendors_files_are_right_before_and_after(operator, cluster):
    sources = [read(name) for name in (operator, cluster) if name]
    assert problems(*sources) == ()
    pulled = {it.image for it in effective_images(Facts.of(roots(*sources)))}
    assert len(pulled) >= (1 if cluster is None else 3)

    findings = [it for source in sources for it in scan_source(source, KNOWLEDGE).findings]
    rules = learn_all(findings).knowledge
    after = [
        Source(source.name, relocate(source, MIRROR, knowledge=rules, pull_secret="regcred").text) for source in sources
    ]
    assert problems(*after) == ()
    images = [it.image for it in effective_images(Facts.of(roots(*after)))]
    assert all(image.startswith(f"{REG}/redislabs/") for image in images)


@pytest.mark.parametrize("name", [name for name in PAIRS if name.startswith("olm")])
def test_the_bundles_digests_are_those_of_the_data(name):
    taught = learn_files([read(name)])
    (bundle_of_file,) = taught.bundles
    assert bundle_of_file in bundles()
    assert find_release(taught.releases[0].operator) is not None


def test_a_bundle_and_the_sample_teach_their_release():
    taught = learn_files([read("v7.2.4-7/openshift.bundle.yaml"), read("v7.2.4-7/openshift/rec_rhel.yaml")])
    (release,) = taught.releases
    assert (release.operator, release.redis[0].tag) == ("7.2.4-7", "7.2.4-64")
    assert release.redis[0].openshift == find_release("7.2.4-7").redis[0].openshift


def test_a_chart_without_values_says_nothing_of_a_release():
    with pytest.raises(UsageError, match="name no operator"):
        learn_files([read("helm-8.2.0-12/Chart.yaml")])


def without_digest(value: object) -> object:
    return value.partition("@")[0] if isinstance(value, str) else value


def differing(before: object, after: object, path: str = "") -> list[tuple[str, object]]:
    """List the places where two values differ, with what is there afterwards; nothing may be gone."""
    if isinstance(before, dict) and isinstance(after, dict):
        assert set(before) <= set(after)
        found = [(f"{path}.{key}".lstrip("."), after[key]) for key in after if key not in before]
        return found + [it for key in before for it in differing(before[key], after[key], f"{path}.{key}".lstrip("."))]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [it for index, pair in pairs for it in differing(*pair, f"{path}[{index}]")]
    if before != after:
        assert str(before).partition("@")[2] == str(after).partition("@")[2]  # a digest never changes
    return [] if before == after else [(path, after)]
