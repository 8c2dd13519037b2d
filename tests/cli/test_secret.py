import base64
import io
import json

import pytest
import yaml

from homeport.cli.app import run
from homeport.cluster.pull_secrets import parse_pull_secret
from homeport.reference import Reference

HELPER = """#!/bin/sh
read server
echo "{\\"ServerURL\\": \\"$server\\", \\"Username\\": \\"USERNAME\\", \\"Secret\\": \\"from the helper\\"}"
"""


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """Write a docker configuration that commands find, and helpers on the PATH."""
    for name in ("REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def write(config: dict, **helpers: str) -> None:
        (tmp_path / "config.json").write_text(json.dumps(config))
        for name, user in helpers.items():
            program = tmp_path / f"docker-credential-{name.replace('_', '-')}"
            program.write_text(HELPER.replace("USERNAME", user))
            program.chmod(0o755)

    return write


@pytest.fixture
def stdin(monkeypatch):
    return lambda text: monkeypatch.setattr("sys.stdin", io.StringIO(text))


def credentials(text: str, image: str) -> list[tuple[str, str]]:
    found = parse_pull_secret(yaml.safe_load(text)).match(Reference.parse(image))
    return [(credential.username, credential.secret) for credential in found]


def test_a_password_on_stdin_becomes_a_secret_for_each_namespace(stdin, capsys):
    stdin("se:cret\n")
    arguments = ["pull", "-n", "redis", "--namespace", "shop", "--registry", "registry.example.com:5000/mirror"]
    assert run(["secret", *arguments, "--username", "ann", "--password-stdin"]) == 0
    out, err = capsys.readouterr()
    secrets = list(yaml.safe_load_all(out))
    assert [secret["metadata"] for secret in secrets] == [
        {"name": "pull", "namespace": "redis"},
        {"name": "pull", "namespace": "shop"},
    ]
    found = credentials(out.partition("---\n")[0], "registry.example.com:5000/mirror/redislabs/redis:1")
    assert (found, err) == ([("ann", "se:cret")], "")


def test_json_of_several_is_one_list(stdin, capsys):
    stdin("secret")
    arguments = ["pull", "-n", "a", "-n", "b", "--registry", "r.example.com", "--username", "ann", "--password-stdin"]
    assert run(["secret", *arguments, "-o", "json"]) == 0
    written = json.loads(capsys.readouterr().out)
    assert (written["kind"], len(written["items"])) == ("List", 2)


def test_what_docker_stored_is_taken(docker, capsys):
    docker({"auths": {"r.example.com": {"auth": base64.b64encode(b"ann:stored").decode()}}})
    assert run(["secret", "pull", "--registry", "r.example.com/mirror"]) == 0
    assert credentials(capsys.readouterr().out, "r.example.com/mirror/app") == [("ann", "stored")]


@pytest.mark.parametrize("config", [{"credsStore": "test"}, {"credHelpers": {"r.example.com": "test"}}])
def test_stores_and_helpers_are_asked_and_their_answer_is_in_the_secret(docker, capsys, config):
    docker({"auths": {"r.example.com": {}}, **config}, test="ann")
    assert run(["secret", "pull", "--registry", "r.example.com"]) == 0
    assert credentials(capsys.readouterr().out, "r.example.com/app") == [("ann", "from the helper")]


def test_docker_hubs_login_serves_docker_hub(docker, capsys):
    docker({"auths": {"https://index.docker.io/v1/": {"auth": base64.b64encode(b"ann:stored").decode()}}})
    assert run(["secret", "pull", "--registry", "docker.io"]) == 0
    assert credentials(capsys.readouterr().out, "redislabs/redis:1") == [("ann", "stored")]


@pytest.mark.parametrize("entry", [{"identitytoken": "hunter2"}, {"auth": "MDAwMDo=", "identitytoken": "hunter2"}])
def test_an_identity_token_is_refused(docker, capsys, entry):
    docker({"auths": {"r.example.com": entry}})
    assert run(["secret", "pull", "--registry", "r.example.com"]) == 2
    out, err = capsys.readouterr()
    assert (out, "identity token, which the kubelet ignores" in err, "hunter2" in err) == ("", True, False)


def test_nothing_stored_is_said(docker, capsys):
    docker({"auths": {"other.example.com": {"auth": "YW5uOnM="}}})
    assert run(["secret", "pull", "--registry", "r.example.com"]) == 2
    assert "error: no credentials are stored for r.example.com" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--password=hunter2", "-p=hunter2"])
def test_a_password_on_the_command_line_is_refused_and_not_repeated(capsys, option):
    assert run(["secret", "pull", "--registry", "r.example.com", "--username", "ann", option]) == 2
    out, err = capsys.readouterr()
    assert (out, "--password-stdin" in err, "hunter2" in err) == ("", True, False)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["pull", "--registry", "r.example.com", "--username", "ann"], "--username and --password-stdin go together"),
        (["pull", "--registry", "r.example.com", "--password-stdin"], "--username and --password-stdin go together"),
        (["pull", "--registry", "https://r.example.com"], "is not a registry"),
        (["Pull", "--registry", "r.example.com"], "cannot be the name of a Secret"),
        (["pull", "--registry", "r.example.com", "-n", "a_b"], "is not a namespace"),
        (["pull", "--registry", "r.example.com", "--authfile", "/nowhere"], "there is no such file"),
    ],
)
def test_what_cannot_be_started_is_said(stdin, capsys, arguments, what):
    stdin("secret")
    assert run(["secret", *arguments]) == 2
    assert what in capsys.readouterr().err


