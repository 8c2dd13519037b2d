"""Who one is: tokens, passwords, and where credentials never go."""

import base64
import json
import ssl
import threading
from urllib.parse import parse_qs, urlsplit

import pytest
import trustme

from homeport.errors import AuthenticationError, BlockedAddressError, NotARegistryError, RegistryError
from homeport.registry import addresses
from homeport.registry.addresses import Reach
from homeport.registry.auth import merge_scopes
from homeport.registry.credentials import Credential
from homeport.registry.session import Registries
from homeport.registry.settings import Settings
from tests.kit.clients import open_registries
from tests.kit.clock import FakeClock
from tests.kit.images import image, layer, put
from tests.kit.scripted import Reply, scripted
from tests.kit.servers import running_registry

ME = Credential("me", "hunter2")
BASIC = "Basic " + base64.b64encode(b"me:hunter2").decode()
BODY = b'{"manifests":[]}'


class TokenRegistry:
    """A play of a registry that wants tokens, and of the service that gives them."""

    def __init__(self, *, realm="", life=300, accept=lambda _token: True, answer=None):
        self.realm, self.life, self.accept, self.answer = realm, life, accept, answer
        self.given = 0

    def __call__(self, seen):
        if seen.path.startswith("/token"):
            self.given += 1
            return self.answer or self.token(f"t{self.given}")
        token = seen.headers.get("authorization", "")
        if not token.startswith("Bearer ") or not self.accept(token.removeprefix("Bearer ")):
            realm = self.realm or f"http://{seen.headers['host']}/token"
            return Reply(401, {"WWW-Authenticate": f'Bearer realm="{realm}",service="svc"'}, b'{"errors":[]}')
        return Reply(body=BODY)

    def token(self, name):
        return Reply(body=json.dumps({"token": name, "expires_in": self.life}).encode())


def tokens(server):
    return [seen for seen in server.seen if seen.path.startswith("/token")]


def query(seen):
    return parse_qs(urlsplit(seen.path).query)


def test_an_anonymous_token_is_asked_for_once_per_repository():
    with scripted(TokenRegistry()) as server, open_registries() as registries:
        client = registries.client(server.host)
        for tag in "123":
            client.get_manifest("a/b", tag)
        client.get_manifest("c/d", "1")
        first, second = tokens(server)
    assert query(first) == {"service": ["svc"], "scope": ["repository:a/b:pull"]}
    assert query(second) == {"service": ["svc"], "scope": ["repository:c/d:pull"]}
    assert "authorization" not in first.headers
    # The first contact, a token, three manifests; no question is asked twice.
    assert len([seen for seen in server.seen if "/a/b/" in seen.path]) == 3


def test_a_user_shows_the_password_to_the_realm_alone():
    with scripted(TokenRegistry()) as server, open_registries(ME) as registries:
        registries.client(server.host).get_manifest("a/b", "1")
        (asked,) = tokens(server)
        assert asked.headers["authorization"] == BASIC
        assert query(asked)["account"] == ["me"]
        assert [seen.headers.get("authorization") for seen in server.seen if "/v2/" in seen.path] == [None, "Bearer t1"]


def test_an_identity_token_is_posted():
    token = Credential("", "refresh-me", is_identity_token=True)
    play = TokenRegistry(answer=Reply(body=b'{"access_token":"t"}'))
    with scripted(play) as server, open_registries(token) as registries:
        registries.client(server.host).get_manifest("a/b", "1")
        (asked,) = tokens(server)
    assert asked.method == "POST"
    assert asked.path == "/token"
    form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
    assert form == {
        "grant_type": "refresh_token",
        "service": "svc",
        "client_id": "homeport",
        "scope": "repository:a/b:pull",
        "refresh_token": "refresh-me",
    }
    assert "authorization" not in asked.headers


def test_a_realm_may_have_a_query_of_its_own():
    play = TokenRegistry()
    with scripted(play) as server, open_registries() as registries:
        play.realm = f"{server.url}/token?tenant=x"
        registries.client(server.host).get_manifest("a/b", "1")
        assert query(tokens(server)[0])["tenant"] == ["x"]


def test_a_token_is_renewed_before_it_ends():
    clock = FakeClock()
    with scripted(TokenRegistry(life=100)) as server, open_registries(clock=clock) as registries:
        client = registries.client(server.host)
        client.get_manifest("a/b", "1")
        clock.time += 79
        client.get_manifest("a/b", "1")
        assert len(tokens(server)) == 1
        clock.time += 2
        client.get_manifest("a/b", "1")
        assert len(tokens(server)) == 2


def test_a_token_that_is_refused_is_renewed_once():
    with scripted(TokenRegistry(accept=lambda token: token == "t2")) as server, open_registries() as registries:
        assert registries.client(server.host).get_manifest("a/b", "1").body == BODY
        assert len(tokens(server)) == 2


