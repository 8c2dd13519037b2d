"""Many processes change one store while a collector runs all the time; a model knows what must be there."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from homeport.store.check import check_store
from homeport.store.collection import Policy, collect
from homeport.store.filesystem import FileSystemStore
from tests.kit.soak import LEASE, Client

POLICY = Policy(grace=2 * LEASE, lease=LEASE, untagged=("**",))


def soak(directory: Path, clients: int, events: int) -> tuple[int, int, int]:
    """Return events, collections and removed blobs; fail on any broken promise."""
    store = FileSystemStore(directory, lease_seconds=LEASE)
    command = (sys.executable, "-m", "tests.kit.soak", str(directory))
    running = [
        subprocess.Popen((*command, str(number), str(events)), stdout=subprocess.PIPE, text=True)
        for number in range(clients)
    ]
    collections = removed = 0
    while any(process.poll() is None for process in running):
        removed += collect(store.layout, POLICY).blobs
        collections += 1
    results = []
    for process in running:
        output, _ = process.communicate()
        assert process.returncode == 0
        results.append(json.loads(output))
    for result in results:
        assert result["broken"] == []
    assert list(check_store(store.layout)) == []
    _only_what_is_named_stays(store, results)
    return sum(result["events"] for result in results), collections, removed


def _only_what_is_named_stays(store: FileSystemStore, results: list[dict]) -> None:
    for _ in range(3):  # manifests, what they named, and the content of that
        time.sleep(2 * LEASE + 0.2)  # a lease is time itself
        removed = collect(store.layout, POLICY)
    assert (removed.manifests, removed.holds, removed.blobs) == ([], 0, 0)
    reader = Client(store.layout.root, 0)
    for name, digest in [item for result in results for item in result["tags"].items()]:
        reader.verify(name, digest)
    assert reader.broken == []
    tagged = {digest for result in results for digest in result["tags"].values()}
    kept = {path.name.replace("-", ":", 1) for path in store.layout.repositories.glob("soak/**/_manifests/*")}
    assert kept == tagged


def test_nothing_promised_is_lost_while_garbage_is_collected(tmp_path):
    events, collections, _ = soak(tmp_path / "data", clients=2, events=150)
    assert events == 300
    assert collections


@pytest.mark.long
def test_nothing_promised_is_lost_in_a_hundred_thousand_events():
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as directory:
        events, collections, removed = soak(Path(directory) / "data", clients=4, events=25_000)
    print(f"{events} events, {collections} collections, {removed} blobs removed, nothing lost")
    assert events >= 100_000
    assert removed