def test_an_empty_password_is_refused(stdin, capsys):
    stdin("\n")
    arguments = ["pull", "--registry", "r.example.com", "--username", "ann", "--password-stdin"]
    assert run(["secret", *arguments]) == 2
    assert "no password stands on stdin" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("registry", "user", "hours", "provider"),
    [
        ("123456789012.dkr.ecr.eu-central-1.amazonaws.com", "AWS", "12 hours", "ecr-credential-provider"),
        ("europe-docker.pkg.dev/project/repository", "oauth2accesstoken", "1 hour", "auth-provider-gcp"),
        ("eu.gcr.io/project", "oauth2accesstoken", "1 hour", "auth-provider-gcp"),
        ("name.azurecr.io", "00000000-0000-0000-0000-000000000000", "3 hours", "acr-credential-provider"),
    ],
)
def test_an_expiry_is_said_with_what_nodes_use_instead(stdin, capsys, registry, user, hours, provider):
    stdin("secret")
    assert run(["secret", "pull", "--registry", registry, "--username", user, "--password-stdin"]) == 0
    out, err = capsys.readouterr()
    assert yaml.safe_load(out)["kind"] == "Secret"
    assert f"expires {hours} after" in err
    config = yaml.safe_load(err.partition("\n\n")[2])
    assert (config["apiVersion"], config["kind"]) == ("kubelet.config.k8s.io/v1", "CredentialProviderConfig")
    assert config["providers"][0]["name"] == provider
    assert config["providers"][0]["matchImages"] == [registry.partition("/")[0]]


@pytest.mark.parametrize(
    ("registry", "user"),
    [("eu.gcr.io", "_json_key"), ("name.azurecr.io", "robot"), ("registry.example.com", "AWS")],
)
def test_a_password_that_lasts_is_not_warned_of(stdin, capsys, registry, user):
    stdin("secret")
    assert run(["secret", "pull", "--registry", registry, "--username", user, "--password-stdin"]) == 0
    assert capsys.readouterr().err == ""


def test_a_helper_tells_an_expiry_whatever_the_host(docker, capsys):
    docker({"credHelpers": {"r.example.com": "ecr-login"}}, ecr_login="AWS")
    assert run(["secret", "pull", "--registry", "r.example.com"]) == 0
    assert "expires 12 hours after" in capsys.readouterr().err