def test_a_401_is_never_asked_again_and_again():
    with scripted(TokenRegistry(accept=lambda _: False)) as server, open_registries(ME) as registries:
        with pytest.raises(AuthenticationError, match="not allowed for user me") as caught:
            registries.client(server.host).get_manifest("a/b", "1")
        assert len(tokens(server)) == 2
        assert len([seen for seen in server.seen if "/a/b/" in seen.path]) == 2
    assert f"docker login {server.host}" in caught.value.hint
    assert "hunter2" not in str(caught.value)


def test_a_wrong_password_is_shown_once():
    play = TokenRegistry(answer=Reply(401, body=b'{"details":"incorrect username or password"}'))
    with scripted(play) as server, open_registries(ME) as registries:
        with pytest.raises(AuthenticationError, match=r"a token of .*/token: not allowed for user me"):
            registries.client(server.host).get_manifest("a/b", "1")
        assert len(tokens(server)) == 1


@pytest.mark.parametrize("answer", [b"<html>", b"{}", b'{"token":""}', b'{"token":"a\\r\\nb: c"}', b"[]"])
def test_a_token_service_that_gives_none(answer):
    with (
        scripted(TokenRegistry(answer=Reply(body=answer))) as server,
        open_registries() as registries,
        pytest.raises(NotARegistryError, match="a token of"),
    ):
        registries.client(server.host).get_manifest("a/b", "1")


def test_a_token_service_that_is_busy_is_asked_again():
    play = TokenRegistry()
    play.answer = Reply(503, {"Retry-After": "3"})
    waits = []

    def recovering(seen):
        reply = play(seen)
        if seen.path.startswith("/token"):
            play.answer = None
        return reply

    with scripted(recovering) as server, open_registries(waits=waits) as registries:
        registries.client(server.host).get_manifest("a/b", "1")
    assert [wait.seconds for wait in waits] == [3]


