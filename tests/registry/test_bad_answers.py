"""What a person reads when a registry is not one, refuses, lies or is full."""

import json
import socket
import ssl

import pytest
import trustme

from homeport.errors import (
    AuthenticationError,
    ContentError,
    ForbiddenError,
    NotARegistryError,
    NotFoundError,
    RateLimitedError,
    RegistryError,
    TLSError,
    UnreachableError,
)
from homeport.oci.digest import digest_of
from homeport.oci.manifest import Descriptor
from homeport.registry.answers import error_text
from homeport.registry.credentials import Credential
from tests.kit.clients import open_registries, read_all
from tests.kit.images import BytesReader
from tests.kit.scripted import Reply, registry_play, scripted

PING = ("GET", "/v2/")
MANIFEST = ("GET", "/v2/a/b/manifests/1")
PAGE = Reply(200, {"Content-Type": "text/html; charset=utf-8"}, b"<!DOCTYPE html><title>Welcome to nginx!</title>")


def errors(code, message, detail=None):
    return json.dumps({"errors": [{"code": code, "message": message, "detail": detail}]}).encode()


def fetch(answers, **options):
    """Fetch a manifest from a server that answers so, and return the error."""
    with scripted(registry_play(answers)) as server, open_registries(**options) as registries:
        with pytest.raises(RegistryError) as caught:
            registries.client(server.host).get_manifest("a/b", "1")
        error = caught.value
        assert server.host in str(error)
        assert error.hint
        assert "\n" not in str(error)
        return error, server


@pytest.mark.parametrize(
    ("ping", "came"),
    [
        (PAGE, "a web page"),
        (Reply(404, PAGE.headers, PAGE.body), "a web page"),
        (Reply(404, body=b"not here"), "nothing"),
        (Reply(200, {"Content-Type": "text/html"}), "a web page"),
    ],
)
def test_a_web_server_is_not_a_registry(ping, came):
    error, server = fetch({PING: ping})
    assert isinstance(error, NotARegistryError)
    assert f"this is not a registry: {came}" in str(error)
    assert server.asked() == ["/v2/"]


def test_a_page_in_place_of_a_manifest_is_no_manifest():
    error, _ = fetch({MANIFEST: PAGE})
    assert isinstance(error, NotARegistryError)
    assert "GET manifest a/b:1" in str(error)


def test_a_log_in_page_of_a_proxy_is_a_question_for_credentials():
    login = Reply(401, {"WWW-Authenticate": 'Basic realm="x"', "Content-Type": "text/html"}, b"<html>401</html>")
    error, _ = fetch({PING: login, MANIFEST: login})
    assert isinstance(error, AuthenticationError)
    assert "GET manifest a/b:1: not allowed for anonymous" in str(error)
    assert "docker login" in error.hint


def test_a_redirect_elsewhere_is_followed_and_named():
    with scripted(registry_play({("GET", "/login"): PAGE})) as other:
        error, _ = fetch({PING: Reply(302, {"Location": f"{other.url}/login?next=secret"})})
    assert isinstance(error, NotARegistryError)
    assert f"redirected to {other.url}/login:" in str(error)
    assert "secret" not in str(error)


def test_a_circle_of_redirects_ends():
    error, server = fetch({MANIFEST: Reply(307, {"Location": "/v2/a/b/manifests/1"})})
    assert "redirected more than 5 times" in str(error)
    assert len(server.asked()) == 6


def test_forbidden():
    error, server = fetch({MANIFEST: Reply(403, body=errors("DENIED", "requested access is denied"))})
    assert isinstance(error, ForbiddenError)
    assert "forbidden for anonymous: DENIED: requested access is denied" in str(error)
    assert server.asked("GET").count("/v2/a/b/manifests/1") == 1


