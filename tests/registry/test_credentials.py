import base64
import json
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.errors import ConfigError, UsageError
from homeport.registry import credentials
from homeport.registry.credentials import Credential, Credentials, normalized


def auth(user, password):
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def store(path, **content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return Credentials((path,))


def test_nothing_stored_is_anonymous(tmp_path):
    assert Credentials((tmp_path / "none.json",)).resolve("docker.io", "library/nginx") is None
    assert store(tmp_path / "config.json").resolve("docker.io") is None


def test_user_and_password(tmp_path):
    found = store(tmp_path / "config.json", auths={"r.example:5000": auth("me", "pass:word")}).resolve("r.example:5000")
    assert found == Credential("me", "pass:word", source=str(tmp_path / "config.json"))


@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io"])
def test_docker_hub_by_all_its_names(tmp_path, key):
    known = store(tmp_path / "config.json", auths={key: auth("me", "secret")})
    assert known.resolve("docker.io", "library/nginx").username == "me"
    assert known.resolve("quay.io") is None


@pytest.mark.parametrize(
    "key", ["r.example", "https://r.example", "http://r.example/", "https://r.example/v2/", "r.example/v1/"]
)
def test_registries_by_the_spellings_of_old(tmp_path, key):
    assert store(tmp_path / "config.json", auths={key: auth("me", "secret")}).resolve("r.example")


def test_another_port_is_another_registry(tmp_path):
    known = store(tmp_path / "config.json", auths={"r.example:5000": auth("me", "secret")})
    assert known.resolve("r.example") is None
    assert known.resolve("r.example:5001") is None


def test_the_longest_path_counts(tmp_path):
    auths = {"r.example": auth("all", "1"), "r.example/team": auth("team", "2"), "r.example/team/app": auth("app", "3")}
    known = store(tmp_path / "auth.json", auths=auths)
    assert known.resolve("r.example", "team/app").username == "app"
    assert known.resolve("r.example", "team/app/sub").username == "app"
    assert known.resolve("r.example", "team/apple").username == "team"
    assert known.resolve("r.example", "other").username == "all"
    assert known.resolve("r.example").username == "all"


def test_the_first_file_that_knows_counts(tmp_path):
    store(tmp_path / "1.json", auths={"a.example": auth("first", "1")})
    store(tmp_path / "2.json", auths={"a.example": auth("second", "2"), "b.example": auth("second", "2")})
    known = Credentials((tmp_path / "1.json", tmp_path / "2.json"))
    assert known.resolve("a.example").username == "first"
    assert known.resolve("b.example").username == "second"


def test_an_identity_token_is_told_from_a_password(tmp_path):
    entry = {**auth("00000000-0000-0000-0000-000000000000", ""), "identitytoken": "tok"}
    found = store(tmp_path / "config.json", auths={"acr.example": entry}).resolve("acr.example")
    assert found.is_identity_token
    assert found.secret == "tok"
    assert found.identity == "an identity token"


def test_plain_fields_and_padded_passwords(tmp_path):
    auths = {
        "a.example": {"username": "u", "password": "p"},
        "b.example": auth("u", "p\0\0"),
        "c.example": None,
        "d.example": {},
    }
    known = store(tmp_path / "config.json", auths=auths)
    assert known.resolve("a.example").secret == "p"
    assert known.resolve("b.example").secret == "p"
    assert known.resolve("c.example") is None
    assert known.resolve("d.example") is None


@pytest.mark.parametrize(
    "text",
    ["{", '{"auths": []}', '{"auths": {"a": 5}}', "", "\xff", '{"x":' + "[" * 100_000, '{"auths": {"\xff": {}}}'],
)
def test_a_broken_file_is_named(tmp_path, text):
    path = tmp_path / "config.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"config\.json") as caught:
        Credentials((path,)).resolve("a.example")
    assert "DOCKER_CONFIG" in caught.value.hint


@pytest.mark.parametrize("word", ["!!!", "bm8=x", base64.b64encode(b"\xff\xfe:x").decode()])
def test_a_broken_entry_is_named_without_its_content(tmp_path, word):
    with pytest.raises(ConfigError, match=r'auths\["a.example"\].auth') as caught:
        store(tmp_path / "config.json", auths={"a.example": {"auth": word}}).resolve("a.example")
    assert word not in str(caught.value)


def test_secrets_are_not_shown():
    for credential in (
        Credential("me", "hunter2"),
        Credential("", "hunter2", is_identity_token=True, helper="docker-credential-x"),
    ):
        assert "hunter2" not in repr(credential)
        assert "hunter2" not in str(credential)
        assert "hunter2" not in credential.identity
        assert "hunter2" not in repr([credential])


def test_where_files_are_looked_for(tmp_path):
    home, runtime, docker = tmp_path / "home", tmp_path / "run", tmp_path / "docker"
    store(home / ".docker" / "config.json", auths={"a.example": auth("docker", "x")})
    store(
        home / ".config" / "containers" / "auth.json",
        auths={"a.example": auth("c", "x"), "d.example": auth("config", "x")},
    )
    store(runtime / "containers" / "auth.json", auths={"a.example": auth("r", "x"), "c.example": auth("runtime", "x")})
    store(docker / "config.json", auths={"b.example": auth("other", "x")})
    store(tmp_path / "explicit.json", auths={"a.example": auth("explicit", "x")})

    def user(registry, **environment):
        found = Credentials.from_environment({"HOME": str(home), **environment}).resolve(registry)
        return found and found.username

    assert user("a.example") == "docker"
    assert user("d.example") == "config"
    assert user("c.example") is None
    assert user("c.example", XDG_RUNTIME_DIR=str(runtime)) == "runtime"
    assert user("b.example", DOCKER_CONFIG=str(docker)) == "other"
    assert user("a.example", DOCKER_CONFIG=str(docker), XDG_RUNTIME_DIR=str(runtime)) == "r"
    assert user("a.example", REGISTRY_AUTH_FILE=str(tmp_path / "explicit.json")) == "explicit"


@pytest.fixture
def helper(tmp_path, monkeypatch):
    """Install docker-credential-NAME with a shell script; what it is asked goes to NAME.asked."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=":")

    def install(name, script):
        program = folder / f"docker-credential-{name}"
        program.write_text(f'#!/bin/sh\nread server\necho "$1 $server" >> {tmp_path}/{name}.asked\n{script}\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return tmp_path / f"{name}.asked"

    return install


def answer(user, secret):
    return f"echo '{json.dumps({'ServerURL': 'x', 'Username': user, 'Secret': secret})}'"


def test_a_helper_is_asked_once_and_said(tmp_path, helper):
    asked = helper("cloud", answer("aws", "short-lived"))
    known = store(
        tmp_path / "c" / "config.json", credHelpers={"r.example": "cloud"}, auths={"r.example": auth("no", "no")}
    )
    for _ in range(3):
        found = known.resolve("r.example", "any/thing")
    assert (found.username, found.secret, found.helper) == ("aws", "short-lived", "docker-credential-cloud")
    assert asked.read_text() == "get r.example\n"
    assert known.resolve("other.example") is None


def test_the_general_store_is_asked_for_what_is_not_written(tmp_path, helper):
    asked = helper("desktop", answer("me", "stored"))
    known = store(
        tmp_path / "c" / "config.json", credsStore="desktop", auths={"docker.io": {}, "a.example": auth("w", "x")}
    )
    assert known.resolve("docker.io").secret == "stored"
    assert known.resolve("a.example").username == "w"
    assert asked.read_text() == "get https://index.docker.io/v1/\n"


def test_a_helper_may_give_an_identity_token(tmp_path, helper):
    helper("cloud", answer("<token>", "refresh"))
    assert store(tmp_path / "c" / "config.json", credsStore="cloud").resolve("r.example").is_identity_token


def test_a_helper_that_knows_nothing_means_anonymous(tmp_path, helper):
    helper("cloud", "echo 'credentials not found in native keychain'; exit 1")
    assert store(tmp_path / "c" / "config.json", credsStore="cloud").resolve("r.example") is None


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'password is hunter2'; exit 3", "exit code 3"),
        ("echo hunter2", "not the JSON"),
        ("exec sleep 60", "no answer in"),
    ],
)
def test_a_helper_that_fails_is_named(tmp_path, helper, monkeypatch, script, reason):
    if "sleep" in script:
        monkeypatch.setattr(credentials, "HELPER_SECONDS", 0.2)
    helper("cloud", script)
    with pytest.raises(
        UsageError, match=f"docker-credential-cloud gives no credentials for r.example: .*{reason}"
    ) as caught:
        store(tmp_path / "c" / "config.json", credsStore="cloud").resolve("r.example")
    assert "hunter2" not in str(caught.value)


def test_a_helper_that_is_not_installed_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"docker-credential-absent gives no credentials.*no such file"):
        store(tmp_path / "c" / "config.json", credsStore="absent").resolve("r.example")


@given(st.from_regex(r"[a-z0-9.]{1,20}(:[0-9]{1,5})?(/[a-z0-9]{1,5}){0,3}", fullmatch=True))
def test_normalizing_twice_changes_nothing(name):
    assert normalized(normalized(name)) == normalized(name)
    assert normalized(f"https://{name}/") == normalized(name)
