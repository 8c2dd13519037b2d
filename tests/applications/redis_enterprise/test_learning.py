"""A release is learned from its own files and kept beside the published ones."""

import msgspec
import pytest

from homeport.applications.redis_enterprise.learned import read_learned, write_learned
from homeport.applications.redis_enterprise.learning import learn_files
from homeport.applications.redis_enterprise.model import Build, Release, Taught
from homeport.applications.redis_enterprise.releases import bundles, find_release, forget_learned, images_of
from homeport.discovery.inputs import Source
from homeport.errors import InputError, StoreError, UsageError

BUNDLE = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: redis-enterprise-operator}
spec:
  template:
    spec:
      containers:
      - {name: redis-enterprise-operator, image: 'redislabs/operator:9.0.0-5'}
      - {name: admission, image: 'redislabs/operator:9.0.0-5'}
"""
REC = """
apiVersion: app.redislabs.com/v1
kind: RedisEnterpriseCluster
spec: {redisEnterpriseImageSpec: {versionTag: %s}}
"""
DIGEST, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
CSV = """
apiVersion: operators.coreos.com/v1alpha1
kind: ClusterServiceVersion
metadata: {name: redis-enterprise-operator.v9.0.0-5.0}
spec:
  version: 9.0.0-5.0
  install: {spec: {deployments: [{spec: {template: {spec: {containers: [
    {name: redis-enterprise-operator, image: 'registry.connect.redhat.com/redislabs/redis-enterprise-operator@%(digest)s'}]}}}}]}}
  relatedImages:
  - {name: redis-enterprise-operator, image: 'registry.connect.redhat.com/redislabs/redis-enterprise-operator@%(digest)s'}
  - {name: redis-enterprise-node, image: 'registry.connect.redhat.com/redislabs/redis-enterprise@%(redis)s'}
"""


def learn(*texts: str) -> Taught:
    return learn_files([Source(f"file{number}", text) for number, text in enumerate(texts)])


def test_a_bundle_and_a_rec_make_a_release():
    taught = learn(BUNDLE, REC % "9.0.0-12.5.minimal")
    assert taught.releases == (
        Release(
            "9.0.0-5",
            call_home=True,
            redis=(Build("9.0.0-12.5", openshift="9.0.0-12.5", minimal=True, source="learned"),),
        ),
    )


def test_an_olm_bundle_gives_its_digests():
    taught = learn(CSV % {"digest": DIGEST, "redis": OTHER})
    assert [bundle.name for bundle in taught.bundles] == ["9.0.0-5.0"]
    assert taught.bundles[0].redis == OTHER
    assert taught.releases == (Release("9.0.0-5", call_home=True, redis=()),)


def test_the_placeholder_digest_is_refused_with_its_line():
    with pytest.raises(InputError, match=r"file0:11: 'sha256:1' is a placeholder"):
        learn(CSV % {"digest": DIGEST, "redis": "sha256:1"})


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ([REC % "9.0.0-12.5"], "name no operator"),
        ([BUNDLE, BUNDLE.replace("9.0.0-5", "9.0.0-6")], "several operators: 9.0.0-5, 9.0.0-6"),
        ([BUNDLE, REC % "8.2.0-46.13"], "no build for operator 9.0.0-5"),
        ([BUNDLE, REC % "redislabs/redis"], "not a Redis tag"),
        ([BUNDLE.replace("9.0.0-5", "new")], "'new' is not an operator's version"),
        (["{}"], "hold no release"),
    ],
)
def test_what_does_not_tell_a_release_is_refused(texts, words):
    with pytest.raises(UsageError, match=words):
        learn(*texts)


def test_what_was_learned_counts_from_then_on(learned):
    with pytest.raises(UsageError):
        images_of("9.0.0-5")
    write_learned(learn(BUNDLE, REC % "9.0.0-12.5"))
    forget_learned()
    assert str(images_of("9.0.0-5", openshift=True)[0]).endswith("redis-enterprise:9.0.0-12.5")
    assert len(images_of("9.0.0-5")) == 4
    assert find_release("7.2.4-7") is not None


def test_a_new_build_of_a_known_operator_comes_after_the_published_ones(learned):
    write_learned(learn(BUNDLE.replace("9.0.0-5", "7.2.4-7"), REC % "7.2.4-99.rhel8-openshift"))
    forget_learned()
    assert [build.tag for build in find_release("7.2.4-7").redis] == ["7.2.4-64", "7.2.4-99"]
    assert find_release("7.2.4-7").redis[0].date == "2023-10"


def test_learning_the_same_twice_changes_nothing(learned):
    taught = learn(BUNDLE, CSV % {"digest": DIGEST, "redis": OTHER}, REC % "9.0.0-12.5")
    write_learned(taught)
    first = learned.read_bytes()
    write_learned(read_learned() + taught)
    assert learned.read_bytes() == first
    assert [file.name for file in learned.parent.iterdir()] == [learned.name]
    forget_learned()
    assert bundles()[0].name == "9.0.0-5.0"


def test_a_learned_file_teaches_another_machine(learned):
    taught = learn(BUNDLE, REC % "9.0.0-12.5")
    assert learn(msgspec.json.encode(taught).decode()) == taught


@pytest.mark.parametrize(
    "content", ["{", '{"x":' + "[" * 100_000, '{"releases": [{"operator": 1}]}', '{"other": 1}', "[]"]
)
def test_a_broken_file_is_named(learned, content):
    learned.parent.mkdir()
    learned.write_text(content)
    with pytest.raises(UsageError, match=r"learned\.json does not hold releases"):
        find_release("7.2.4-7")


def test_where_nothing_can_be_written_nothing_is_there(learned):
    learned.parent.write_text("a file, not a folder")
    with pytest.raises(StoreError, match="cannot be written"):
        write_learned(Taught())


def test_it_is_kept_in_the_configuration_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("HOMEPORT_RELEASES")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert write_learned(Taught()) == tmp_path / "homeport" / "redis-enterprise.json"


@pytest.mark.parametrize(
    ("written", "openshift"), [("7.2.4-99", None), ("7.2.4-99.rhel8-openshift", "7.2.4-99.rhel8-openshift")]
)
def test_before_7_8_only_red_hats_own_tag_tells_its_name_there(written, openshift):
    (release,) = learn(BUNDLE.replace("9.0.0-5", "7.2.4-7"), REC % written).releases
    assert release.redis == (Build("7.2.4-99", openshift=openshift, source="learned"),)
    assert not release.call_home
