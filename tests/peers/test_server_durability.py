"""What a registry keeps when it is killed, when the disk lies or is full, and when the power goes: see docs/durability.md."""

import json
import os
import random
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
import urllib3

from homeport.oci.digest import digest_of
from homeport.oci.media_types import OCI_INDEX
from homeport.store.check import check_store
from homeport.store.layout import Layout
from tests.kit.peers import peer
from tests.kit.servers import ServeProcess, serve_process

pytestmark = pytest.mark.peers

BLOBS = [bytes([number]) * (number * 40_000 + 1) for number in range(12)]


def injected(call: str, fault: str, log: Path) -> tuple[str, ...]:
    return (peer("strace"), "-f", "-qq", "-o", str(log), "-e", f"trace={call}", "-e", f"inject={call}:{fault}")


class Pusher:
    """Pushes and remembers what was confirmed."""

    def __init__(self) -> None:
        self.blobs: set[str] = set()
        self.tags: dict[str, str] = {}
        self.attempts = 0

    def push(self, url: str, number: int) -> bool:
        """Push a blob and an image index under a tag; False where the registry did not confirm all of it."""
        content, tag = BLOBS[number % len(BLOBS)] + str(number).encode(), f"t{number % 7}"
        body = json.dumps({"schemaVersion": 2, "manifests": [], "annotations": {"n": str(number)}}).encode()
        self.attempts += 1
        with urllib3.PoolManager(retries=False, timeout=20) as http:
            try:
                digest = digest_of(content)
                sent = http.request("POST", f"{url}/v2/a/blobs/uploads/?digest={digest}", body=content)
                if sent.status == 201:
                    self.blobs.add(digest)
                old = self.tags.pop(tag, None)
                put = http.request("PUT", f"{url}/v2/a/manifests/{tag}", body=body, headers={"content-type": OCI_INDEX})
                if put.status == 201:
                    self.tags[tag] = digest_of(body)
                elif put.status >= 500 and old:
                    self.tags[tag] = old
            except urllib3.exceptions.HTTPError:
                return False  # whether the tag moved is not known: both are right
            return sent.status == put.status == 201

    def verify(self, url: str) -> None:
        """Everything that was confirmed is there, whole."""
        with urllib3.PoolManager(retries=False, timeout=20) as http:
            for digest in self.blobs:
                assert digest_of(http.request("GET", f"{url}/v2/a/blobs/{digest}").data) == digest
            for tag, digest in self.tags.items():
                answer = http.request("GET", f"{url}/v2/a/manifests/{tag}")
                assert (answer.headers["docker-content-digest"], digest_of(answer.data)) == (digest, digest)


def survives(data: Path, pusher: Pusher) -> None:
    """A new process serves what was confirmed, takes pushes, and the store has no damage."""
    with serve_process(data) as server:
        pusher.verify(server.url)
        assert pusher.push(server.url, 9999)
        pusher.verify(server.url)
    assert list(check_store(Layout(data))) == []


@pytest.mark.parametrize("call", ["openat", "write", "writev", "fsync", "rename", "utimensat", "flock"])
def test_a_kill_at_any_of_its_calls_leaves_what_was_confirmed(call, tmp_path):
    for when in (1, 3, 8):
        data, pusher = tmp_path / f"{call}{when}", Pusher()
        with serve_process(data) as server:
            pusher.push(server.url, 0)
            threads = subprocess.Popen(
                (*injected(call, f"signal=KILL:when={when}", tmp_path / "calls"), "-p", str(server.process.pid)),
                stderr=subprocess.DEVNULL,
            )
            while threads.poll() is None and _tracer(server.process.pid) == 0:
                pass
            number = 1
            while server.process.poll() is None and number < 20:
                pusher.push(server.url, number)
                number += 1
            server.stop(signal.SIGKILL)
            threads.wait(30)
        survives(data, pusher)


def _tracer(pid: int) -> int:
    try:
        found = re.search(r"TracerPid:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    except FileNotFoundError:
        return -1
    return int(found[1]) if found else -1


@pytest.mark.parametrize(
    ("call", "fault", "status"),
    [
        ("fsync", "error=EIO", 500),
        ("fsync", "error=ENOSPC", 507),
        ("rename", "error=EIO", 500),
        ("rename", "error=ENOSPC", 507),
        ("writev", "error=ENOSPC:when=1", None),
        ("utimensat", "error=EIO", 500),
    ],
)
def test_a_disk_that_fails_is_told_and_nothing_half_done_is_seen(call, fault, status, tmp_path):
    data, pusher = tmp_path / "data", Pusher()
    with serve_process(data) as server:
        assert pusher.push(server.url, 0)
        tracing = subprocess.Popen(
            (*injected(call, fault, tmp_path / "calls"), "-p", str(server.process.pid)), stderr=subprocess.DEVNULL
        )
        while _tracer(server.process.pid) == 0:
            pass
        content = b"never confirmed"
        with urllib3.PoolManager(retries=False, timeout=20) as http:
            url = f"{server.url}/v2/a/blobs"
            answer = http.request("POST", f"{url}/uploads/?digest={digest_of(content)}", body=content)
            if status:
                assert answer.status == status
            for number in range(1, 5):
                pusher.push(server.url, number)
            tracing.terminate()
            tracing.wait(30)
            pusher.verify(server.url)
            assert pusher.push(server.url, 77)
    survives(data, pusher)


def kill_at_random(data: Path, kills: int, seed: int) -> Pusher:
    """Kill a server under load again and again; verify after each start."""
    pusher, chance = Pusher(), random.Random(seed)
    number = 0
    for _ in range(kills):
        server = ServeProcess(data, prefix=(), listen="127.0.0.1:0")
        killer = threading.Timer(chance.uniform(0.001, 0.12), os.killpg, (server.process.pid, signal.SIGKILL))
        killer.start()
        while server.process.poll() is None:
            pusher.push(server.url, number)
            number += 1
        killer.join()
        server.stop(signal.SIGKILL)
    return pusher


def test_what_was_confirmed_survives_kills_under_load(tmp_path):
    pusher = kill_at_random(tmp_path / "data", 8, seed=1)
    survives(tmp_path / "data", pusher)


@pytest.mark.long
def test_what_was_confirmed_survives_a_thousand_kills_under_load(tmp_path):
    started = time.monotonic()
    pusher = kill_at_random(tmp_path / "data", 1000, seed=2)
    survives(tmp_path / "data", pusher)
    print(f"1000 kills, {pusher.attempts} pushes, {time.monotonic() - started:.0f} s, nothing confirmed lost")


def test_a_store_that_cannot_be_written_to_is_served(tmp_path):
    data, pusher = tmp_path / "data", Pusher()
    with serve_process(data) as server:
        assert pusher.push(server.url, 1)
    for path in data.rglob("*"):
        os.utime(path, (time.time() - 86400,) * 2)  # so that every lease is due
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    if os.geteuid() or subprocess.run(("mount", "--bind", str(data), str(mounted)), check=False).returncode:
        pytest.skip("only root can mount")
    try:
        subprocess.run(("mount", "-o", "remount,bind,ro", str(mounted)), check=True)
        with serve_process(mounted) as server:
            pusher.verify(server.url)
            assert not Pusher().push(server.url, 2)
            pusher.verify(server.url)
            with urllib3.PoolManager() as http:
                assert http.request("GET", f"{server.url}/readyz").status == 503
    finally:
        subprocess.run(("umount", str(mounted)), check=True)
