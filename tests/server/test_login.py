import asyncio
import base64
import os

import bcrypt
import pytest
import urllib3

from homeport.errors import ConfigError, UsageError
from homeport.server import login as module
from homeport.server.login import HtpasswdLogin, LoginError, read_htpasswd
from tests.kit.servers import running_registry, write_htpasswd

USERS = {"me": "secret", "you": "pässwörd: with a colon"}


def basic(user: str, password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def check(login: HtpasswdLogin, headers: dict[str, str]) -> str | None:
    """Return the user, or None after a refusal."""
    try:
        return asyncio.run(login.check(headers.get("authorization", "")))
    except LoginError:
        return None


@pytest.fixture
def login(tmp_path) -> HtpasswdLogin:
    return HtpasswdLogin(write_htpasswd(tmp_path / "htpasswd", USERS))


@pytest.fixture
def computed(monkeypatch) -> list[bytes]:
    """The passwords that bcrypt was asked about."""
    passwords: list[bytes] = []
    real = module._matches

    def matches(password: bytes, hashed: bytes) -> bool:
        passwords.append(password)
        return real(password, hashed)

    monkeypatch.setattr(module, "_matches", matches)
    return passwords


def test_users_of_the_file_get_in(login):
    assert [check(login, basic(user, word)) for user, word in USERS.items()] == ["me", "you"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Basic"},
        {"authorization": "Basic ***"},
        {"authorization": "Basic " + base64.b64encode(b"no colon").decode()},
        {"authorization": "Basic " + base64.b64encode(b"\xff\xfe:x").decode()},
        {"authorization": "Bearer abc"},
        basic("me", "wrong"),
        basic("me", ""),
        basic("me", "secret\0"),
        basic("ME", "secret"),
        basic("", ""),
        basic("nobody", "secret"),
        basic("you", "secret"),
    ],
)
def test_nobody_else_does(login, headers):
    assert check(login, headers) is None


def test_bcrypt_runs_once_for_a_password_that_is_right(login, computed):
    assert [check(login, basic("me", "secret")) for _ in range(3)] == ["me"] * 3
    assert computed == [b"secret"]


def test_bcrypt_runs_once_for_many_requests_at_the_same_time(login, computed):
    async def all_at_once() -> list[str]:
        return await asyncio.gather(*(login.check(basic("me", "secret")["authorization"]) for _ in range(20)))

    assert asyncio.run(all_at_once()) == ["me"] * 20
    assert computed == [b"secret"]


def test_an_unknown_user_costs_as_much_as_a_wrong_password(login, computed):
    check(login, basic("nobody", "x"))
    check(login, basic("me", "x"))
    assert computed == [b"x", b"x"]
    assert login._decoy[:7] == next(iter(login._users.values()))[:7]


def test_an_unknown_user_is_refused_whatever_bcrypt_says(login, monkeypatch):
    monkeypatch.setattr(module, "_matches", lambda _password, _hashed: True)
    assert check(login, basic("nobody", "x")) is None


def test_what_is_remembered_is_bounded_and_no_password(login, monkeypatch):
    monkeypatch.setattr(module, "REMEMBERED", 1)
    for user, word in USERS.items():
        check(login, basic(user, word))
    [proof] = login._proven
    assert USERS["you"].encode() not in proof
    assert len(proof) == 32


def test_a_changed_file_counts_at_once(login):
    assert check(login, basic("me", "secret")) == "me"
    write_htpasswd(login._path, {"me": "another"})
    os.utime(login._path, (1, 1))
    assert check(login, basic("me", "secret")) is None
    assert check(login, basic("me", "another")) == "me"


def test_a_file_that_became_unreadable_leaves_the_users_as_they_were(login):
    login._path.write_text("half a li")
    assert check(login, basic("me", "secret")) == "me"


def test_a_password_is_cut_where_htpasswd_cuts_it(tmp_path):
    hashed = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()
    (tmp_path / "htpasswd").write_text(f"long:{hashed}\n")
    assert check(HtpasswdLogin(tmp_path / "htpasswd"), basic("long", "x" * 100)) == "long"


def test_what_the_htpasswd_tool_writes_is_understood(tmp_path):
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode().replace("$2b$", "$2y$")
    (tmp_path / "htpasswd").write_text(f"me:{hashed}\n")
    assert check(HtpasswdLogin(tmp_path / "htpasswd"), basic("me", "secret")) == "me"


def test_comments_and_blank_lines_are_no_users(tmp_path):
    write_htpasswd(tmp_path / "htpasswd", USERS)
    text = (tmp_path / "htpasswd").read_text()
    (tmp_path / "htpasswd").write_text(f"# users\n\n{text}\n")
    assert set(read_htpasswd(tmp_path / "htpasswd")) == set(USERS)


@pytest.mark.parametrize(
    "line",
    [
        "me:$apr1$abcdefgh$0123456789abcdefghijkl",
        "me:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
        "me:secret",
        "me",
        ":x",
        "me:$2b$99$" + "a" * 53,
    ],
)
def test_weak_hashes_are_refused_with_their_line_and_without_their_content(tmp_path, line):
    path = write_htpasswd(tmp_path / "htpasswd", {"ok": "ok"})
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(ConfigError, match=f"{path}:2: ") as caught:
        read_htpasswd(path)
    assert "htpasswd -B" in caught.value.hint
    assert line.partition(":")[2] not in str(caught.value) or not line.partition(":")[2]


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        read_htpasswd(tmp_path / "none")


def test_every_endpoint_asks_for_the_login_and_the_error_has_its_code(tmp_path):
    with running_registry(users={"me": "secret"}) as registry, urllib3.PoolManager() as http:
        for method, path in (
            ("GET", "/v2/"),
            ("GET", "/v2/_catalog"),
            ("GET", "/v2/a/manifests/x"),
            ("PUT", "/v2/a/manifests/x"),
            ("POST", "/v2/a/blobs/uploads/"),
            ("GET", "/nothing"),
        ):
            answer = http.request(method, registry.url + path)
            assert answer.status == 401
            assert answer.json()["errors"][0]["code"] == "UNAUTHORIZED"
            assert answer.headers["www-authenticate"] == 'Basic realm="homeport", charset="UTF-8"'
            assert answer.headers["docker-distribution-api-version"] == "registry/2.0"
        right = http.request("GET", f"{registry.url}/v2/", headers=basic("me", "secret"))
        assert right.status == 200
