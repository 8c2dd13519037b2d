"""What reaches the disk, and when: a disk that is really full, and system calls in their order."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from homeport.oci.digest import digest_of
from homeport.oci.media_types import OCI_INDEX
from tests.kit.peers import peer
from tests.kit.servers import serve_process

pytestmark = pytest.mark.peers

SMALL, LARGE = b"small" * 1000, bytes(range(256)) * 65536
MANIFEST = b'{"schemaVersion":2}'


@pytest.fixture
def http() -> Iterator[urllib3.PoolManager]:
    with urllib3.PoolManager(timeout=30, retries=False) as pool:
        yield pool


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk))
    if os.geteuid() or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("only root can make a small disk")
    try:
        yield disk
    finally:
        subprocess.run(("umount", str(disk)), check=True)


def post(http: urllib3.PoolManager, url: str, content: bytes) -> urllib3.BaseHTTPResponse:
    return http.request("POST", f"{url}/v2/a/blobs/uploads/?digest={digest_of(content)}", body=content)


def put(http: urllib3.PoolManager, url: str, tag: str, body: bytes) -> urllib3.BaseHTTPResponse:
    return http.request("PUT", f"{url}/v2/a/manifests/{tag}", body=body, headers={"content-type": OCI_INDEX})


def test_a_full_disk_is_told_leaves_what_was_there_and_service_goes_on(small_disk, http):
    with serve_process(small_disk / "data") as server:
        assert post(http, server.url, SMALL).status == 201
        assert put(http, server.url, "x", MANIFEST).status == 201
        free = os.statvfs(small_disk).f_bavail
        session = http.request("POST", f"{server.url}/v2/a/blobs/uploads/").headers["location"]
        for answer in (
            post(http, server.url, LARGE),
            http.request("PATCH", server.url + session, body=LARGE),
        ):
            assert answer.status == 507
            assert answer.json()["errors"] == [{"code": "UNAVAILABLE", "message": "the registry has no room left"}]
        assert os.statvfs(small_disk).f_bavail == free
        assert http.request("GET", f"{server.url}/v2/a/blobs/{digest_of(SMALL)}").data == SMALL
        assert post(http, server.url, SMALL * 2).status == 201

        filler = small_disk / "filler"
        space = os.statvfs(small_disk)
        filler.write_bytes(bytes(space.f_bavail * space.f_bsize))
        assert put(http, server.url, "x", MANIFEST + b"\n").status == 507
        assert http.request("GET", f"{server.url}/v2/a/manifests/x").data == MANIFEST
        filler.unlink()
        assert put(http, server.url, "x", MANIFEST + b"\n").status == 201
        assert http.request("GET", f"{server.url}/v2/a/manifests/x").data == MANIFEST + b"\n"
        server.stop()
        assert sum("the disk is full" in line for line in server.lines) == 3


def test_nothing_is_confirmed_before_it_is_on_the_disk(tmp_path, http):
    calls = tmp_path / "calls"
    strace = (peer("strace"), "-f", "-y", "-s", "60", "-o", str(calls), "-e", "trace=fsync,rename,write,writev,sendto")
    with serve_process(tmp_path / "data", prefix=strace) as server:
        assert post(http, server.url, SMALL).status == 201
        assert put(http, server.url, "x", MANIFEST).status == 201
        server.stop()
    blob, manifest = _before_each_created(calls.read_text())
    hexadecimal = digest_of(SMALL).partition(":")[2]
    _in_order(blob, "fsync .*/uploads/", f"rename .*/{hexadecimal}", "fsync .*/blobs/sha256/..$", "fsync .*/a/_blobs$")
    _in_order(
        manifest,
        "fsync .*/staging/",
        "rename .*/a/_manifests/sha256-",
        "fsync .*/a/_manifests$",
        "fsync .*/staging/",
        "rename .*/a/_tags/x",
        "fsync .*/a/_tags$",
    )


def _before_each_created(trace: str) -> list[list[str]]:
    """Return the syncs and renames before each answer of 201."""
    parts: list[list[str]] = [[]]
    for line in trace.splitlines():
        if "HTTP/1.1 201" in line:
            parts.append([])
        elif match := re.search(r" (fsync)\(\d+<([^>]*)>| (rename)\(\".*\", \"([^\"]*)\"", line):
            parts[-1].append(" ".join(filter(None, match.groups())))
    assert len(parts) == 3
    assert parts[-1] == [], "something was synced only after it was confirmed"
    return parts[:-1]


def _in_order(steps: list[str], *patterns: str) -> None:
    remaining = iter(steps)
    for pattern in patterns:
        assert any(re.match(pattern, step) for step in remaining), f"{pattern} is not, or not in this order, in {steps}"
