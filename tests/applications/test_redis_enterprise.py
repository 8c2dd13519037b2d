"""What Homeport knows of Redis Enterprise: releases, and what a cluster pulls without naming it."""

import pytest

from homeport.applications.redis_enterprise import KNOWLEDGE, Choice, choose, images_of, knowledge
from homeport.applications.redis_enterprise.fields import CALL_HOME, FIELDS, REDIS, RIGGER
from homeport.applications.redis_enterprise.implied import default_tag, implied_images
from homeport.applications.redis_enterprise.releases import (
    call_home_with_redis,
    find_release,
    has_call_home,
    releases,
    version_of,
)
from homeport.discovery.findings import ObjectKey, Scan
from homeport.discovery.inputs import Source
from homeport.discovery.scan import scan_source
from homeport.errors import UsageError
from homeport.reference import is_tag

REC = ObjectKey("app.redislabs.com/v1", "RedisEnterpriseCluster", "", "rec")


def test_every_release_is_consistent():
    tags = [release.operator for release in releases()]
    assert len(tags) == len(set(tags)) > 80
    for release in releases():
        version = version_of(release.operator)
        assert version is not None
        assert release.call_home == (version >= (7, 22, 0, 7))
        assert release.redis
        for build in release.redis:
            assert is_tag(build.tag)
            assert version_of(build.tag)[:3] == version[:3]
            if version[:2] >= (7, 8):
                assert build.openshift == build.tag
            elif build.openshift is not None:
                assert build.openshift.endswith(("-openshift",))
    assert [version_of(tag) for tag in tags] == sorted(map(version_of, tags), reverse=True)


@pytest.mark.parametrize(
    ("operator", "builds"),
    [
        # the first build published is the first one here
        ("7.2.4-12", ["7.2.4-92", "7.2.4-105", "7.2.4-109", "7.2.4-117", "7.2.4-118", "7.2.4-122", "7.2.4-130"]),
        ("7.2.4-7", ["7.2.4-64"]),
        # the release note of March 2025 swaps operator and Redis
        ("7.8.6-1", ["7.8.6-13", "7.8.6-36", "7.8.6-60"]),
        # the release note says 6.0.6-6
        ("6.0.6-6", ["6.0.6-35"]),
        # a sample of that tag says 8.0.18-23
        ("8.0.18-11", ["8.0.18-23.11"]),
        # the git tag holds the bundle of 8.0.6-8
        ("7.4.6-9", ["7.4.6-279"]),
    ],
)
def test_known_errors_of_the_published_sources_are_mended(operator, builds):
    assert [build.tag for build in find_release(operator).redis] == builds


def test_red_hats_build_may_differ_from_docker_hubs():
    builds = {build.tag: build.openshift for build in find_release("7.4.6-6").redis}
    assert builds["7.4.6-233"] == "7.4.6-232.rhel8-openshift"


def test_branches_that_were_never_released_are_unknown():
    assert find_release("7.22.0-18") is None


def test_the_images_of_a_release():
    assert [str(image) for image in images_of("7.2.4-7")] == [
        "docker.io/redislabs/redis:7.2.4-64",
        "docker.io/redislabs/operator:7.2.4-7",
        "docker.io/redislabs/k8s-controller:7.2.4-7",
    ]
    assert [str(image) for image in images_of("8.0.20-23", openshift=True)] == [
        "registry.connect.redhat.com/redislabs/redis-enterprise:8.0.20-44.23",
        "registry.connect.redhat.com/redislabs/redis-enterprise-operator:8.0.20-23",
        "registry.connect.redhat.com/redislabs/services-manager:8.0.20-23",
        "registry.connect.redhat.com/redislabs/call-home-client:8.0.20-23",
    ]
    assert str(images_of("7.2.4-12", "7.2.4-130")[0]) == "docker.io/redislabs/redis:7.2.4-130"
    assert len(images_of("99.0.0-1", "99.0.0-5")) == 4


