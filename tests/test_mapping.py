"""How names change from source to target."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.errors import CollisionError, UsageError
from homeport.mapping import Mapping, Target
from homeport.reference import Reference

DIGEST = "sha256:" + "a" * 64
MIRROR = Mapping(Target.parse("registry.example.com:5000/mirror"))
BARE = Mapping(Target.parse("registry.example.com"))


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("redislabs/redis:7.2.4-64", "registry.example.com:5000/mirror/redislabs/redis:7.2.4-64"),
        ("nginx:1", "registry.example.com:5000/mirror/library/nginx:1"),
        ("nginx", "registry.example.com:5000/mirror/library/nginx"),
        (
            "registry.connect.redhat.com/redislabs/redis-enterprise:7.2.4-64.rhel8-openshift",
            "registry.example.com:5000/mirror/redislabs/redis-enterprise:7.2.4-64.rhel8-openshift",
        ),
        (f"quay.io/a/b@{DIGEST}", f"registry.example.com:5000/mirror/a/b@{DIGEST}"),
        (f"quay.io/a/b:1@{DIGEST}", f"registry.example.com:5000/mirror/a/b:1@{DIGEST}"),
        ("registry.example.com:5000/other/b:1", "registry.example.com:5000/mirror/other/b:1"),
    ],
)
def test_the_registry_is_dropped_and_the_rest_is_kept(source, target):
    assert str(MIRROR.relocate(Reference.parse(source))) == target


def test_without_a_path_the_repository_moves_as_it_is():
    assert str(BARE.relocate(Reference.parse("redislabs/redis:1"))) == "registry.example.com/redislabs/redis:1"


@given(
    st.sampled_from(["docker.io", "quay.io", "registry.example.com", "registry.example.com:5000", "localhost:5000"]),
    st.sampled_from(["library/nginx", "a/b", "mirror/a", "mirror", "mirrored/a"]),
    st.sampled_from([None, "1", "latest"]),
    st.sampled_from([None, DIGEST]),
    st.sampled_from([MIRROR, BARE]),
)
def test_mapping_twice_is_mapping_once_and_keeps_tag_and_digest(registry, repository, tag, digest, mapping):
    source = Reference(registry, repository, tag, digest)
    target = mapping.relocate(source)
    assert mapping.relocate(target) == target
    assert mapping.target.holds(target)
    assert (target.tag, target.digest) == (tag, digest)


def test_two_sources_of_one_name_are_refused_with_both_named():
    sources = [Reference.parse("docker.io/a/b:1"), Reference.parse("quay.io/a/b:1")]
    with pytest.raises(CollisionError, match=r"docker\.io/a/b:1 and quay\.io/a/b:1 would both become .*/mirror/a/b:1"):
        MIRROR.relocate_all(sources)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("docker.io/library/nginx", "quay.io/library/nginx:latest"),
        (f"docker.io/a/b:1@{DIGEST}", "quay.io/a/b:1"),
        ("registry.example.com:5000/a/b:1", "quay.io/a/b:1"),
    ],
)
def test_names_that_a_runtime_reads_alike_collide(one, other):
    with pytest.raises(CollisionError):
        MIRROR.relocate_all([Reference.parse(one), Reference.parse(other)])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("docker.io/a/b:1", "quay.io/a/b:2"),
        (f"docker.io/a/b@{DIGEST}", f"quay.io/a/b@{DIGEST}"),
        ("docker.io/a/b:1", f"docker.io/a/b:1@{DIGEST}"),
        ("docker.io/a/b:1", "registry.example.com:5000/mirror/a/b:1"),
    ],
)
def test_names_that_share_nothing_or_are_one_image_do_not_collide(one, other):
    sources = [Reference.parse(one), Reference.parse(other)]
    assert list(MIRROR.relocate_all(sources)) == sources


@pytest.mark.parametrize("text", ["https://r.io", "r.io/", "r.io/UP", "", "-r.io", "r.io//a", "r.io/a:1", "r.io/a@b"])
def test_what_is_no_target_is_refused(text):
    with pytest.raises(UsageError, match="is not a registry"):
        Target.parse(text)


@pytest.mark.parametrize("text", ["r.io", "r.io:5000", "localhost:5000/a/b", "[::1]:5000/a", "10.0.0.1/x"])
def test_a_target_reads_and_writes_alike(text):
    assert str(Target.parse(text)) == text
