import re
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from homeport.oci.digest import is_digest
from homeport.reference import is_repository, is_tag
from homeport.server.replies import Refusal
from homeport.server.routes import METHODS, Endpoint, Route, parse_route

DIGEST = "sha256:" + "a" * 64
NAMES = st.from_regex(
    r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*", fullmatch=True
)
WORDS = st.sampled_from(["a", "blobs", "uploads", "manifests", "tags", "list", "referrers", "v2"])
REPOSITORIES = st.lists(WORDS, min_size=1, max_size=5).map("/".join) | NAMES.filter(is_repository)
TAGS = st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}", fullmatch=True)


def parse(path: str, method: str = "GET") -> Route:
    return parse_route(method, path.encode())


def refusal(path: str, method: str = "GET") -> tuple[int, str]:
    with pytest.raises(Refusal) as caught:
        parse(path, method)
    code = re.search(rb'"code":"(\w+)"', caught.value.reply.body)
    return caught.value.reply.status, code[1].decode()


@given(REPOSITORIES, TAGS)
def test_every_endpoint_is_found_whatever_the_repository_is_called(name, tag):
    assert parse(f"/v2/{name}/tags/list") == Route(Endpoint.TAGS, name)
    assert parse(f"/v2/{name}/manifests/{tag}") == Route(Endpoint.MANIFEST, name, tag)
    assert parse(f"/v2/{name}/manifests/{DIGEST}") == Route(Endpoint.MANIFEST, name, DIGEST)
    assert parse(f"/v2/{name}/blobs/{DIGEST}") == Route(Endpoint.BLOB, name, DIGEST)
    assert parse(f"/v2/{name}/referrers/{DIGEST}") == Route(Endpoint.REFERRERS, name, DIGEST)
    assert parse(f"/v2/{name}/blobs/uploads/", "POST") == Route(Endpoint.UPLOADS, name)
    assert parse(f"/v2/{name}/blobs/uploads/0af3", "PATCH") == Route(Endpoint.UPLOAD, name, "0af3")


def test_the_root_and_the_catalog():
    assert parse("/v2/") == parse("/v2") == Route(Endpoint.PING)
    assert parse("/v2/_catalog") == Route(Endpoint.CATALOG)


def test_a_digest_may_be_escaped():
    assert parse(f"/v2/a/blobs/{quote(DIGEST, safe='')}") == Route(Endpoint.BLOB, "a", DIGEST)


@pytest.mark.parametrize(
    "name",
    [
        "..",
        "a/..",
        "../a",
        "a/../../b",
        "%2e%2e",
        "a%2fb",
        "a%2Fb",
        "%252e%252e",
        "a%00",
        "a%0a",
        "a//b",
        "",
        ".a",
        "a.",
        "-a",
        "A",
        "_blobs",
        "a/_tags",
        "%ff",
        "ä",
        "a" * 256,
        "a/" * 200 + "a",
        "a\\b",
        "a b",
        "a%20b",
        "a:b",
    ],
)
def test_a_name_that_is_no_repository_is_refused(name):
    for rest in ("tags/list", "manifests/x", f"blobs/{DIGEST}", f"referrers/{DIGEST}", "blobs/uploads/x"):
        assert refusal(f"/v2/{name}/{rest}") == (400, "NAME_INVALID")
    assert refusal(f"/v2/{name}/blobs/uploads/", "POST") == (400, "NAME_INVALID")


@pytest.mark.parametrize(
    "digest", ["sha256:", "sha256:xyz", "sha256:" + "A" * 64, "sha512:" + "a" * 64, "%2e%2e", "latest"]
)
def test_a_text_that_is_no_digest_is_refused(digest):
    assert refusal(f"/v2/a/blobs/{digest}") == (400, "DIGEST_INVALID")
    assert refusal(f"/v2/a/referrers/{digest}") == (400, "DIGEST_INVALID")


@pytest.mark.parametrize("tag", ["", "..", "-x", "a%2fb", "a%00", "x" * 129, "%C3%A4"])
def test_a_text_that_is_no_tag_is_refused(tag):
    assert refusal(f"/v2/a/manifests/{tag}", "PUT") == (400, "MANIFEST_INVALID")


def test_a_digest_with_a_fault_is_no_tag():
    assert refusal("/v2/a/manifests/sha256:baddigeststring", "PUT") == (400, "DIGEST_INVALID")


@pytest.mark.parametrize(
    "path", ["", "/", "/v1/", "/v2/a", "/v2/a/tags", "/v3/a/tags/list", "//v2/", "/v2//", "/x" * 3000]
)
def test_a_path_that_means_nothing_is_not_found(path):
    assert refusal(path)[0] in (404, 400)


@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH", "DELETE", "OPTIONS", "BREW"])
def test_a_method_that_an_endpoint_lacks_is_named_with_those_it_has(method):
    with pytest.raises(Refusal) as caught:
        parse("/v2/a/tags/list", method)
    assert caught.value.reply.status == 405
    assert ("allow", "GET, HEAD") in caught.value.reply.headers


@given(st.binary(max_size=300) | st.text(max_size=100).map(lambda text: f"/v2/{quote(text)}/manifests/x".encode()))
@example(b"/v2/%2e%2e/%2e%2e/etc/tags/list")
@example(b"/v2/" + b"%2f" * 200 + b"/tags/list")
def test_whatever_comes_only_good_names_get_through(path):
    for method in ("GET", "POST", "PATCH"):
        try:
            route = parse_route(method, path)
        except Refusal:
            continue
        assert method in METHODS[route.endpoint]
        assert not route.repository or is_repository(route.repository)
        if route.endpoint in (Endpoint.BLOB, Endpoint.REFERRERS):
            assert is_digest(route.identifier)
        if route.endpoint is Endpoint.MANIFEST:
            assert is_digest(route.identifier) or is_tag(route.identifier)