@pytest.mark.parametrize("operator", ["99.0.0-1", "nonsense", "not a tag", ""])
def test_an_unknown_operator_is_not_guessed_at(operator):
    with pytest.raises(UsageError):
        images_of(operator)


@pytest.mark.parametrize(
    ("tag", "version"),
    [
        ("7.2.4-64.rhel8-openshift", (7, 2, 4, 64)),
        ("8.0.20-44.23.minimal", (8, 0, 20, 44)),
        ("804_c4987427", None),
        ("latest", None),
    ],
)
def test_tags_read_as_numbers(tag, version):
    assert version_of(tag) == version


@pytest.mark.parametrize(
    ("operator", "answer"),
    [("7.22.0-6", False), ("7.22.0-7", True), ("7.8.6-19", False), ("8.0.2-2", True), ("99.1.0-1", True), ("x", None)],
)
def test_the_call_home_client_came_with_7_22_0_7(operator, answer):
    assert has_call_home(operator) is answer


@pytest.mark.parametrize(
    ("redis", "answer"),
    [
        ("7.2.4-64.rhel8-openshift", False),
        ("7.2.4-999", False),
        ("8.0.20-44.23.minimal", True),
        ("9.9.9-1", True),
        ("7.22.0-28", True),
        ("7.22.0-999", None),
        ("", None),
    ],
)
def test_a_redis_tag_tells_whether_there_is_a_call_home_client(redis, answer):
    assert call_home_with_redis(redis) is answer


def implied(choice, spec):
    return {it.field.role: str(it.reference or it.reason) for it in implied_images(choice, REC, {"spec": spec})}


def test_an_empty_cluster_pulls_the_operators_defaults():
    assert implied(Choice(("7.22.0-7",)), {}) == {
        "Redis node": "docker.io/redislabs/redis:7.22.0-28",
        "bootstrapper": "docker.io/redislabs/operator:7.22.0-7",
        "services rigger": "docker.io/redislabs/k8s-controller:7.22.0-7",
        "call-home client": "docker.io/redislabs/re-call-home-client:7.22.0-7",
    }


def test_what_is_named_is_not_implied():
    named = {"redisEnterpriseImageSpec": {"repository": "a/b"}, "bootstrapperImageSpec": {"repository": "c"}}
    assert list(implied(Choice(("7.2.4-7",)), named)) == ["services rigger"]


@pytest.mark.parametrize(
    ("operator", "disabled", "wanted"),
    [
        ("7.2.4-7", False, False),
        ("7.22.0-6", False, False),
        ("7.22.0-7", False, True),
        ("7.22.0-7", True, False),
    ],
)
def test_the_call_home_client_is_implied_only_where_it_runs(operator, disabled, wanted):
    roles = implied(Choice((operator,), "1"), {"usageMeter": {"callHomeClient": {"disabled": disabled}}})
    assert ("call-home client" in roles) is wanted


def test_a_clusters_own_tags_tell_the_operator():
    spec = {"bootstrapperImageSpec": {"repository": "redislabs/operator", "versionTag": "7.2.4-7"}}
    assert implied(Choice(), spec)["Redis node"] == "docker.io/redislabs/redis:7.2.4-64"


def test_red_hats_names_stay_red_hats():
    spec = {"bootstrapperImageSpec": {"repository": "reg.io/m/redislabs/redis-enterprise-operator"}}
    assert implied(Choice(("7.2.4-7",)), spec)["Redis node"] == (
        "registry.connect.redhat.com/redislabs/redis-enterprise:7.2.4-64.rhel8-openshift"
    )


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (Choice(), "the operator's version is not known"),
        (Choice(("7.2.4-2", "7.2.4-7")), "the operator may be 7.2.4-2 or 7.2.4-7"),
        (Choice(("99.0.0-1",)), "no Redis tag is known for operator 99.0.0-1"),
        (Choice(("7.2.4-7",), openshift=None), "operators for Kubernetes and for OpenShift are given"),
    ],
)
def test_where_the_release_is_not_certain_the_reason_is_said(choice, words):
    assert words in implied(choice, {})["Redis node"]


