"""Every row of the data, and each known error of the published sources."""

import re
from collections import Counter
from datetime import date

import pytest

from homeport.applications.redis_enterprise.model import Bundle
from homeport.applications.redis_enterprise.releases import (
    FIRST_MINIMAL,
    bundles,
    check_operator,
    check_redis,
    doubts,
    find_release,
    images_of,
    release_images,
    releases,
    shipping,
    sources,
    version_of,
)
from homeport.errors import UsageError

BUILDS = [(release, build) for release in releases() for build in release.redis]


@pytest.mark.parametrize("release", releases(), ids=lambda release: release.operator)
def test_a_release_is_consistent(release):
    version = version_of(check_operator(release.operator))
    assert release.call_home == (version >= (7, 22, 0, 7))
    numbers = [version_of(build.tag) for build in release.redis]
    assert numbers == sorted(numbers)
    dates = [build.date for build in release.redis if build.date]
    assert dates == sorted(dates)
    assert len({build.tag for build in release.redis}) == len(release.redis) > 0


@pytest.mark.parametrize(("release", "build"), BUILDS, ids=lambda it: getattr(it, "tag", None) or it.operator)
def test_a_build_is_consistent(release, build):
    version = version_of(release.operator)
    assert version_of(check_redis(build.tag))[:3] == version[:3]
    assert build.minimal == (version >= FIRST_MINIMAL)
    if build.date:
        assert date(2018, 1, 1) < date.fromisoformat(f"{build.date}-01") < date(2027, 1, 1)
    if version[:2] >= (7, 8):
        assert build.openshift == build.tag
    elif build.openshift:
        assert re.fullmatch(r"\d+\.\d+\.\d+-\d+\.rhel[78]-openshift", check_redis(build.openshift))
        assert (".rhel7" in build.openshift) == (version <= (6, 2, 10, 4))
    if version >= FIRST_MINIMAL:
        assert build.tag.endswith(f".{version[3]}")
    if build.olm:
        assert build.olm.removeprefix("v").startswith(release.operator)
        assert build.olm in {bundle.name for bundle in bundles()}
    assert build.source.partition("/")[0] in sources()


@pytest.mark.parametrize("bundle", bundles(), ids=lambda bundle: bundle.name)
def test_a_bundle_is_consistent(bundle):
    version = version_of(bundle.name.removeprefix("v"))
    complete = version >= (6, 2, 10, 45)
    assert ("rigger" in bundle.digests) == ("redis" in bundle.digests) == complete
    assert ("call_home" in bundle.digests) == (version >= (7, 22, 0, 7))
    assert ("minimal" in bundle.digests) == (version >= FIRST_MINIMAL)
    assert len(set(bundle.digests.values())) == len(bundle.digests)


def test_rows_stand_once_and_in_order():
    assert len(releases()) == len({release.operator for release in releases()}) > 80
    assert len(bundles()) == len({bundle.name for bundle in bundles()}) > 90
    order = [version_of(release.operator) for release in releases()]
    assert order == sorted(order, reverse=True)


def test_a_rebuilt_bundle_keeps_operator_and_rigger():
    rebuilt = [bundle for bundle in bundles() if bundle.name.startswith("7.2.4-12.")]
    assert len(rebuilt) == 8
    assert len({bundle.redis for bundle in rebuilt}) > 1
    assert max(Counter(bundle.operator for bundle in rebuilt).values()) == len(rebuilt)


@pytest.mark.parametrize(
    ("operator", "wrong", "right"),
    [
        # The release note of March 2025 swaps the names of operator and Redis.
        ("7.8.6-1", "7.8.6-1", "7.8.6-13"),
        # The release note gives the operator's tag; the README of the git tag is right.
        ("6.0.6-6", "6.0.6-6", "6.0.6-35"),
        # openshift/rec_rhel.yaml of the git tag leaves the operator's build out.
        ("8.0.18-11", "8.0.18-23", "8.0.18-23.11"),
        # The git tags v7.4.6-9 and v7.8.6-11 hold bundles of 8.0.6-8 and 8.0.10-21.
        ("7.4.6-9", "8.0.6-54", "7.4.6-279"),
        ("7.8.6-11", "8.0.10-64", "7.8.6-253"),
        # A release note of 8.0.16 carried a tag of another build (redis/docs pull 3341).
        ("8.0.16-25", "8.0.16-29", "8.0.16-33"),
    ],
)
def test_a_wrong_pair_of_the_sources_is_not_taken_over(operator, wrong, right):
    tags = [build.tag for build in find_release(operator).redis]
    assert wrong not in tags
    assert right in tags


