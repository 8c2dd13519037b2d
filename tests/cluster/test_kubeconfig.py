import base64
import json
import sys
from pathlib import Path

import pytest
import yaml

from homeport.cluster.kubeconfig import load_config
from homeport.errors import ClusterError, ConfigError, UsageError


def config(*, current: str = "", **contexts: tuple[str, dict]) -> dict:
    """A kubeconfig with a context of each name, for a server and a user."""
    return {
        "current-context": current,
        "clusters": [{"name": f"c-{name}", "cluster": {"server": server}} for name, (server, _) in contexts.items()],
        "users": [{"name": f"u-{name}", "user": user} for name, (_, user) in contexts.items()],
        "contexts": [{"name": name, "context": {"cluster": f"c-{name}", "user": f"u-{name}"}} for name in contexts],
    }


def written(path: Path, value: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else yaml.safe_dump(value))
    return path


def test_the_current_context_is_the_default(tmp_path):
    file = written(tmp_path / "config", config(current="a", a=("https://a", {"token": "t"}), b=("https://b", {})))
    assert load_config(None, {"KUBECONFIG": str(file)}).cluster.server == "https://a"
    assert load_config("b", {"KUBECONFIG": str(file)}).cluster.server == "https://b"


def test_files_of_the_list_are_one_and_the_first_wins(tmp_path):
    first = written(tmp_path / "1", config(a=("https://first", {"token": "1"})))
    second = written(tmp_path / "2", config(current="b", a=("https://second", {"token": "2"}), b=("https://b", {})))
    environment = {"KUBECONFIG": f"{tmp_path}/missing:{first}::{second}"}
    assert load_config("a", environment).cluster.server == "https://first"
    assert load_config(None, environment).cluster.server == "https://b"


def test_paths_start_at_the_file_that_holds_them(tmp_path):
    user = {"client-certificate": "me.crt", "client-key": "/keys/me.key", "tokenFile": "sub/token"}
    second = config(b=("https://b", user))
    second["clusters"][0]["cluster"]["certificate-authority"] = "ca.crt"
    files = written(tmp_path / "one/config", config()), written(tmp_path / "two/config", second)
    loaded = load_config("b", {"KUBECONFIG": ":".join(map(str, files))})
    assert loaded.cluster.certificate_auth == f"{tmp_path}/two/ca.crt"
    assert loaded.user
    assert (loaded.user.client_cert, loaded.user.client_key) == (f"{tmp_path}/two/me.crt", "/keys/me.key")
    assert loaded.user.token_file == f"{tmp_path}/two/sub/token"


def test_an_unknown_context_is_refused_with_those_that_are_known(tmp_path):
    file = written(tmp_path / "config", config(a=("https://a", {}), b=("https://b", {})))
    with pytest.raises(UsageError, match="there is no context 'c'") as caught:
        load_config("c", {"KUBECONFIG": str(file)})
    assert caught.value.hint == "There are: a, b."
    with pytest.raises(UsageError, match="no context is current"):
        load_config(None, {"KUBECONFIG": str(file)})


@pytest.mark.parametrize(("entry", "what"), [("clusters", "the cluster 'c-a'"), ("users", "the user 'u-a'")])
def test_a_context_that_names_nothing_is_refused(tmp_path, entry, what):
    file = written(tmp_path / "config", config(current="a", a=("https://a", {})) | {entry: []})
    with pytest.raises(UsageError, match=f"names {what}, which is not in"):
        load_config(None, {"KUBECONFIG": str(file)})


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a: b: c", "config:1: is not YAML: mapping values are not allowed"),
        ("- a", "config: is not a kubeconfig: Expected `object`"),
        ("clusters: {a: b}", r"config: is not a kubeconfig: .*\$.clusters"),
        ("a: \x00", "config: is not YAML"),
    ],
)
def test_a_broken_file_is_named(tmp_path, text, what):
    with pytest.raises(ConfigError, match=what):
        load_config(None, {"KUBECONFIG": str(written(tmp_path / "config", text))})


def test_no_kubeconfig_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UsageError, match="there is no kubeconfig"):
        load_config(None, {})


def test_a_retired_auth_provider_is_refused(tmp_path):
    file = written(tmp_path / "config", config(current="a", a=("https://a", {"auth-provider": {"name": "gcp"}})))
    with pytest.raises(UsageError, match="auth-provider, which Kubernetes removed"):
        load_config(None, {"KUBECONFIG": str(file)})


PLUGIN = """
import json, os
info = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
token = ":".join([os.environ["MARK"], info["apiVersion"], info["spec"]["cluster"]["server"]])
print(json.dumps({"apiVersion": info["apiVersion"], "kind": "ExecCredential", "status": {"token": token}}))
"""


def plugin(program: str, command: str = sys.executable) -> dict:
    return {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": command,
        "args": ["-c", program],
        "env": [{"name": "MARK", "value": "mine"}],
        "installHint": "Install the plugin.",
        "provideClusterInfo": True,
    }


def test_a_credential_plugin_of_v1_is_run(tmp_path):
    file = written(tmp_path / "config", config(current="a", a=("https://a", {"exec": plugin(PLUGIN)})))
    loaded = load_config(None, {"KUBECONFIG": str(file)})
    assert loaded.user
    assert loaded.user.token == "mine:client.authentication.k8s.io/v1:https://a"


@pytest.mark.parametrize(
    ("exec_", "kind", "what"),
    [
        (plugin("", command="no-such-plugin"), UsageError, "no-such-plugin cannot be run"),
        (plugin("raise SystemExit(3)"), ClusterError, "gave no token: it ended with code 3"),
        (plugin("print('hello')"), ClusterError, "printed no ExecCredential"),
    ],
)
def test_a_plugin_that_gives_nothing_is_an_error(tmp_path, exec_, kind, what):
    file = written(tmp_path / "config", config(current="a", a=("https://a", {"exec": exec_})))
    with pytest.raises(kind, match=what):
        load_config(None, {"KUBECONFIG": str(file)})


def test_a_plugin_may_give_a_certificate(tmp_path):
    status = {"clientCertificateData": "certificate", "clientKeyData": "key"}
    program = f"print({json.dumps(json.dumps({'kind': 'ExecCredential', 'status': status}))})"
    file = written(tmp_path / "config", config(current="a", a=("https://a", {"exec": plugin(program)})))
    user = load_config(None, {"KUBECONFIG": str(file)}).user
    assert user
    assert (base64.b64decode(user.client_cert_data), base64.b64decode(user.client_key_data)) == (b"certificate", b"key")
    assert user.exec is None, "lightkube would run the plugin again, and wants a token of it"