RED_HATS = {"spec": {"bootstrapperImageSpec": {"repository": "reg.io/redis-enterprise-operator"}}}


@pytest.mark.parametrize(
    ("choice", "rec", "redis", "rigger"),
    [
        (Choice(("7.2.4-7",)), {}, "7.2.4-64", "7.2.4-7"),
        (Choice(("7.2.4-7",)), RED_HATS, "7.2.4-64.rhel8-openshift", "7.2.4-7"),
        (Choice(("99.0.0-1",)), {}, "", "99.0.0-1"),
        (Choice(), {"spec": {"bootstrapperImageSpec": {"versionTag": "7.2.4-7"}}}, "7.2.4-64", "7.2.4-7"),
        (Choice(), {}, "", ""),
        (Choice(("7.2.4-2", "7.2.4-7")), {}, "", ""),
        (Choice(("7.2.4-7",), openshift=None), {}, "", ""),
    ],
)
def test_a_repository_alone_has_the_operators_tag(choice, rec, redis, rigger):
    assert default_tag(choice, rec, REDIS) == redis
    assert default_tag(choice, rec, RIGGER) == rigger


def test_a_repository_alone_is_found_with_the_tag_that_is_pulled():
    text = (
        "apiVersion: app.redislabs.com/v1\nkind: RedisEnterpriseCluster\nspec:\n"
        "  redisEnterpriseServicesRiggerImageSpec: {repository: reg.io/k8s-controller}\n"
    )
    (known,) = scan_source(Source("f", text), knowledge(Choice(("7.2.4-7",)))).findings[:1]
    assert (str(known.reference), known.open) == ("reg.io/k8s-controller:7.2.4-7", False)
    assert known.how == "rule redis-enterprise, its tag is the operator's default"
    (unknown,) = scan_source(Source("f", text), KNOWLEDGE).findings[:1]
    assert (str(unknown.reference), unknown.open) == ("reg.io/k8s-controller", True)


def test_other_objects_imply_nothing():
    assert list(implied_images(Choice(("7.2.4-7",)), ObjectKey("v1", "Pod"), {})) == []


def scan(*images: str) -> Scan:
    containers = ", ".join(f"{{image: '{image}'}}" for image in images)
    text = f"{{apiVersion: apps/v1, kind: Deployment, spec: {{template: {{spec: {{containers: [{containers}]}}}}}}}}"
    return scan_source(Source("f", text), KNOWLEDGE)


@pytest.mark.parametrize(
    ("images", "choice"),
    [
        (["redislabs/operator:7.2.4-7", "redislabs/operator:7.2.4-7"], Choice(("7.2.4-7",))),
        (["reg.io/m/redislabs/operator:7.2.4-7"], Choice(("7.2.4-7",))),
        (
            ["registry.connect.redhat.com/redislabs/redis-enterprise-operator:7.8.6-1"],
            Choice(("7.8.6-1",), openshift=True),
        ),
        (["redislabs/operator:7.2.4-7", "redislabs/operator:7.2.4-2"], Choice(("7.2.4-2", "7.2.4-7"))),
        (["redislabs/operator:1", "redislabs/redis-enterprise-operator:1"], Choice(("1",), openshift=None)),
        (["other/operator:1", "nginx"], Choice()),
    ],
)
def test_the_operators_deployment_tells_the_release(images, choice):
    assert choose(scan(*images).findings) == choice


def test_what_a_person_says_comes_first():
    assert choose(scan("redislabs/operator:7.2.4-7").findings, "8.0.2-2", "8.0.2-17") == Choice(
        ("8.0.2-2",), "8.0.2-17"
    )


def test_rules_for_all_fields():
    assert REDIS in FIELDS.images
    assert CALL_HOME.path == ("spec", "usageMeter", "callHomeClient", "imageSpec")
    assert knowledge(Choice()).images == FIELDS.images
