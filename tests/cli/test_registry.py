"""`homeport registry`, and what `homeport serve` does with its file and its workers."""

import os
import signal
import ssl
import subprocess
import threading
import time
from pathlib import Path

import pytest
import urllib3

from homeport.oci.digest import digest_of
from homeport.oci.media_types import OCI_INDEX
from tests.kit.servers import HOMEPORT, serve_process

FILE = """\
htpasswd: users
tokens: true
access:
- repositories: ["redislabs/**"]
  allow: [pull]
  anonymous: true
- repositories: ["**"]
  allow: [pull, push, delete]
  users: [ops]
immutableTags:
- repositories: ["redislabs/**"]
"""


def homeport(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([*HOMEPORT, *arguments], input=stdin, capture_output=True, text=True, check=False, timeout=60)


def add_user(path: Path, name: str, password: str) -> subprocess.CompletedProcess[str]:
    return homeport("registry", "user", "add", name, "--htpasswd", str(path), stdin=f"{password}\n")


@pytest.fixture
def http():
    with urllib3.PoolManager(timeout=30, retries=False) as pool:
        yield pool


def test_a_file_sets_up_users_rules_and_immutable_tags(tmp_path, http):
    users = tmp_path / "users"
    for password in ("first", "second"):
        assert add_user(users, "ops", password).returncode == 0
    assert users.stat().st_mode & 0o777 == 0o600
    assert "second" not in users.read_text()
    (tmp_path / "registry.yaml").write_text(FILE)
    with serve_process(tmp_path / "data", "--config", str(tmp_path / "registry.yaml")) as server:
        manifest = f"{server.url}/v2/redislabs/redis/manifests/7.2.4-64"
        ops = urllib3.make_headers(basic_auth="ops:second") | {"content-type": OCI_INDEX}
        assert http.request("PUT", manifest, body=b"{}", headers={"content-type": OCI_INDEX}).status == 401
        wrong = urllib3.make_headers(basic_auth="ops:first") | {"content-type": OCI_INDEX}
        assert http.request("PUT", manifest, body=b"{}", headers=wrong).status == 401
        assert http.request("PUT", manifest, body=b"{}", headers=ops).status == 201
        assert http.request("PUT", manifest, body=b'{"a":1}', headers=ops).status == 409
        assert http.request("GET", manifest).data == b"{}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lisen: x", "registry.yaml:1: lisen: not a known key\n  Did you mean listen?"),
        (
            "htpasswd: u\naccess:\n- repositories: [a]\n  allow: [pul]\n  users: [x]",
            "registry.yaml:4: access[0].allow[0]",
        ),
        ("htpasswd: u\naccess:\n- repositories: [a]\n  allow: [pull]", "names nobody"),
        ("htpasswd: u\naccess:\n- repository: [a]\n  allow: [pull]", "Did you mean repositories?"),
        ("collection: {every: often}", "'often' is not a duration"),
        ("tls: {certs: x}", "Did you mean cert?"),
    ],
)
def test_a_file_that_is_wrong_is_told_with_its_line(tmp_path, text, said):
    (tmp_path / "registry.yaml").write_text(text)
    result = homeport("serve", "--data", str(tmp_path / "data"), "--config", str(tmp_path / "registry.yaml"))
    assert result.returncode == 2
    assert said in result.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(("name", "password"), [("", "x"), ("a:b", "x"), ("me", ""), ("me", "x" * 73)])
def test_what_cannot_be_a_user_is_refused(tmp_path, name, password):
    result = add_user(tmp_path / "users", name, password)
    assert result.returncode == 2
    assert not (tmp_path / "users").exists()
    assert not password or password not in result.stderr


def test_an_authority_is_made_once_and_clients_are_told_how_to_trust_it(tmp_path):
    for _ in range(2):
        with serve_process(tmp_path / "data", "--tls-auto") as server:
            context = ssl.create_default_context(cafile=str(tmp_path / "data" / "tls" / "ca.crt"))
            context.verify_flags |= ssl.VERIFY_X509_STRICT
            with urllib3.PoolManager(ssl_context=context) as http:
                assert http.request("GET", f"{server.url}/v2/").status == 200
            told = "".join(server.lines)
            assert f"/etc/docker/certs.d/{server.host}/ca.crt" in told
            assert (tmp_path / "data" / "tls" / "ca.key").stat().st_mode & 0o077 == 0
            first = (tmp_path / "data" / "tls" / "ca.crt").read_bytes()
    assert (tmp_path / "data" / "tls" / "ca.crt").read_bytes() == first


def test_garbage_goes_and_damage_is_named(tmp_path, http):
    with serve_process(tmp_path / "data") as server:
        digest = digest_of(b"unused")
        url = f"{server.url}/v2/a/blobs/uploads/?digest={digest}"
        assert http.request("POST", url, body=b"unused").status == 201
        for path in (tmp_path / "data").rglob("*"):
            os.utime(path, (time.time() - 86400,) * 2)
        dry = homeport("registry", "gc", str(tmp_path / "data"), "--dry-run")
        assert dry.stderr == "would remove: 0 manifests, 1 holds, 1 blobs, 6 bytes\n"
        assert homeport("registry", "gc", str(tmp_path / "data"), "--grace", "5s").returncode == 1
        assert homeport("registry", "gc", str(tmp_path / "data")).stderr.startswith("removed: 0 manifests, 1 holds")
        assert http.request("HEAD", f"{server.url}/v2/a/blobs/{digest}").status == 404
        assert homeport("registry", "check", str(tmp_path / "data")).stdout == ""
        (tmp_path / "data" / "repositories" / "a" / "_tags").mkdir()
        (tmp_path / "data" / "repositories" / "a" / "_tags" / "x").write_text("")
        damaged = homeport("registry", "check", str(tmp_path / "data"))
        assert (damaged.returncode, damaged.stdout) == (1, "a:x: names nothing, which is not there\n")
        assert homeport("registry", "check", str(tmp_path / "data"), "--repair").returncode == 0
    assert homeport("registry", "check", str(tmp_path / "none")).returncode == 2


def test_workers_serve_one_store_and_one_that_dies_is_replaced(tmp_path, http):
    content = b"0123456789" * 500_000
    digest = digest_of(content)
    with serve_process(tmp_path / "data", "--workers", "2") as server:
        pid = server.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children")
        workers = list(map(int, children.read_text().split()))
        assert len(workers) == 2
        location = http.request("POST", f"{server.url}/v2/a/blobs/uploads/").headers["location"]
        for start in range(0, len(content), 1_000_000):
            with urllib3.PoolManager(retries=False) as another:
                part = content[start : start + 1_000_000]
                headers = {"content-range": f"{start}-{start + len(part) - 1}"}
                answer = another.request("PATCH", server.url + location, body=part, headers=headers)
                assert (answer.status, answer.headers["range"]) == (202, f"0-{start + len(part) - 1}")
        assert http.request("PUT", f"{server.url}{location}?digest={digest}").status == 201
        os.kill(workers[0], signal.SIGKILL)
        while set(map(int, children.read_text().split())) & {workers[0]} or len(children.read_text().split()) < 2:
            pass
        results: list[bool] = []

        def read() -> None:
            with urllib3.PoolManager(retries=urllib3.Retry(5)) as another:
                got = another.request("GET", f"{server.url}/v2/a/blobs/{digest}").data
                results.append(digest_of(got) == digest)

        threads = [threading.Thread(target=read) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [True] * 8
        assert server.stop() == 0
