"""Charts of classic repositories become OCI charts, byte for byte, or are refused."""

import contextlib
import gzip
import io
import tarfile
from collections.abc import Iterator
from hashlib import sha256

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.errors import ContentError, NotFoundError, UsageError
from homeport.mirror.bundle import charts
from homeport.mirror.bundle.chart_index import Release, read_text, releases_of
from homeport.mirror.bundle.charts import CHART_TYPE, CONFIG_TYPE, PROVENANCE_TYPE, ChartName, fetch_chart
from homeport.oci.manifest import parse_manifest
from homeport.reference import Reference
from homeport.registry.credentials import Credential
from homeport.registry.session import Registries
from homeport.store.files import read_whole
from homeport.store.oci_layout import Layout
from tests.kit.web import Page, WebServer, web_server

CHART = """\
apiVersion: v2
name: demo
version: 0.1.0+build
appVersion: 7.2
deprecated: yes
icon:
maintainers: [{name: someone}]
dependencies:
- {name: cache, version: 0.1.0, enabled: false}
"""


def package(chart: str = CHART, name: str = "demo/Chart.yaml") -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        for path, text in (("demo/values.yaml", "a: 1\n"), ("demo/charts/cache/Chart.yaml", "name: no"), (name, chart)):
            member = tarfile.TarInfo(path)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return gzip.compress(held.getvalue(), mtime=0)


def index(url: str, digest: str, version: str = "0.1.0+build") -> bytes:
    return f"""\
apiVersion: v1
generated: "2026-01-01T00:00:00Z"
entries:
  another: [{{version: 1.0.0, urls: [x]}}]
  demo:
  - {{name: demo, version: 9.9.9, urls: ["x.tgz"], digest: "1"}}
  - name: demo
    version: {version}
    urls: ["{url}"]
    digest: "{digest}"
""".encode()


def publish(web: WebServer, url: str = "demo-0.1.0.tgz", body: bytes | None = None, digest: str = "") -> bytes:
    body = body or package()
    web.pages["/stable/index.yaml"] = Page(index(url, digest or sha256(body).hexdigest()))
    web.pages["/stable/demo-0.1.0.tgz"] = Page(body)
    return body


def fetch(web: WebServer, text: str = "demo:0.1.0+build", credential: Credential | None = None) -> Layout:
    class Known:
        def resolve(self, registry: str, repository: str = "") -> Credential | None:
            return credential if registry == web.host else None

    name = ChartName.parse(f"{web.url}/stable/{text}")
    with Registries(credentials=Known()) as registries:
        return fetch_chart(name, registries.web(name.repository).fetch)


@pytest.fixture
def web() -> Iterator[WebServer]:
    with web_server() as server:
        yield server


def test_a_chart_becomes_what_helm_pushes(web: WebServer):
    body = publish(web)
    web.pages["/stable/demo-0.1.0.tgz.prov"] = Page(b"signed")
    layout = fetch(web)
    [named] = layout.images
    assert named.reference == Reference.parse(f"{web.host}/stable/demo:0.1.0_build")
    manifest = parse_manifest(layout.manifest(named.manifest.digest))
    assert [blob.media_type for blob in manifest.blobs] == [CONFIG_TYPE, CHART_TYPE, PROVENANCE_TYPE]
    config, chart, provenance = (read_whole(layout.files, layout.path(blob.digest), 1 << 20) for blob in manifest.blobs)
    assert (chart, provenance) == (body, b"signed")
    assert msgspec.json.decode(config) == {
        "apiVersion": "v2",
        "name": "demo",
        "version": "0.1.0+build",
        "appVersion": "7.2",
        "deprecated": True,
        "maintainers": [{"name": "someone"}],
        "dependencies": [{"name": "cache", "version": "0.1.0", "enabled": False}],
    }
    assert fetch(web).images == layout.images


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"digest": "0" * 64}, "the package has the digest"),
        ({"body": package(CHART.replace("name: demo", "name: other"))}, "the package is of other 0.1.0"),
        ({"body": package(name="demo/none.yaml")}, "there is no Chart.yaml"),
        ({"body": package(CHART + "a: " + "[" * 50 + "]" * 50)}, "nested more than 8 deep"),
        ({"body": package("- 1")}, "is no mapping"),
        ({"body": package("a: [")}, "cannot be read"),
        ({"body": package()[:-30]}, "cannot be read"),
        ({"body": b"no package"}, "cannot be read"),
    ],
)
def test_a_package_that_is_not_what_it_should_be_is_refused(web: WebServer, change: dict, words: str):
    publish(web, **change)
    with pytest.raises(ContentError, match=words):
        fetch(web)


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ("_MOST_INDEX", "index.yaml has more than 100"),
        ("_MOST_CHART", "tgz has more"),
        ("_MOST_PLAIN", "unpacks to more"),
    ],
)
def test_what_is_too_large_is_refused(web: WebServer, monkeypatch: pytest.MonkeyPatch, limit: str, words: str):
    publish(web)
    monkeypatch.setattr(charts, limit, 100)
    with pytest.raises(ContentError, match=words):
        fetch(web)


