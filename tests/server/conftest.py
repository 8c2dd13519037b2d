"""A registry over files for each module of tests, and a small client that speaks to it."""

import hashlib
import itertools
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import urllib3

from tests.kit.servers import RunningRegistry, running_registry

_NUMBERS = itertools.count()

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Answer(msgspec.Struct, frozen=True):
    status: int
    headers: urllib3.HTTPHeaderDict
    body: bytes

    @property
    def codes(self) -> list[str]:
        return [error["code"] for error in json.loads(self.body)["errors"]]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Requests below one repository (`call`) or below the registry's root (`at`)."""

    def __init__(self, url: str, repository: str, pool: urllib3.PoolManager) -> None:
        self.url, self.repository, self._pool = url, repository, pool

    def at(self, method: str, path: str, body: bytes | Iterator[bytes] | None = None, **headers: str) -> Answer:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        url = path if path.startswith("http") else self.url + path
        reply = self._pool.request(method, url, body=body, headers=names, redirect=False, retries=False)
        return Answer(reply.status, reply.headers, reply.data)

    def call(self, method: str, path: str, body: bytes | Iterator[bytes] | None = None, **headers: str) -> Answer:
        return self.at(method, f"/v2/{self.repository}/{path}", body, **headers)

    def push_blob(self, content: bytes) -> str:
        digest = digest_of(content)
        assert self.call("POST", f"blobs/uploads/?digest={digest}", content).status == 201
        return digest

    def push_manifest(self, identifier: str, *, media_type: str = MANIFEST, **fields: Any) -> str:
        body = json.dumps({"schemaVersion": 2, **fields}).encode()
        answer = self.call("PUT", f"manifests/{identifier}", body, content_type=media_type)
        assert answer.status == 201, answer.body
        return digest_of(body)


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory, where there is one: for tests that make thousands of files and test no disk."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def registry(tmp_path_factory) -> Iterator[RunningRegistry]:
    with running_registry(tmp_path_factory.mktemp("registry") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def pool() -> Iterator[urllib3.PoolManager]:
    with urllib3.PoolManager(timeout=30) as manager:
        yield manager


@pytest.fixture
def client(registry, pool) -> Client:
    """A client with a repository that no other test uses."""
    return Client(registry.url, f"test/number-{next(_NUMBERS)}", pool)