def test_threads_share_a_token():
    with scripted(TokenRegistry()) as server, open_registries() as registries:
        client = registries.client(server.host)
        threads = [threading.Thread(target=client.get_manifest, args=("a/b", "1")) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(tokens(server)) == 1


def test_basic():
    with running_registry(users={"me": "hunter2"}) as running:
        with open_registries(ME) as registries:
            put(image(layer("x")), registries.client(running.host), "a/b", "1")
            registries.client(running.host).ping()
        with (
            open_registries(Credential("me", "wrong")) as registries,
            pytest.raises(AuthenticationError, match="not allowed for user me"),
        ):
            registries.client(running.host).ping()
        with open_registries() as registries, pytest.raises(AuthenticationError, match="not allowed for anonymous"):
            registries.client(running.host).get_manifest("a/b", "1")


def test_an_identity_token_cannot_stand_for_a_password():
    token = Credential("", "t", is_identity_token=True, source="config.json")
    with (
        running_registry(users={"me": "x"}) as running,
        open_registries(token) as registries,
        pytest.raises(AuthenticationError, match=r"an identity token is stored in config\.json"),
    ):
        registries.client(running.host).ping()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_credentials_do_not_cross_a_redirect_to_another_host(status):
    with scripted(lambda _: Reply(body=BODY)) as other:

        def play(seen):
            if "authorization" not in seen.headers:
                return Reply(401, {"WWW-Authenticate": 'Basic realm="x"'})
            return Reply(status, {"Location": f"{other.url}/elsewhere"})

        with scripted(play) as server, open_registries(ME) as registries:
            assert registries.client(server.host).get_manifest("a/b", "1").body == BODY
            assert server.seen[-1].headers["authorization"] == BASIC
        assert "authorization" not in other.seen[0].headers


def test_a_challenge_from_where_a_redirect_led_gets_no_answer():
    with scripted(lambda _: Reply(401, {"WWW-Authenticate": 'Basic realm="give me"'})) as other:

        def play(seen):
            return Reply(200) if seen.path == "/v2/" else Reply(307, {"Location": f"{other.url}/x"})

        with (
            scripted(play) as server,
            open_registries(ME) as registries,
            pytest.raises(AuthenticationError, match=f"redirected to {other.url}/x"),
        ):
            registries.client(server.host).get_manifest("a/b", "1")
        assert [seen.headers.get("authorization") for seen in other.seen] == [None]


def test_credentials_follow_a_redirect_on_the_same_host():
    def play(seen):
        if "authorization" not in seen.headers:
            return Reply(401, {"WWW-Authenticate": 'Basic realm="x"'})
        return Reply(body=BODY) if seen.path == "/here" else Reply(307, {"Location": "/here"})

    with scripted(play) as server, open_registries(ME) as registries:
        assert registries.client(server.host).get_manifest("a/b", "1").body == BODY


@pytest.fixture
def public(monkeypatch):
    """Let 127.0.0.1 pass for an address of the internet; 127.0.0.2 stays near."""
    monkeypatch.setattr(addresses, "reach_of", lambda number: Reach.PUBLIC if number == "127.0.0.1" else Reach.LOCAL)


def test_a_public_registry_gets_no_token_from_an_inner_address(public):
    with (
        scripted(TokenRegistry(realm="http://127.0.0.2:1/token")) as server,
        open_registries(ME) as registries,
        pytest.raises(BlockedAddressError, match=r"127\.0\.0\.2 is not dialled: it is an address of an inner network"),
    ):
        registries.client(server.host).get_manifest("a/b", "1")


def test_a_public_registry_may_not_redirect_to_an_inner_address(public):
    def play(seen):
        return Reply(200) if seen.path == "/v2/" else Reply(307, {"Location": "http://127.0.0.2:1/admin"})

    with (
        scripted(play) as server,
        open_registries() as registries,
        pytest.raises(BlockedAddressError, match="inner network"),
    ):
        registries.client(server.host).get_manifest("a/b", "1")


def test_no_registry_sends_us_to_metadata():
    for realm in ("http://169.254.169.254/latest/meta-data", "http://metadata.google.internal/x"):
        with (
            scripted(TokenRegistry(realm=realm)) as server,
            open_registries(ME) as registries,
            pytest.raises(BlockedAddressError, match="a metadata service"),
        ):
            registries.client(server.host).get_manifest("a/b", "1")


def test_an_override_gets_the_credentials_of_its_own_host():
    with scripted(TokenRegistry()) as server:
        settings = Settings.of(endpoints=[f"docker.io={server.url}"], environment={})
        with open_registries(ME, settings=settings) as registries:
            registries.client("docker.io").get_manifest("library/nginx", "1")
            assert {registry for registry, _ in registries._credentials.asked} == {server.host}


def test_scopes_of_one_thing_are_merged_and_sorted():
    assert merge_scopes(["repository:a/b:pull"]) == "repository:a/b:pull"
    assert merge_scopes(["repository:b:push,pull", "repository:a:pull", "repository:b:pull"]) == (
        "repository:a:pull repository:b:pull,push"
    )
    assert merge_scopes(["registry:catalog:*", "aws"]) == "aws registry:catalog:*"
    assert merge_scopes([]) == ""


def test_what_a_challenge_asks_for_beyond_is_added():
    class Picky(TokenRegistry):
        def __call__(self, seen):
            reply = super().__call__(seen)
            if "/a/b/" in seen.path and seen.headers.get("authorization") == "Bearer t1":
                challenge = (
                    f'Bearer realm="http://{seen.headers["host"]}/token",service="svc",scope="repository:a/b:meta"'
                )
                return Reply(401, {"WWW-Authenticate": challenge})
            return reply

    with scripted(Picky()) as server, open_registries() as registries:
        registries.client(server.host).get_manifest("a/b", "1")
        assert query(tokens(server)[-1])["scope"] == ["repository:a/b:meta,pull"]


def test_no_secret_is_in_an_error():
    with (
        scripted(TokenRegistry(accept=lambda _: False)) as server,
        open_registries(ME) as registries,
        pytest.raises(RegistryError) as caught,
    ):
        registries.client(server.host).get_manifest("a/b", "1")
    error = caught.value
    while error is not None:
        for secret in ("hunter2", BASIC, "Bearer"):
            assert secret not in repr(error)
        error = error.__cause__ or error.__context__


def test_a_registry_with_tls_that_names_a_realm_without_gets_no_password():
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with (
        scripted(lambda _: Reply(body=b'{"token":"t"}')) as service,
        scripted(TokenRegistry(realm=f"{service.url}/token"), tls=context) as server,
        open_registries(ME, settings=Settings.of(insecure=[server.host], environment={})) as registries,
        pytest.raises(BlockedAddressError, match="https"),
    ):
        registries.client(server.host).get_manifest("a/b", "1")
    assert service.seen == []


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_ways_to_log_in_a_token_is_the_stronger(order):
    def play(seen):
        if seen.path.startswith("/token"):
            return Reply(body=b'{"token":"t"}')
        if seen.headers.get("authorization") == "Bearer t":
            return Reply(body=BODY)
        ways = ['Basic realm="x"', f'Bearer realm="http://{seen.headers["host"]}/token",service="svc"']
        return Reply(401, {"WWW-Authenticate": ", ".join(ways[::order])})

    with scripted(play) as server, open_registries(ME) as registries:
        assert registries.client(server.host).get_manifest("a/b", "1").body == BODY
    assert not [
        seen for seen in server.seen if "/v2/" in seen.path and "Basic" in seen.headers.get("authorization", "")
    ]


def test_two_accounts_at_one_registry_have_tokens_of_their_own():
    class ByPath:
        def resolve(self, registry, repository=""):
            return Credential(repository.partition("/")[0], "secret") if repository else None

    with (
        scripted(TokenRegistry()) as server,
        Registries(Settings.of(environment={}), ByPath(), clock=FakeClock(), on_wait=lambda _: None) as registries,
    ):
        for repository in ("one/app", "two/app", "one/app"):
            registries.client(server.host).get_manifest(repository, "1")
    shown = [base64.b64decode(seen.headers["authorization"].removeprefix("Basic ")).decode() for seen in tokens(server)]
    assert shown == ["one:secret", "two:secret"]
