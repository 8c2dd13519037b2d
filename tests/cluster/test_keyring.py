import pytest

from homeport.cluster.keyring import Keyring, UnreadableCredentialsError, encode_auth
from homeport.reference import Reference
from homeport.registry.credentials import Credential


def users(auths: dict, image: str) -> list[str]:
    return [credential.username for credential in Keyring.of(auths).match(Reference.parse(image))]


def serves(key: str, image: str) -> bool:
    return users({key: {"username": "ann", "password": "secret"}}, image) == ["ann"]


@pytest.mark.parametrize(
    ("key", "image"),
    [
        ("registry.example.com", "registry.example.com/team/app:1"),
        ("https://registry.example.com", "registry.example.com/app"),
        ("http://registry.example.com/", "registry.example.com/app"),
        ("https://registry.example.com/v1/", "registry.example.com/app"),
        ("https://registry.example.com/v2/", "registry.example.com/app"),
        ("registry.example.com/v2/team", "registry.example.com/team/app"),
        ("registry.example.com:5000", "registry.example.com:5000/app"),
        ("registry.example.com/team", "registry.example.com/team/app"),
        ("registry.example.com/team", "registry.example.com/teams/app"),
        ("registry.example.com/team/", "registry.example.com/team/app"),
        ("*.example.com", "registry.example.com/app"),
        ("*.example.com:5000", "registry.example.com:5000/app"),
        ("reg*.example.com", "registry.example.com/app"),
        ("[::1]:5000", "[::1]:5000/app"),
        ("docker.io", "nginx"),
        ("docker.io/library", "nginx:1"),
        ("https://index.docker.io/v1/", "nginx"),
        ("index.docker.io", "redislabs/redis:7.2.4-64"),
    ],
)
def test_a_key_serves(key, image):
    assert serves(key, image)


@pytest.mark.parametrize(
    ("key", "image"),
    [
        ("registry.example.com", "registry.example.com:5000/app"),
        ("registry.example.com:5000", "registry.example.com/app"),
        ("registry.example.com:443", "registry.example.com/app"),
        ("registry.example.com/v1", "registry.example.com/app"),
        ("registry.example.com/team/", "registry.example.com/teams/app"),
        ("registry.example.com/team/*", "registry.example.com/team/app"),
        ("Registry.example.com", "registry.example.com/app"),
        ("*.example.com", "example.com/app"),
        ("*.example.com", "a.b.example.com/app"),
        ("*", "registry.example.com/app"),
        ("[::1]", "[::1]/app"),
        ("registry-1.docker.io", "nginx"),
        ("https://index.docker.io/v1/library", "nginx"),
    ],
)
def test_a_key_does_not_serve(key, image):
    assert not serves(key, image)


def test_the_most_specific_key_comes_first_whatever_the_order_in_the_secret():
    auths = {
        "registry.example.com": {"username": "host"},
        "registry.example.com/team/app": {"username": "app"},
        "registry.example.com/team": {"username": "team"},
        "other.example.com": {"username": "other"},
    }
    assert users(auths, "registry.example.com/team/app:1") == ["app", "team", "host"]
    assert users(dict(reversed(auths.items())), "registry.example.com/team/app:1") == ["app", "team", "host"]


def test_dockers_own_key_for_docker_hub_is_a_fallback():
    auths = {"https://index.docker.io/v1/": {"username": "fallback"}, "docker.io": {"username": "own"}}
    assert users(auths, "nginx") == ["own"]
    assert users({"https://index.docker.io/v1/": {"username": "fallback"}}, "quay.io/nginx") == []


def test_keyrings_of_several_secrets_are_one():
    first = Keyring.of({"registry.example.com": {"username": "first"}})
    second = Keyring.of({"registry.example.com/team": {"username": "second"}})
    both = (first + second).match(Reference.parse("registry.example.com/team/app"))
    assert [credential.username for credential in both] == ["second", "first"]


def test_auth_wins_over_user_and_password_and_is_split_at_the_first_colon():
    entry = {"username": "other", "password": "other", "auth": encode_auth("ann", "se:cret")}
    keyring = Keyring.of({"registry.example.com": entry})
    assert keyring.match(Reference.parse("registry.example.com/app")) == [Credential("ann", "se:cret")]


def test_an_identity_token_is_no_credential():
    keyring = Keyring.of({"registry.example.com": {"identitytoken": "token"}})
    assert keyring.match(Reference.parse("registry.example.com/app")) == [Credential("", "")]


@pytest.mark.parametrize(
    "key", ["registry example.com", "registry.example.com:https", "[::1", "a:b:c", "reg[0-9].io", "%zz"]
)
def test_a_key_that_is_no_url_is_passed_over_and_named(key):
    keyring = Keyring.of({key: {"username": "ann"}, "registry.example.com": {"username": "ben"}})
    assert [entry.credential.username for entry in keyring.entries] == ["ben"]
    assert repr(key) in keyring.ignored[0]


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        ({"auth": "YW5u"}, "not the base64 of USER:PASSWORD"),
        ({"auth": "ann:secret"}, "not the base64"),
        ({"auth": "YW5uOnM==="}, "not the base64"),
        ({"username": 1}, "not a text"),
        (["ann"], "not a mapping"),
    ],
)
def test_one_unreadable_entry_fails_the_whole_secret(entry, what):
    with pytest.raises(UnreadableCredentialsError, match=what):
        Keyring.of({"registry.example.com": {"username": "ann"}, "other.example.com": entry})


def test_a_password_is_not_shown():
    keyring = Keyring.of({"registry.example.com": {"auth": encode_auth("ann", "hunter2")}})
    assert "hunter2" not in repr(keyring)