def test_not_found():
    error, _ = fetch({MANIFEST: Reply(404, body=errors("NAME_UNKNOWN", "repository name not known", {"name": "a/b"}))})
    assert isinstance(error, NotFoundError)
    assert 'NAME_UNKNOWN: repository name not known ({"name": "a/b"})' in str(error)


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(status):
    good = Reply(200, {"Content-Type": "application/vnd.oci.image.index.v1+json"}, b'{"manifests":[]}')
    waits = []
    play = registry_play({MANIFEST: [Reply(status), Reply(status, {"Retry-After": "7"}), good]})
    with scripted(play) as server, open_registries(waits=waits) as registries:
        assert registries.client(server.host).get_manifest("a/b", "1").body == good.body
    first, second = waits
    assert 0.5 <= first.seconds <= 0.75
    assert second.seconds == 7
    assert f"status {status}" in first.reason


def test_what_does_not_pass_ends_after_five_tries():
    error, server = fetch({MANIFEST: Reply(503, body=b"maintenance")})
    assert server.asked().count("/v2/a/b/manifests/1") == 5
    assert "status 503: maintenance" in str(error)
    assert error.status == 503


def test_an_abuse_limit_is_waited_for():
    waits = []
    error, server = fetch({MANIFEST: Reply(429, {"Retry-After": "30"}, b"Too Many Requests")}, waits=waits)
    assert isinstance(error, RateLimitedError)
    assert error.retry_after == 30
    assert [wait.seconds for wait in waits] == [30] * 4
    assert server.asked().count("/v2/a/b/manifests/1") == 5


def test_an_abuse_limit_that_does_not_say_how_long_is_not_asked_again_in_seconds():
    waits = []
    error, _ = fetch({MANIFEST: Reply(429, {"Retry-After": "880.092\xb5s"}, b"Too Many Requests")}, waits=waits)
    assert [wait.seconds for wait in waits] == [15] * 4
    assert "too many requests in a short time" in str(error)
    assert "This is not the limit on pulls: it passes." in error.hint


@pytest.mark.parametrize("status", [401, 429])
def test_a_user_who_is_locked_out_is_told_so_and_not_tried_again(status):
    body = b'{"details":"too many failed login attempts for username or IP address"}'
    waits = []
    error, server = fetch({MANIFEST: Reply(status, body=body)}, waits=waits)
    assert isinstance(error, AuthenticationError)
    assert "is locked out after failed logins" in str(error)
    assert "Wait ten minutes" in error.hint
    assert waits == []
    assert server.asked().count("/v2/a/b/manifests/1") == 1


def test_a_password_that_goes_with_each_request_is_tried_twice_too():
    challenge = Reply(401, {"WWW-Authenticate": 'Basic realm="r"'})
    with scripted(lambda _seen: challenge) as server, open_registries(Credential("me", "wrong")) as registries:
        for number in range(6):
            with pytest.raises(AuthenticationError) as caught:
                registries.client(server.host).head_manifest(f"app{number}", "1")
    assert sum("authorization" in seen.headers for seen in server.seen) == 2
    assert "not tried again" in caught.value.message


def test_a_repository_that_is_closed_to_a_user_does_not_make_the_password_wrong():
    def play(seen):
        is_open = "/open/" in seen.path and "authorization" in seen.headers
        return Reply(200 if is_open else 401, {"WWW-Authenticate": 'Basic realm="r"'})

    with scripted(play) as server, open_registries(Credential("me", "right")) as registries:
        client = registries.client(server.host)
        assert client.has_blob("open", "sha256:" + 64 * "0")
        for _ in range(4):
            with pytest.raises(AuthenticationError, match="not allowed for user me"):
                client.has_blob("closed", "sha256:" + 64 * "0")


def test_a_wait_of_an_hour_is_an_answer():
    waits = []
    error, _ = fetch({MANIFEST: Reply(429, {"Retry-After": "3600"})}, waits=waits)
    assert error.retry_after == 3600
    assert waits == []


def test_a_used_up_pull_limit_is_not_hammered():
    limited = Reply(
        429,
        {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "0;w=21600"},
        errors("TOOMANYREQUESTS", "You have reached your unauthenticated pull rate limit."),
    )
    waits = []
    error, server = fetch({MANIFEST: limited}, waits=waits)
    assert isinstance(error, RateLimitedError)
    assert "the pull limit is used up for anonymous (0 of 100 pulls per 6 h left)" in str(error)
    assert waits == []
    assert server.asked().count("/v2/a/b/manifests/1") == 1


