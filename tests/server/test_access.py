"""Rules, tokens and immutable tags, as a client meets them."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlencode

import pytest
import urllib3
from joserfc import jwt
from joserfc.jwk import OctKey

from homeport.oci.media_types import OCI_INDEX
from homeport.server.access import Action, Identity, Rule, Rules
from homeport.server.app import Registry
from homeport.server.gate import Gate
from homeport.server.immutable import ImmutableTags
from homeport.server.login import HtpasswdLogin
from homeport.server.tokens import Tokens, parse_scopes
from homeport.store.memory import MemoryStore
from tests.kit.servers import running_registry, write_htpasswd

USERS = {"ops": "o", "dev": "d", "guest": "g"}
RULES = Rules(
    (
        Rule(("**",), tuple(Action), users=("ops",)),
        Rule(("team/*", "shared"), (Action.PULL, Action.PUSH), groups=("devs",)),
        Rule(("library/**",), (Action.PULL,), users=("*",)),
        Rule(("public/**",), (Action.PULL,), anonymous=True),
    ),
    {"devs": ("dev",)},
)


@pytest.mark.parametrize(
    ("user", "repository", "allowed"),
    [
        ("ops", "any/thing", "pull push delete"),
        ("dev", "team/a", "pull push"),
        ("dev", "team/a/b", ""),
        ("dev", "shared", "pull push"),
        ("guest", "team/a", ""),
        ("guest", "library/redis", "pull"),
        ("", "library/redis", ""),
        ("", "public/a/b", "pull"),
        ("", "public", ""),
        ("guest", "public/a", "pull"),
    ],
)
def test_a_rule_allows_what_it_says_and_nothing_else(user, repository, allowed):
    assert " ".join(action for action in Action if RULES.allows(user, repository, action)) == allowed


@contextmanager
def served(tmp_path, **options) -> Iterator[str]:
    login = HtpasswdLogin(write_htpasswd(tmp_path / "htpasswd", USERS))
    gate = Gate(login, **{"rules": RULES, **options})
    registry = Registry(MemoryStore(), gate=gate)
    with running_registry(app_wrapper=lambda _: registry) as running:
        yield running.url


def basic(user: str) -> dict[str, str]:
    return urllib3.make_headers(basic_auth=f"{user}:{USERS[user]}")


def ask(method: str, url: str, headers: dict[str, str] | None = None, body: bytes | None = None):
    with urllib3.PoolManager(retries=False) as http:
        return http.request(method, url, headers=headers, body=body)


def put(url: str, repository: str, headers: dict[str, str], tag: str = "x", body: bytes = b"{}"):
    return ask("PUT", f"{url}/v2/{repository}/manifests/{tag}", {**headers, "content-type": OCI_INDEX}, body)


def test_everybody_gets_what_the_rules_give(tmp_path):
    with served(tmp_path) as url:
        assert put(url, "public/a", basic("ops")).status == 201
        assert put(url, "team/a", basic("dev")).status == 201
        refused = put(url, "library/a", basic("dev"))
        assert (refused.status, refused.json()["errors"][0]["code"]) == (403, "DENIED")
        assert ask("GET", f"{url}/v2/public/a/manifests/x").status == 200
        assert ask("GET", f"{url}/v2/team/a/manifests/x").status == 401
        assert ask("GET", f"{url}/v2/team/a/manifests/x", basic("guest")).status == 403
        assert ask("GET", f"{url}/v2/").status == 401
        assert ask("GET", f"{url}/nothing").status == 401
        assert ask("GET", f"{url}/v2/_catalog", basic("guest")).json()["repositories"] == ["public/a"]
        assert ask("GET", f"{url}/v2/_catalog", basic("ops")).json()["repositories"] == ["public/a", "team/a"]


def test_a_blob_is_mounted_only_from_where_its_taker_may_pull(tmp_path):
    with served(tmp_path) as url:
        digest = "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
        pushed = ask("POST", f"{url}/v2/secret/a/blobs/uploads/?digest={digest}", basic("ops"), b"x")
        assert pushed.status == 201
        for source in ("", "&from=secret/a"):
            mount = f"{url}/v2/team/a/blobs/uploads/?mount={digest}{source}"
            assert ask("POST", mount, basic("dev")).status == 202
        assert ask("POST", mount, basic("ops")).status == 201
        assert ask("POST", f"{url}/v2/team/b/blobs/uploads/?mount={digest}", basic("dev")).status == 201


def token_from(url: str, scope: list[str], headers: dict[str, str] | None = None):
    return ask("GET", f"{url}/token?{urlencode({'service': 'homeport', 'scope': scope}, doseq=True)}", headers)


def test_a_login_becomes_a_token_for_what_was_asked_and_is_allowed(tmp_path):
    with served(tmp_path, tokens=Tokens()) as url:
        challenge = ask("GET", f"{url}/v2/team/a/tags/list").headers["www-authenticate"]
        assert challenge == f'Bearer realm="{url}/token",service="homeport",scope="repository:team/a:pull"'
        answer = token_from(url, ["repository:team/a:pull,push", "repository:secret:pull"], basic("dev")).json()
        assert answer["token"] == answer["access_token"]
        assert answer["expires_in"] == 300
        bearer = {"authorization": f"Bearer {answer['token']}"}
        assert put(url, "team/a", bearer).status == 201
        assert put(url, "team/b", bearer).headers["www-authenticate"].endswith('error="insufficient_scope"')
        assert put(url, "secret", bearer).status == 403
        assert ask("GET", f"{url}/v2/", bearer).status == 200
        assert ask("GET", f"{url}/v2/team/a/tags/list", basic("dev")).status == 200


def test_tokens_come_by_form_too_and_for_nobody(tmp_path):
    with served(tmp_path, tokens=Tokens()) as url:
        form = {"grant_type": "password", "username": "dev", "password": "d", "scope": "repository:team/a:*"}
        answer = ask("POST", f"{url}/token", body=urlencode(form).encode())
        assert answer.json()["scope"] == "repository:team/a:pull repository:team/a:push"
        assert ask("POST", f"{url}/token", body=b"grant_type=refresh_token&refresh_token=x").status == 400
        form["password"] = "wrong"
        assert ask("POST", f"{url}/token", body=urlencode(form).encode()).status == 401
        assert ask("POST", f"{url}/token", body=b"x" * 70_000).status == 413
        assert token_from(url, ["repository:public/a:pull,push"]).json()["scope"] == "repository:public/a:pull"
        assert token_from(url, [], {"authorization": "Basic eDp5"}).status == 401


def test_a_closed_registry_gives_nobody_a_token(tmp_path):
    with served(tmp_path, tokens=Tokens(), rules=None) as url:
        assert token_from(url, ["repository:a:pull"]).status == 401
        assert token_from(url, ["repository:a:pull"], basic("guest")).json()["scope"] == "repository:a:pull"


def test_a_token_is_good_for_its_time_and_for_this_registry_only():
    times = [1000.0]
    tokens = Tokens(lifetime=60, clock=lambda: times[0])
    bearer = f"Bearer {tokens.issue('me', [('a', Action.PULL)])}"
    assert tokens.remembered(bearer) is None
    assert tokens.read(bearer) == Identity("me", frozenset({("a", Action.PULL)}))
    assert tokens.remembered(bearer)
    times[0] += 60
    assert tokens.remembered(bearer) is None
    for bad in (bearer, f"Bearer {Tokens().issue('me', [])}", "Bearer ", "Bearer a.b.c", bearer[:-4] + "AAAA"):
        with pytest.raises(LookupError):
            tokens.read(bad)


@pytest.mark.parametrize(
    "claims", [{}, {"sub": 1}, {"sub": "x", "iss": "y", "aud": "homeport", "exp": 9_999_999_999, "access": []}]
)
def test_a_token_that_is_signed_but_not_ours_is_refused(claims):
    key = b"k" * 32
    signed = jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(key))
    for token in (signed, "eyJhbGciOiJub25lIn0.e30."):
        with pytest.raises(LookupError):
            Tokens(key=key).read(f"Bearer {token}")


def test_scopes_are_read_as_docker_writes_them():
    assert parse_scopes(["repository:a/b:pull,push repository:c:pull", "registry:catalog:*"]) == [
        ("a/b", Action.PULL),
        ("a/b", Action.PUSH),
        ("c", Action.PULL),
    ]
    assert parse_scopes(["", "repository:../x:pull", "repository:a", "repository:a:", "x" * 9999]) == []
    assert len(parse_scopes(["repository:a:* "] * 1000)) <= 64 * 3


@pytest.mark.parametrize(
    ("host", "forwarded", "realm"),
    [
        ("r.example", {"x-forwarded-proto": "https"}, "https://r.example/token"),
        ("in:1", {"x-forwarded-host": "out.example", "x-forwarded-proto": "https, http"}, "https://out.example/token"),
        ("r.example", {"x-forwarded-host": 'x",evil="'}, "http://localhost/token"),
    ],
)
def test_the_realm_is_where_the_client_came_to(tmp_path, host, forwarded, realm):
    with served(tmp_path, tokens=Tokens()) as url:
        challenge = ask("GET", f"{url}/v2/", {"host": host, **forwarded}).headers["www-authenticate"]
        assert challenge.startswith(f'Bearer realm="{realm}"')


def test_a_registry_that_is_read_only_serves_and_takes_nothing(tmp_path):
    with served(tmp_path, read_only=True) as url:
        answer = put(url, "a", basic("ops"))
        assert (answer.status, answer.json()["errors"][0]["code"]) == (405, "UNSUPPORTED")
        assert ask("GET", f"{url}/v2/_catalog", basic("ops")).status == 200


@pytest.fixture(params=["memory", "files"])
def immutable(request, tmp_path) -> Iterator[str]:
    rules = (ImmutableTags(("redislabs/**",), ("7.*",)),)
    data = tmp_path / "data" if request.param == "files" else None
    with running_registry(data, app_wrapper=lambda app: Registry(app._store, immutable=rules)) as registry:
        yield registry.url


def test_an_immutable_tag_names_one_digest_for_ever(immutable):
    first = put(immutable, "redislabs/redis", {}, "7.2.4-64")
    digest = first.headers["docker-content-digest"]
    assert put(immutable, "redislabs/redis", {}, "7.2.4-64").status == 201
    refused = put(immutable, "redislabs/redis", {}, "7.2.4-64", b'{"other":1}')
    assert refused.status == 409
    [error] = refused.json()["errors"]
    assert error == {"code": "DENIED", "message": f"the tag 7.2.4-64 is immutable and names {digest}"}
    manifests = f"{immutable}/v2/redislabs/redis/manifests"
    assert ask("DELETE", f"{manifests}/7.2.4-64").status == 409
    assert ask("DELETE", f"{manifests}/{digest}").status == 409
    assert ask("GET", f"{manifests}/7.2.4-64").headers["docker-content-digest"] == digest
    for repository, tag in (("redislabs/redis", "latest"), ("other", "7.2")):
        assert put(immutable, repository, {}, tag).status == 201
        assert put(immutable, repository, {}, tag, b'{"other":1}').status == 201
        assert ask("DELETE", f"{immutable}/v2/{repository}/manifests/{tag}").status == 202
