"""Our choice of credentials beside the kubelet's own code."""

import base64
import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from homeport.cluster.keyring import Keyring, UnreadableCredentialsError
from homeport.cluster.pull_secrets import parse_pull_secret
from homeport.reference import Reference
from tests.peers.kube import peer

pytestmark = pytest.mark.peers

AUTHS = [
    {"username": "ann", "password": "secret"},
    {"auth": base64.b64encode(b"ann:se:cret").decode()},
    {"auth": "YW5uOg", "username": "other"},
    {"Username": "ann", "EMAIL": "ann@example.com"},
    {"identitytoken": "token"},
    {},
    None,
    {"auth": "YW5uOnM=\n"},
    {"auth": " YW5uOnM="},
    {"auth": "YW5u"},
    {"auth": "YW5uOnM==="},
    {"auth": "?"},
    {"username": 1},
    ["ann"],
]
RAW = [
    "",
    "null",
    "{}",
    "[]",
    "1",
    "{",
    "{} {}",
    '{"auths": null}',
    '{"Auths": {"reg.io": {"username": "ann"}}}',
    '{"auths": []}',
]
HOSTS = [
    *(
        "reg.io",
        "*.reg.io",
        "a.reg.io",
        "reg.io:5000",
        "*",
        "*.*",
        "*:5000",
        "r*.io",
        "REG.io",
        "reg.io:",
        "https://reg.io",
    ),
    *(
        "http://reg.io",
        "https://http://reg.io",
        "user@reg.io",
        "docker.io",
        "index.docker.io",
        "https://index.docker.io/v1/",
    ),
    *(
        "[::1]:5000",
        "[::1]",
        "[::1",
        "[127.0.0.1]:5000",
        "re[gx].io",
        "reg?.io",
        "reg.io#x",
        "reg io",
        "reg%2eio",
        "a:b:c",
        "",
    ),
]
PATHS = [
    "",
    "/",
    "/v1",
    "/v1/",
    "/v2/",
    "/v2/team",
    "/team",
    "/team/",
    "/te",
    "/team/app",
    "//",
    "/library",
    "?team",
    "/%74eam",
]
IMAGES = [
    *("reg.io/team/app:1", "a.reg.io/team/app", "nginx", "team/app", "reg.io:5000/team", "[::1]:5000/app", "[::1]/app"),
    *("index.docker.io/app", "b.reg.io/teams", "reg.io/v1/app", "quay.io/team", "REG.io/team", "reg.io/library/app"),
]


class Kubelet:
    """The kubelet's keyring in a process of its own, one question a line."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def credentials(self, secrets: list[dict[str, Any]], image: str) -> list[list[str]] | None:
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps({"secrets": secrets, "image": image}), file=self._process.stdin, flush=True)
        answer = json.loads(self._process.stdout.readline())
        return None if "error" in answer else answer["credentials"]


@pytest.fixture(scope="module")
def kubelet() -> Iterator[Kubelet]:
    command = [peer("homeport-keyring")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Kubelet(process)
        process.communicate()


def ours(secrets: list[dict[str, Any]], image: str) -> list[list[str]] | None:
    keyring = Keyring()
    try:
        for secret in secrets:
            keyring += parse_pull_secret(secret)
    except UnreadableCredentialsError:
        return None
    return [[credential.username, credential.secret] for credential in keyring.match(Reference.parse(image))]


def manifest(kind: str, content: str) -> dict[str, Any]:
    key = ".dockercfg" if kind == "kubernetes.io/dockercfg" else ".dockerconfigjson"
    return {"type": kind, "data": {key: base64.b64encode(content.encode()).decode()}}


kinds = st.sampled_from(["kubernetes.io/dockerconfigjson"] * 3 + ["kubernetes.io/dockercfg", "Opaque"])
keys = st.builds(str.__add__, st.sampled_from(HOSTS), st.sampled_from(PATHS))


@settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(kinds, st.lists(keys, max_size=4, unique=True)), min_size=1, max_size=3), st.sampled_from(IMAGES)
)
def test_keys_match_as_in_the_kubelet(kubelet: Kubelet, described: list[tuple[str, list[str]]], image: str):
    secrets = []
    for number, (kind, names) in enumerate(described):
        auths = {name: {"username": f"{number}-{name}"} for name in names}
        secrets.append(manifest(kind, json.dumps(auths if kind == "kubernetes.io/dockercfg" else {"auths": auths})))
    theirs = kubelet.credentials(secrets, image)
    assert theirs is not None
    # Keys that read alike stand in the order of a Go map, which is none.
    assert sorted(ours(secrets, image) or []) == sorted(theirs)


@pytest.mark.parametrize("kind", ["kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg", "Opaque"])
def test_content_is_read_as_in_the_kubelet(kubelet: Kubelet, kind: str):
    wrapped = [json.dumps({"auths": {"reg.io": entry}}) for entry in AUTHS]
    for content in [*RAW, *wrapped, *(json.dumps({"reg.io": entry}) for entry in AUTHS)]:
        secrets = [manifest(kind, content)]
        assert ours(secrets, "reg.io/team/app") == kubelet.credentials(secrets, "reg.io/team/app"), content


def test_the_most_specific_key_is_tried_first_as_in_the_kubelet(kubelet: Kubelet):
    names = ["reg.io", "reg.io/team/app", "*.io", "reg.io/team", "r*.io/team"]
    secrets = [
        manifest("kubernetes.io/dockerconfigjson", json.dumps({"auths": {name: {"username": name} for name in names}}))
    ]
    assert ours(secrets, "reg.io/team/app") == kubelet.credentials(secrets, "reg.io/team/app")
