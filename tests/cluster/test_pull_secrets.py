import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.cluster.keyring import UnreadableCredentialsError
from homeport.cluster.pull_secrets import beside, make_pull_secret, parse_pull_secret
from homeport.errors import UsageError
from homeport.mapping import Target
from homeport.reference import Reference
from homeport.registry.credentials import Credential

IMAGE = Reference.parse("registry.example.com/app:1")
CONFIG = {"auths": {"registry.example.com": {"username": "ann", "password": "secret"}}}


def secret(content: str, kind: str = "kubernetes.io/dockerconfigjson", key: str = ".dockerconfigjson") -> dict:
    return {"kind": "Secret", "type": kind, "data": {key: base64.b64encode(content.encode()).decode()}}


def test_a_secret_has_the_form_that_kubernetes_documents():
    made = make_pull_secret(
        "pull", "redis", Target.parse("registry.example.com:5000/mirror"), Credential("ann", "se:cret")
    )
    content = json.loads(base64.b64decode(made.pop("data")[".dockerconfigjson"]))
    assert made == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "pull", "namespace": "redis"},
        "type": "kubernetes.io/dockerconfigjson",
    }
    assert content == {
        "auths": {
            "registry.example.com:5000/mirror": {
                "username": "ann",
                "password": "se:cret",
                "auth": base64.b64encode(b"ann:se:cret").decode(),
            }
        }
    }


def test_without_a_namespace_the_secret_names_none():
    made = make_pull_secret("pull", "", Target.parse("registry.example.com"), Credential("ann", "secret"))
    assert made["metadata"] == {"name": "pull"}


hosts = st.from_regex(r"(?:[a-z0-9]+(?:-[a-z0-9]+)?\.){0,3}[a-z0-9]+\.[a-z]{2,4}(?::[1-9][0-9]{0,3})?", fullmatch=True)
paths = st.from_regex(r"(?:[a-z0-9]{1,5}/){0,2}[a-z0-9]{1,5}", fullmatch=True)
no_colon = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters=":"), min_size=1, max_size=20)


@given(
    hosts | st.sampled_from(["docker.io", "localhost", "[::1]:5000"]),
    st.just("") | paths,
    paths,
    no_colon,
    st.text(max_size=40),
)
def test_the_kubelet_pulls_with_what_was_put_in(host, path, image, username, password):
    target = Target.parse(f"{host}/{path}" if path else host)
    read = parse_pull_secret(make_pull_secret("pull", "", target, Credential(username, password)))
    assert read.match(Reference.parse(f"{target}/{image}:1")) == [Credential(username, password)]
    assert not read.ignored


def test_a_host_that_the_kubelet_takes_for_a_pattern_is_refused():
    with pytest.raises(UsageError, match="takes this host for a pattern"):
        make_pull_secret("pull", "", Target.parse("[::1]"), Credential("ann", "secret"))


@pytest.mark.parametrize("username", ["", "a:b"])
def test_a_user_that_the_kubelet_cannot_read_back_is_refused(username):
    with pytest.raises(UsageError, match="cannot be the user"):
        make_pull_secret("pull", "", Target.parse("registry.example.com"), Credential(username, "secret"))


def test_string_data_wins_over_data():
    manifest = secret("{}") | {"stringData": {".dockerconfigjson": json.dumps(CONFIG)}}
    assert parse_pull_secret(manifest).match(IMAGE) == [Credential("ann", "secret")]


def test_data_may_be_folded():
    encoded = secret(json.dumps(CONFIG))["data"][".dockerconfigjson"]
    folded = {
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": encoded[:40] + "\n" + encoded[40:]},
    }
    assert parse_pull_secret(folded).match(IMAGE) == [Credential("ann", "secret")]


def test_the_legacy_type_has_no_auths():
    legacy = ("kubernetes.io/dockercfg", ".dockercfg")
    assert parse_pull_secret(secret(json.dumps(CONFIG["auths"]), *legacy)).match(IMAGE) == [Credential("ann", "secret")]
    with pytest.raises(UnreadableCredentialsError):
        parse_pull_secret(secret('{"auths": []}', *legacy))


@pytest.mark.parametrize(
    ("manifest", "what"),
    [
        (secret(json.dumps(CONFIG), kind="Opaque"), "its type is Opaque, not kubernetes.io/dockerconfigjson"),
        ({"kind": "Secret", "data": secret("{}")["data"]}, "its type is Opaque"),
        (secret(json.dumps(CONFIG), key="config.json"), "it has no .dockerconfigjson"),
        (secret(""), "it has no .dockerconfigjson"),
    ],
)
def test_what_the_kubelet_passes_over_is_said(manifest, what):
    read = parse_pull_secret(manifest)
    assert read.match(IMAGE) == []
    assert what in read.ignored[0]


@pytest.mark.parametrize("content", ["{", "[]", '{"auths": []}', '{"auths": {"registry.example.com": {"auth": "?"}}}'])
def test_content_that_fails_each_pull_is_an_error(content):
    with pytest.raises(UnreadableCredentialsError):
        parse_pull_secret(secret(content))


def test_data_that_is_not_base64_is_an_error():
    with pytest.raises(UnreadableCredentialsError, match="not base64"):
        parse_pull_secret({"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "{}"}})


@pytest.mark.parametrize("content", ["null", "{}", '{"auths": null}', '{"credsStore": "desktop"}'])
def test_a_secret_without_credentials_serves_nothing(content):
    assert parse_pull_secret(secret(content)).match(IMAGE) == []


def test_old_credentials_stand_beside_new_ones_under_what_is_one_key_to_the_kubelet() -> None:
    target = Target.parse("registry.example.com:5000/mirror")
    image = Reference.parse("registry.example.com:5000/mirror/team/app:1")

    def made(user: str, word: str) -> dict:
        return make_pull_secret("pull", "shop", target, Credential(user, word))

    first, second, third = made("ann", "one"), made("ann", "two"), made("bob", "three")
    both = beside(second, first)
    assert {it.secret for it in parse_pull_secret(both).match(image)} == {"one", "two"}
    auths = json.loads(base64.b64decode(both["data"][".dockerconfigjson"]))["auths"]
    assert auths[str(target)]["password"] == "two"
    assert beside(second, both)["data"] == both["data"]
    three = beside(third, both)
    assert {it.secret for it in parse_pull_secret(three).match(image)} == {"one", "two", "three"}
    with pytest.raises(UsageError, match="three credentials already"):
        beside(made("eve", "four"), three)


def test_what_cannot_be_read_or_is_for_another_registry_is_not_kept_beside() -> None:
    new = make_pull_secret("pull", "shop", Target.parse("registry.example.com"), Credential("ann", "two"))
    other = make_pull_secret("pull", "shop", Target.parse("other.example.com"), Credential("ann", "one"))
    broken = {**new, "data": {".dockerconfigjson": base64.b64encode(b"[").decode()}}
    assert beside(new, other) == new
    assert beside(new, broken) == new
