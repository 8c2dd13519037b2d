"""How large a request may be, asked without sending it."""

import base64
import ssl

import pytest
import trustme

from homeport.errors import TLSError, UnreachableError
from homeport.oci.digest import digest_of
from homeport.registry import uploads
from homeport.registry.body_limit import MOST, body_limit
from homeport.registry.checkup import check_up
from homeport.registry.credentials import Credential
from homeport.registry.settings import Settings
from tests.kit.clients import open_registries
from tests.kit.scripted import Play, Reply, Scripted, Seen, scripted

GO_ON = Reply(raw=b"HTTP/1.1 100 Continue\r\n\r\n")
SESSION = {"Location": "/v2/app/blobs/uploads/1?state=a", "Range": "0-0"}


def limited(most: int, *, status: int = 413) -> Play:
    """Play a registry that takes so many bytes in one request."""

    def play(seen: Seen) -> Reply:
        if "expect" in seen.headers:
            return GO_ON if int(seen.headers["content-length"]) <= most else Reply(status)
        return Reply({"POST": 202, "DELETE": 204}.get(seen.method, 200), SESSION)

    return play


def without_bodies(server: Scripted) -> Scripted:
    server.takes = lambda seen: 0 if "expect" in seen.headers else None
    return server


def limit_of(server: Scripted, settings: Settings | None = None) -> int | None:
    with open_registries(settings=settings) as registries:
        return body_limit(registries.client(server.host), "app")


@pytest.mark.parametrize(
    ("most", "found"),
    [
        (1 << 40, MOST),
        (MOST, MOST),
        (MOST - 1, MOST // 2),
        (100_000_000, 64 << 20),
        (1 << 20, 1 << 20),
        ((1 << 20) - 1, 1 << 19),
        (1 << 16, 1 << 16),
        (1000, 0),
    ],
)
def test_it_is_found_in_a_few_requests_and_no_byte_is_sent(most: int, found: int):
    with scripted(limited(most)) as server:
        assert limit_of(without_bodies(server)) == found
        announced = [seen for seen in server.seen if "expect" in seen.headers]
        assert len(announced) <= 7
        assert {seen.body for seen in announced} == {b""}
        assert {seen.path.partition("?")[0] for seen in announced} == {"/v2/app/blobs/uploads/1"}
        assert len(server.asked("DELETE")) == len(server.asked("POST")) == len(announced)


@pytest.mark.parametrize("status", [400, 401, 404, 417, 500])
def test_another_answer_says_nothing_of_it(status: int):
    with scripted(limited(0, status=status)) as server:
        assert limit_of(without_bodies(server)) is None


def test_who_does_not_know_of_announcing_says_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(uploads, "_ANNOUNCED_SECONDS", 0.05)
    with scripted(limited(1 << 40)) as server:  # it waits for the body
        assert limit_of(server) is None


def test_it_is_asked_over_tls_too():
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with scripted(limited(1 << 20), tls=context) as server:
        settings = Settings.of(insecure=[server.host], environment={})
        assert limit_of(without_bodies(server), settings) == 1 << 20
        with pytest.raises(TLSError):
            limit_of(server)


def test_it_is_asked_through_a_proxy(monkeypatch: pytest.MonkeyPatch):
    settings = Settings.of(plain_http=["registry.example:5000"], environment={})
    with scripted(limited(1 << 40)) as proxy, open_registries(settings=settings) as registries:
        monkeypatch.setenv("HTTP_PROXY", f"http://me:pass@{proxy.host}")
        without_bodies(proxy)
        assert body_limit(registries.client("registry.example:5000"), "app") == MOST
        announced = next(seen for seen in proxy.seen if "expect" in seen.headers)
    assert announced.path.startswith("http://registry.example:5000/v2/app/blobs/uploads/1?state=a&digest=")
    assert announced.headers["host"] == "registry.example:5000"
    assert announced.headers["proxy-authorization"] == "Basic " + base64.b64encode(b"me:pass").decode()


def test_the_password_goes_along():
    def play(seen: Seen) -> Reply:
        if "authorization" not in seen.headers:
            return Reply(401, {"WWW-Authenticate": 'Basic realm="r"'})
        return limited(1 << 40)(seen)

    with scripted(play) as server, open_registries(Credential("me", "pass")) as registries:
        assert body_limit(registries.client(without_bodies(server).host), "app") == MOST


def test_a_connection_that_breaks_is_an_error():
    def play(seen: Seen) -> Reply:
        return Reply(raw=b"") if "expect" in seen.headers else limited(1)(seen)

    with scripted(play) as server:
        assert limit_of(without_bodies(server)) is None
    with open_registries() as registries, pytest.raises(UnreachableError):
        body_limit(registries.client(server.host), "app")


def test_the_check_says_what_a_limit_means():
    def play(seen: Seen) -> Reply:
        if "expect" in seen.headers:
            return Reply(413)
        if seen.method in ("HEAD", "GET") and "/manifests/" in seen.path:
            return Reply(200, {"Docker-Content-Digest": digests[-1], "Content-Type": "x/y"})
        if seen.method == "PUT" and "/manifests/" in seen.path:
            digests.append(digest_of(seen.body))
            return Reply(201)
        return Reply({"POST": 202, "PUT": 201, "PATCH": 202, "DELETE": 202}.get(seen.method, 200), SESSION)

    digests = [""]
    with scripted(play) as server, open_registries() as registries:
        findings = {finding.what: finding for finding in check_up(registries.client(without_bodies(server).host))}
    whole = findings["takes layers of 8 GiB in one request"]
    assert whole.is_bad
    assert "less than a piece of a layer" in whole.means