def test_another_digest_than_named_is_refused():
    named = digest_of(b"what was asked for")
    answers = {("GET", f"/v2/a/b/manifests/{named}"): Reply(body=b'{"manifests":[]}')}
    with (
        scripted(registry_play(answers)) as server,
        open_registries() as registries,
        pytest.raises(ContentError, match=f"{named} was named, the content that came is sha256:"),
    ):
        registries.client(server.host).get_manifest("a/b", named)


def test_a_digest_header_that_lies_is_refused():
    answer = Reply(200, {"Docker-Content-Digest": digest_of(b"other")}, b'{"manifests":[]}')
    with (
        scripted(registry_play({MANIFEST: answer})) as server,
        open_registries() as registries,
        pytest.raises(ContentError, match="was named, the content that came is"),
    ):
        registries.client(server.host).get_manifest("a/b", "1")


def test_a_manifest_larger_than_any_is_not_read():
    answer = Reply(body=b'{"x":"' + b"x" * (4 << 20) + b'"}')
    with (
        scripted(registry_play({MANIFEST: answer})) as server,
        open_registries() as registries,
        pytest.raises(ContentError, match="larger than 4 MiB"),
    ):
        registries.client(server.host).get_manifest("a/b", "1")


def test_a_manifest_that_is_cut_short_is_asked_for_again():
    good = Reply(body=b'{"manifests":[]}')
    cut = Reply(body=good.body, cut_at=5)
    with scripted(registry_play({MANIFEST: [cut, good]})) as server, open_registries() as registries:
        assert registries.client(server.host).get_manifest("a/b", "1").body == good.body


