"""How names change from source to target."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.errors import CollisionError, UsageError
from homeport.mapping import Mapping, Target, component_of
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


TO = "registry.example.com:5000/mirror"
REDIRECTS = (
    "quay.io=quay",
    "quay.io/org=teams/org",
    "quay.io/org/app=apps/one",
    "docker.io/nginx=web",
    "ghcr.io=registry.example.com:5000/ghcr",
)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("quay.io/a/b:1", "mirror/quay/a/b:1"),
        ("quay.io/org/b:1", "mirror/teams/org/b:1"),
        ("quay.io/organ/b:1", "mirror/quay/organ/b:1"),
        ("quay.io/org/app:1", "mirror/apps/one:1"),
        (f"quay.io/org/app/sub@{DIGEST}", f"mirror/apps/one/sub@{DIGEST}"),
        ("nginx:1", "mirror/web:1"),
        ("redis", "mirror/library/redis"),
        ("ghcr.io/a/b", "ghcr/a/b"),
        ("registry.example.com:5000/ghcr/a/b", "ghcr/a/b"),
        ("gcr.io/a/b", "mirror/a/b"),
    ],
)
def test_the_longest_redirect_says_where_a_name_goes(source, target):
    for redirects in (REDIRECTS, REDIRECTS[::-1]):
        mapping = Mapping.parse(TO, redirects=redirects)
        assert str(mapping.relocate(Reference.parse(source))) == f"registry.example.com:5000/{target}"


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("quay.io/a/b:1", "quay.io/a/b:1"),
        ("nginx", "docker.io/library/nginx"),
        ("localhost:5000/a", "localhost-5000/a"),
        ("Registry.Example.org/a", "registry.example.org/a"),
        ("[::1]:5000/a", "1-5000/a"),
        ("gcr.io/moved/a", "elsewhere/a"),
    ],
)
def test_the_registry_is_kept_as_the_first_part_of_the_path(source, target):
    mapping = Mapping.parse(TO, keep_registry=True, redirects=("gcr.io/moved=elsewhere",))
    assert str(mapping.relocate(Reference.parse(source))) == f"{TO}/{target}"


hosts = st.sampled_from(
    ["docker.io", "quay.io", "ghcr.io", "registry.example.com:5000", "localhost:5000", "[::1]:5000"]
)
paths = st.sampled_from(
    ["library/nginx", "org/app", "org/app/sub", "org/b", "organ/b", "mirror/a/b", "mirror/web", "ghcr/x", "a/b"]
)
names = st.builds(Reference, hosts, paths, st.sampled_from([None, "1", "latest"]), st.sampled_from([None, DIGEST]))
mappings = st.builds(
    lambda target, keep, redirects: Mapping.parse(target, keep_registry=keep, redirects=redirects),
    st.sampled_from([TO, "registry.example.com:5000", "registry.example.com:5000/deep/er"]),
    st.booleans(),
    st.lists(
        st.sampled_from(
            ("quay.io=quay", "quay.io/org=org", "quay.io/org/app=one", "docker.io/nginx=web", "ghcr.io=gh/cr")
        ),
        unique=True,
    ),
)


@given(names, mappings)
def test_every_mapping_is_idempotent_and_keeps_tag_and_digest(source, mapping):
    target = mapping.relocate(source)
    assert (target.tag, target.digest) == (source.tag, source.digest)
    assert mapping.relocate(target) == target
    assert mapping.holds(target)
    assert target == source or not mapping.holds(source)
    assert Reference.parse(str(target)) == target


@given(names, mappings)
def test_the_way_back_finds_the_source(source, mapping):
    target = mapping.relocate(source)
    back = mapping.sources(target, source.registry)
    assert all(mapping.relocate(it) == target for it in back)
    assert source in back or target == source


@given(st.lists(names, max_size=6), mappings)
def test_no_two_names_become_one_without_a_word(sources, mapping):
    try:
        mapped = mapping.relocate_all(sources)
    except CollisionError:
        return
    moved = {
        source.pinned: target.pinned for source, target in mapped.items() if source != target and source.pinned.tag
    }
    by_tag = {}
    for source, target in moved.items():
        assert by_tag.setdefault((target.name, target.tag), source.name) == source.name


def test_the_way_back_writes_docker_hubs_own_names_out():
    mapping = Mapping.parse(TO, redirects=("docker.io/nginx=web",))
    assert [str(it) for it in mapping.sources(Reference.parse(f"{TO}/web:1"), "docker.io")] == [
        "docker.io/library/nginx:1"
    ]


def test_what_would_collide_is_kept_apart_by_either_option():
    sources = [Reference.parse("docker.io/a/b:1"), Reference.parse("quay.io/a/b:1")]
    for mapping in (Mapping.parse(TO, keep_registry=True), Mapping.parse(TO, redirects=("quay.io=quay",))):
        assert len(set(mapping.relocate_all(sources).values())) == 2


def test_redirects_onto_one_place_collide_as_any_names_do():
    mapping = Mapping.parse(TO, redirects=("quay.io/a=x", "gcr.io/b=x"))
    with pytest.raises(CollisionError, match=r"quay\.io/a/i:1 and gcr\.io/b/i:1 would both become .*/mirror/x/i:1"):
        mapping.relocate_all([Reference.parse("quay.io/a/i:1"), Reference.parse("gcr.io/b/i:1")])


@pytest.mark.parametrize(
    ("redirects", "reason"),
    [
        (("quay.io",), "is not FROM=TO"),
        (("quay.io=",), "is not FROM=TO"),
        (("=quay",), "is not FROM=TO"),
        (("quay.io=UP",), "is not a registry"),
        (("https://quay.io=x",), "is not a registry"),
        (("redislabs=x",), "Docker Hub"),
        (("quay.io=other.example.com/x",), "is not the target's registry"),
        (("quay.io=a", "quay.io=b"), "twice"),
        ((f"{TO}/old=new",), "at the target already"),
        (("quay.io=quay", "registry.example.com:5000/mirror/quay=x"), "at the target already"),
    ],
)
def test_redirects_that_cannot_hold_are_refused(redirects, reason):
    with pytest.raises(UsageError, match=reason):
        Mapping.parse(TO, redirects=redirects)


def test_a_name_that_gets_too_long_is_refused_with_its_length():
    with pytest.raises(UsageError, match="at most 255"):
        MIRROR.relocate(Reference("quay.io", "a/" + "b" * 250))


@pytest.mark.parametrize(
    "host", ["docker.io", "localhost:5000", "[::1]:5000", "[fe80::1]", "Host.Example.COM", "a--b.io:1"]
)
def test_a_host_becomes_a_part_of_a_path(host):
    assert Reference.parse(f"r.io/{component_of(host)}/a").repository == f"{component_of(host)}/a"


@pytest.mark.parametrize("text", ["registry", "registry/mirror"])
def test_a_target_that_names_would_not_show_as_a_host_is_refused(text):
    with pytest.raises(UsageError, match="path of Docker Hub"):
        Target.parse(text)


def test_docker_hubs_old_name_is_its_name():
    assert Target.parse("index.docker.io/org") == Target("docker.io", "org")


@pytest.mark.parametrize("text", ["https://r.io", "r.io/", "r.io/UP", "", "-r.io", "r.io//a", "r.io/a:1", "r.io/a@b"])
def test_what_is_no_target_is_refused(text):
    with pytest.raises(UsageError, match="is not a registry"):
        Target.parse(text)


@pytest.mark.parametrize("text", ["r.io", "r.io:5000", "localhost:5000/a/b", "[::1]:5000/a", "10.0.0.1/x"])
def test_a_target_reads_and_writes_alike(text):
    assert str(Target.parse(text)) == text