def test_a_version_that_is_not_there_is_said_with_those_that_are(web: WebServer):
    publish(web)
    with pytest.raises(NotFoundError) as caught:
        fetch(web, "demo:2.0.0")
    assert "9.9.9, 0.1.0+build" in caught.value.hint
    with pytest.raises(NotFoundError):
        fetch(web, "none:1")


@pytest.mark.parametrize("wanted", ["demo", "demo:^0.1", "demo:0.1", "demo:~0.1.0", "demo:>=0 <1"])
def test_the_highest_version_of_a_range_is_fetched(web: WebServer, wanted: str):
    publish(web)
    listed = web.pages["/stable/index.yaml"].body
    web.pages["/stable/index.yaml"] = Page(listed.replace(b'9.9.9, urls: ["x.tgz"]', b"0.1.9, urls: []"))
    (named,) = fetch(web, wanted).images
    assert str(named.reference) == f"{web.host}/stable/demo:0.1.0_build"


def test_credentials_go_to_the_repository_and_nowhere_else(web: WebServer):
    with web_server() as other:
        publish(web, url=f"{other.url}/demo.tgz")
        other.pages["/demo.tgz"] = Page(b"", 302, {"Location": "/moved.tgz"})
        other.pages["/moved.tgz"] = Page(package())
        web.pages["/stable/index.yaml"] = [
            Page(b"", 302, {"Location": f"{other.url}/index.yaml"}),
            Page(b"", 302, {"Location": "/stable/index-2.yaml"}),
        ]
        web.pages["/stable/index-2.yaml"] = Page(index(f"{other.url}/demo.tgz", sha256(package()).hexdigest()))
        other.pages["/index.yaml"] = web.pages["/stable/index-2.yaml"]
        for _ in range(2):
            fetch(web, credential=Credential("me", "secret"))
    assert {asked.authorization for asked in other.asked} == {""}
    assert {asked.path for asked in other.asked} >= {"/index.yaml", "/moved.tgz"}
    assert {asked.authorization for asked in web.asked} == {"Basic bWU6c2VjcmV0"}


def test_a_server_that_is_busy_is_asked_again(web: WebServer):
    publish(web)
    index_page = web.pages["/stable/index.yaml"]
    assert isinstance(index_page, Page)
    web.pages["/stable/index.yaml"] = [Page(b"", 503, {"Retry-After": "0"}), index_page]
    assert fetch(web).images


def test_a_circle_of_redirects_has_an_end(web: WebServer):
    web.pages["/stable/index.yaml"] = Page(b"", 302, {"Location": "index.yaml"})
    with pytest.raises(Exception, match="redirected more than 5 times"):
        fetch(web)


@pytest.mark.parametrize(
    "text",
    [
        "demo:1",
        "https://host/demo:",
        "https://host/demo:latest",
        "https:///demo:1",
        "ftp://host/demo:1",
        "https://h/a b:1",
    ],
)
def test_what_is_no_chart_is_refused(text: str):
    with pytest.raises(UsageError):
        ChartName.parse(text)


@pytest.mark.parametrize("url", ["http://charts.example.com", "https://user:word@charts.example.com", "file:///etc"])
def test_a_repository_is_reached_over_https_without_a_password_in_its_address(url: str):
    with Registries() as registries, pytest.raises(UsageError) as caught:
        registries.web(url)
    assert "word" not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"entries: [",
        b"entries:\n  demo:\n  - &a [*a]\n" + b"x: " * 3,
        b"- 1",
        b"\xff\xfe",
        b"entries:\n  demo: {",
        b"<html>",
    ],
)
def test_an_index_that_is_none_is_refused_or_has_nothing(body: bytes):
    try:
        found = releases_of(body, "demo", "x")
    except ContentError as error:
        found = []
        said = error.message
        assert said.startswith("x: the index of the repository cannot be read: ")
    assert found == []


@given(st.binary(max_size=200) | st.text(alphabet="entris demo:[]{}-\n&*ab'\"", max_size=200).map(str.encode))
def test_any_bytes_are_an_index_or_an_error(body: bytes):
    with contextlib.suppress(ContentError):
        releases_of(body, "demo", "x")


def test_nesting_does_not_overflow_the_stack():
    deep = b"[" * 100_000
    with pytest.raises(ContentError):
        releases_of(b"entries:\n  demo: " + deep, "demo", "x")
    with pytest.raises(ContentError, match="nested more than 64 deep"):
        releases_of(b"entries:\n  other: " + deep + b"\n  demo: []", "demo", "x")
    with pytest.raises(ValueError, match="nested"):
        read_text(deep)


def test_the_releases_of_one_chart_are_read():
    assert releases_of(index("u", "sha256:AB"), "demo", "x") == [
        Release("9.9.9", "x.tgz", "1"),
        Release("0.1.0+build", "u", "ab"),
    ]
    assert releases_of(index("u", ""), "none", "x") == []