def test_no_tag_keeps_the_full_stop_that_notes_print_after_it():
    tags = [tag for release, build in BUILDS for tag in (release.operator, build.tag, build.openshift) if tag]
    assert not [tag for tag in tags if tag.endswith(".")]


def test_the_rhel8_name_is_taken_where_a_note_prints_another_builds_rhel7_name():
    (row,) = shipping("7.2.4-122")
    assert row[1].openshift == "7.2.4-122.rhel8-openshift"


def test_samples_of_7_8_that_carry_a_rhel8_suffix_are_wrong():
    assert {build.openshift for build in find_release("7.8.2-6").redis} == {"7.8.2-34", "7.8.2-60"}
    assert release_images("7.8.4-8", openshift=True).redis.tag == "7.8.4-66"


def test_the_placeholder_digest_of_8_0_18_14_is_no_digest():
    with pytest.raises(ValueError, match="not a digest"):
        Bundle("8.0.18-14.1", "sha256:1")
    assert [bundle.name for bundle in bundles() if bundle.name.startswith("8.0.18-14")] == ["8.0.18-14.2"]


def test_a_redis_tag_has_its_own_name_at_red_hat():
    images = images_of("7.4.6-6", "7.4.6-233", openshift=True)
    assert str(images[0]).endswith("redis-enterprise:7.4.6-232.rhel8-openshift")


def test_the_minimal_image_and_a_disabled_client():
    names = [str(image) for image in images_of("8.2.0-13", minimal=True, call_home=False)]
    assert names == [
        "docker.io/redislabs/redis:8.2.0-46.13.minimal",
        "docker.io/redislabs/operator:8.2.0-13",
        "docker.io/redislabs/k8s-controller:8.2.0-13",
    ]
    with pytest.raises(UsageError, match="no minimal image"):
        images_of("7.2.4-7", minimal=True)


def test_one_redis_tag_may_be_of_several_operators():
    assert [release.operator for release, _ in shipping("7.4.6-102")] == ["7.4.6-6", "7.4.6-2"]
    assert [release.operator for release, _ in shipping("6.0.6-39")] == ["6.0.6-24", "6.0.6-23", "6.0.6-11"]
    assert [release.operator for release, _ in shipping("8.2.0-46.13.minimal")] == ["8.2.0-13"]


@pytest.mark.parametrize("tag", ["nonsense", "7.2.4", "7.2.4-", "7.2.4-7.", "v7.2.4-7", "latest", "", "7.2.4-7;rm"])
def test_nonsense_is_no_operator(tag):
    with pytest.raises(UsageError, match="not an operator's version"):
        images_of(tag, "7.2.4-64")


@pytest.mark.parametrize("tag", ["nonsense", "7.2.4-64.", "redislabs/redis:7.2.4-64", "7.2.4-64.rhel9-openshift", ""])
def test_nonsense_is_no_redis_tag(tag):
    with pytest.raises(UsageError, match="not a Redis tag"):
        images_of("7.2.4-7", tag)


def test_what_is_uncertain_is_said():
    assert doubts("7.2.4-7") == doubts("7.2.4-7", "7.2.4-64") == []
    assert doubts("99.0.0-1") == [
        "operator 99.0.0-1 is not among the known releases; its images follow from the rules of all others"
    ]
    assert doubts("7.2.4-7", "7.2.4-52") == [
        "Redis 7.2.4-52 was not published for operator 7.2.4-7; published for it: 7.2.4-64"
    ]
