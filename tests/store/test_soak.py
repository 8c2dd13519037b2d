"""Many processes change one store while a collector runs all the time; a model knows what must be there.

Once they change it themselves, once they ask two worker processes over HTTP, which are killed now and then.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from homeport.store.check import check_store
from homeport.store.collection import Policy, collect
from homeport.store.filesystem import FileSystemStore
from tests.kit.servers import serve_process
from tests.kit.soak import LEASE, Client

POLICY = Policy(grace=2 * LEASE, lease=LEASE, untagged=("**",))
HASTY = (sys.executable, "-m", "tests.kit.hasty_server")


def soak(
    directory: Path,
    clients: int,
    events: int,
    *,
    place: str = "",
    also: Callable[[], None] = lambda: None,
    settle: bool = True,
) -> tuple[int, int, int]:
    """Return events, collections and removed blobs; fail on any broken promise.

    `also` is done again and again; `settle` waits for what is unused to be removed.
    """
    store = FileSystemStore(directory, lease_seconds=LEASE)
    command = (sys.executable, "-m", "tests.kit.soak", place or str(directory))
    running = [
        subprocess.Popen((*command, str(number), str(events)), stdout=subprocess.PIPE, text=True)
        for number in range(clients)
    ]
    collections = removed = 0
    while any(process.poll() is None for process in running):
        removed += collect(store.layout, POLICY).blobs
        collections += 1
        also()
    results = []
    for process in running:
        output, _ = process.communicate()
        assert process.returncode == 0
        results.append(json.loads(output))
    for result in results:
        assert result["broken"] == []
    assert list(check_store(store.layout)) == []
    if settle:
        _only_what_is_named_stays(store, results)
    return sum(result["events"] for result in results), collections, removed


def _only_what_is_named_stays(store: FileSystemStore, results: list[dict]) -> None:
    for _ in range(3):  # manifests, what they named, and the content of that
        time.sleep(2 * LEASE + 0.2)  # a lease is time itself
        removed = collect(store.layout, POLICY)
    assert (removed.manifests, removed.holds, removed.blobs) == ([], 0, 0)
    reader = Client(store, 0)
    for name, digest in [item for result in results for item in result["tags"].items()]:
        reader.verify(name, digest)
    assert reader.broken == []
    tagged = {digest for result in results for digest in result["tags"].values()}
    kept = {path.name.replace("-", ":", 1) for path in store.layout.repositories.glob("soak/**/_manifests/*")}
    assert kept == tagged if not any(result["unanswered"] for result in results) else kept >= tagged


class Killer:
    """Kills a worker of a server, at most so many, every few seconds."""

    def __init__(self, parent: int, most: int, seconds: float) -> None:
        self.kills = 0
        self._parent, self._most, self._seconds = parent, most, seconds
        self._next = time.monotonic() + seconds

    def __call__(self) -> None:
        if self.kills < self._most and time.monotonic() > self._next:
            children = Path(f"/proc/{self._parent}/task/{self._parent}/children").read_text().split()
            with suppress(ProcessLookupError):
                os.kill(int(random.choice(children)), signal.SIGKILL)
                self.kills += 1
            self._next = time.monotonic() + self._seconds


def soak_over_http(
    directory: Path, clients: int, events: int, *, kills: int, every: float, settle: bool
) -> tuple[int, int, int, int]:
    """Return events, collections, removed blobs and killed workers."""
    with serve_process(directory, "--workers", "2", program=HASTY) as server:
        killer = Killer(server.process.pid, kills, every)
        done = soak(directory, clients, events, place=server.url, also=killer, settle=settle)
    assert not [line for line in server.lines if "Traceback" in line]
    return *done, killer.kills


def test_nothing_promised_is_lost_while_garbage_is_collected(tmp_path):
    events, collections, _ = soak(tmp_path / "data", clients=2, events=150)
    assert events == 300
    assert collections


@pytest.mark.skipif(sys.platform != "linux", reason="it looks for its workers in /proc")
def test_nothing_promised_over_http_is_lost_while_garbage_is_collected(tmp_path):
    events, *_ = soak_over_http(tmp_path / "data", clients=2, events=100, kills=1, every=0.5, settle=False)
    assert events == 200


@pytest.mark.long
def test_nothing_promised_is_lost_in_a_hundred_thousand_events():
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as directory:
        events, collections, removed = soak(Path(directory) / "data", clients=4, events=25_000)
    print(f"{events} events, {collections} collections, {removed} blobs removed, nothing lost")
    assert events >= 100_000
    assert removed


@pytest.mark.long
def test_nothing_promised_over_http_is_lost_in_a_hundred_thousand_events():
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as directory:
        done = soak_over_http(Path(directory) / "data", clients=4, events=25_000, kills=80, every=3, settle=True)
    events, collections, removed, kills = done
    seconds = time.monotonic() - started
    print(
        f"{events} events, {collections} collections, {removed} blobs removed, {kills} workers killed,"
        f" {seconds:.0f} s, nothing lost"
    )
    assert events >= 100_000
    assert removed
    assert kills
