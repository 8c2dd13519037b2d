"""Image names, against the grammar of github.com/distribution/reference and the way Docker normalises them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.errors import InvalidReferenceError
from homeport.reference import Reference, is_host, is_repository, is_tag

DIGEST = "sha256:" + "0123456789abcdef" * 4
SHA512 = "sha512:" + "0123456789abcdef" * 8


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # normalize.go: no domain is Docker Hub, one component is an official image
        ("nginx", ("docker.io", "library/nginx", None, None)),
        ("nginx:1.25", ("docker.io", "library/nginx", "1.25", None)),
        ("redislabs/redis:7.2.4-64", ("docker.io", "redislabs/redis", "7.2.4-64", None)),
        ("docker.io/nginx", ("docker.io", "library/nginx", None, None)),
        ("index.docker.io/nginx", ("docker.io", "library/nginx", None, None)),
        ("docker.io/library/nginx", ("docker.io", "library/nginx", None, None)),
        ("quay.io/nginx", ("quay.io", "nginx", None, None)),
        # the first component is a host by a dot, a colon, localhost or an upper-case letter
        ("foo/bar", ("docker.io", "foo/bar", None, None)),
        ("foo.bar/baz", ("foo.bar", "baz", None, None)),
        ("foo:5000/bar:1", ("foo:5000", "bar", "1", None)),
        ("localhost/bar", ("localhost", "bar", None, None)),
        ("localhost:5000/a/b", ("localhost:5000", "a/b", None, None)),
        ("Registry/bar", ("Registry", "bar", None, None)),
        ("registry:5000", ("docker.io", "library/registry", "5000", None)),
        ("[::1]:5000/a:1", ("[::1]:5000", "a", "1", None)),
        ("[2001:db8::1]/a", ("[2001:db8::1]", "a", None, None)),
        ("127.0.0.1/a", ("127.0.0.1", "a", None, None)),
        # tag and digest
        (f"a@{DIGEST}", ("docker.io", "library/a", None, DIGEST)),
        (f"a:1@{DIGEST}", ("docker.io", "library/a", "1", DIGEST)),
        (f"r.io/a/b@{SHA512}", ("r.io", "a/b", None, SHA512)),
        ("a:_x", ("docker.io", "library/a", "_x", None)),
        ("a:" + "t" * 128, ("docker.io", "library/a", "t" * 128, None)),
        # separators inside a component: one dot or underscore, two underscores, any number of dashes
        ("x/a.b_c__d---e", ("docker.io", "x/a.b_c__d---e", None, None)),
    ],
)
def test_names_read_as_docker_reads_them(text, expected):
    reference = Reference.parse(text)
    assert (reference.registry, reference.repository, reference.tag, reference.digest) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "repository"),
        ("a" * 64, "an image's id"),
        ("Nginx", "lower case"),
        ("r.io/Foo:1", "lower case"),
        ("a:", "tag"),
        ("a:.1", "tag"),
        ("a:-1", "tag"),
        ("a:" + "t" * 129, "tag"),
        ("a:b:c", "tag"),
        ("a@", "digest"),
        ("a@sha256:abc", "digest"),
        ("a@sha256:" + "A" * 64, "digest"),
        ("a@md5:" + "a" * 32, "digest"),
        (f"a@{DIGEST}:1", "digest"),
        ("a//b", "repository"),
        ("/a", "repository"),
        ("a/", "repository"),
        ("a..b", "repository"),
        ("x/a___b", "repository"),
        ("x/-a", "repository"),
        ("a b", "repository"),
        ("a\n", "repository"),
        (" a", "repository"),
        ("https://r.io/a", "host"),
        ("-r.io/a", "host"),
        ("r.io:x/a", "host"),
        ("a.b_c/d", "host"),
        ("[::1/a", "host"),
        ("r.io/" + "a" * 256, "255"),
        ("ä/b", "repository"),
    ],
)
def test_what_is_no_name_is_refused_with_the_reason(text, reason):
    with pytest.raises(InvalidReferenceError, match=reason):
        Reference.parse(text)


def test_an_error_shows_no_more_than_a_line_of_a_long_text():
    with pytest.raises(InvalidReferenceError) as caught:
        Reference.parse("x" * 10_000)
    assert len(str(caught.value)) < 300


COMPONENT = st.from_regex(r"[a-z0-9]{1,8}((\.|_|__|-{1,3})[a-z0-9]{1,5}){0,2}", fullmatch=True)
PATH = st.lists(COMPONENT, min_size=1, max_size=4).map("/".join)
HOST = st.one_of(
    st.from_regex(r"[a-z0-9]([a-z0-9-]{0,6}[a-z0-9])?(\.[a-z0-9]{1,6}){1,2}(:[0-9]{1,5})?", fullmatch=True),
    st.sampled_from(["localhost", "localhost:5000", "[::1]:5000", "10.0.0.1", "docker.io"]),
)
TAG = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)


@given(HOST, PATH, st.none() | TAG, st.none() | st.just(DIGEST))
def test_what_is_written_reads_back(host, path, tag, digest):
    if host == "docker.io" and "/" not in path:
        path = f"library/{path}"
    reference = Reference(host, path, tag, digest)
    assert Reference.parse(str(reference)) == reference
    assert is_host(host)
    assert is_repository(path)
    assert tag is None or is_tag(tag)


@given(st.text(max_size=60))
def test_any_text_is_a_name_or_refused(text):
    try:
        reference = Reference.parse(text)
    except InvalidReferenceError:
        return
    assert Reference.parse(str(reference)) == reference


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nginx:1", "registry.redhat.io/nginx:1"),
        ("redislabs/redis", "registry.redhat.io/redislabs/redis"),
        ("docker.io/nginx", "docker.io/library/nginx"),
        ("quay.io/a", "quay.io/a"),
    ],
)
def test_a_default_registry_takes_the_names_without_one_and_no_library(text, expected):
    assert str(Reference.parse(text, "registry.redhat.io")) == expected


def test_a_runtime_takes_latest_where_neither_tag_nor_digest_is_given():
    assert Reference.parse("a").pinned.tag == "latest"
    assert Reference.parse("a:1").pinned.tag == "1"
    assert Reference.parse(f"a@{DIGEST}").pinned.tag is None


@pytest.mark.parametrize(("text", "expected"), [("a", "latest"), ("a:1", "1"), (f"a:1@{DIGEST}", DIGEST)])
def test_a_registry_is_asked_for_the_digest_first(text, expected):
    assert Reference.parse(text).identifier == expected