@pytest.mark.parametrize("raw", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200\r\n\r\n<html>", b"\x00\xff" * 50])
def test_what_does_not_speak_http_is_named(raw):
    with (
        scripted(lambda _: Reply(raw=raw)) as server,
        open_registries() as registries,
        pytest.raises(RegistryError, match=server.host),
    ):
        registries.client(server.host).get_manifest("a/b", "1")


def test_a_closed_port_is_refused_at_once():
    with socket.create_server(("127.0.0.1", 0)) as server:
        host = f"127.0.0.1:{server.getsockname()[1]}"
    waits = []
    with open_registries(waits=waits) as registries, pytest.raises(UnreachableError, match="the connection is refused"):
        registries.client(host).ping()
    assert waits == []


def test_an_unknown_name(monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with open_registries() as registries, pytest.raises(UnreachableError, match="the name is unknown") as caught:
        registries.client("registry.example").ping()
    assert "DNS" in caught.value.hint


def test_a_certificate_of_nobody_is_not_trusted():
    certificate = trustme.CA().issue_cert("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    with (
        scripted(registry_play({}), tls=context) as server,
        open_registries() as registries,
        pytest.raises(TLSError, match="the certificate is not trusted") as caught,
    ):
        registries.client(server.host).ping()
    assert "--ca-file" in caught.value.hint
    assert f"certs.d/{server.host}" in caught.value.hint
    assert server.seen == []


def test_plain_http_is_not_spoken_unless_asked_for(monkeypatch):
    monkeypatch.setattr("homeport.registry.settings.is_loopback", lambda _: False)
    with scripted(registry_play({})) as server, open_registries() as registries, pytest.raises(RegistryError) as caught:
        registries.client(server.host).ping()
    assert isinstance(caught.value, TLSError | UnreachableError)
    assert server.seen == [] or server.seen[0].method != "GET"


def test_a_full_target_says_so():
    full = Reply(500, body=errors("UNKNOWN", "unknown error", {"Err": "write: no space left on device"}))
    blob = Descriptor("x", digest_of(b"data"), 4)
    answers = {
        ("POST", "/v2/a/b/blobs/uploads/"): Reply(202, {"Location": "/up"}),
        ("PUT", "/up"): full,
    }
    with scripted(registry_play(answers)) as server, open_registries() as registries:
        client = registries.client(server.host)
        with pytest.raises(RegistryError, match="no space left on device") as caught:
            client.put_blob("a/b", blob, BytesReader(b"data"), client.start_blob("a/b", blob.digest))
    assert "full" in caught.value.hint
    assert server.asked("PUT") == [f"/up?digest={blob.digest.replace(':', '%3A')}"]


def test_a_target_that_changes_content_is_caught():
    blob = Descriptor("x", digest_of(b"data"), 4)
    answers = {
        ("POST", "/v2/a/b/blobs/uploads/"): Reply(202, {"Location": "/up"}),
        ("PUT", "/up"): Reply(201, {"Docker-Content-Digest": digest_of(b"tada")}),
    }
    with scripted(registry_play(answers)) as server, open_registries() as registries:
        client = registries.client(server.host)
        with pytest.raises(ContentError, match=r"was sent, and .* is what was stored"):
            client.put_blob("a/b", blob, BytesReader(b"data"), client.start_blob("a/b", blob.digest))


def test_an_upload_without_a_place_is_no_registrys():
    answers = {("POST", "/v2/a/b/blobs/uploads/"): Reply(202)}
    with (
        scripted(registry_play(answers)) as server,
        open_registries() as registries,
        pytest.raises(NotARegistryError, match="without a Location"),
    ):
        registries.client(server.host).start_blob("a/b", digest_of(b""))


def test_tags_that_are_no_json():
    answers = {("GET", "/v2/a/b/tags/list"): Reply(body=b"tags")}
    with (
        scripted(registry_play(answers)) as server,
        open_registries() as registries,
        pytest.raises(NotARegistryError, match="no JSON"),
    ):
        list(registries.client(server.host).tags("a/b"))


def test_pages_of_tags_that_lead_in_a_circle_end():
    page = Reply(200, {"Link": '</v2/a/b/tags/list?n=1000>; rel="next"'}, b'{"tags":["1"]}')
    with scripted(registry_play({("GET", "/v2/a/b/tags/list"): page})) as server, open_registries() as registries:
        assert list(registries.client(server.host).tags("a/b")) == ["1"]


def test_a_registry_without_digests_is_asked_for_the_content():
    body = b'{"manifests":[]}'
    answers = {("HEAD", "/v2/a/b/manifests/1"): Reply(body=body), MANIFEST: Reply(body=body)}
    with scripted(registry_play(answers)) as server, open_registries() as registries:
        assert registries.client(server.host).head_manifest("a/b", "1").digest == digest_of(body)


def test_a_head_never_costs_a_pull():
    limit = {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "5;w=21600"}
    answers = {("HEAD", "/v2/a/b/manifests/1"): Reply(200, limit, b"{}")}
    with (
        scripted(registry_play(answers)) as server,
        open_registries() as registries,
        pytest.raises(RegistryError, match="no digest came back"),
    ):
        registries.client(server.host).head_manifest("a/b", "1")
    assert server.asked("GET") == ["/v2/"]


def test_error_texts_are_short_and_printable():
    assert error_text(errors("X", "a" * 1000)) == "X: " + "a" * 250 + "..."
    assert error_text(b"bad \x1b[31mred\x00 \xe2\x80\xae text") == "bad [31mred text"
    assert error_text(b"<html>x</html>") == ""
    assert error_text(b"\xff\xfe") == "��"
    assert error_text(b'{"errors":null}') == '{"errors":null}'
    assert error_text(b'{"errors":[{"code":"A","message":"x"},{"code":"B"}]}') == "A: x; B"


def test_nothing_of_a_bad_blob_is_left_open():
    """After a failure the connection and its place in the lane are free again."""
    blob = Descriptor("x", digest_of(b"data"), 4)
    path = f"/v2/a/b/blobs/{blob.digest}"
    with scripted(registry_play({("GET", path): Reply(body=b"lies")})) as server, open_registries() as registries:
        client = registries.client(server.host)
        for _ in range(20):
            with pytest.raises(ContentError), client.open_blob("a/b", blob) as reader:
                read_all(reader)
