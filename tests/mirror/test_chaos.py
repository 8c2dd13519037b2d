"""Whatever breaks, and whenever a run is killed: the next one goes on, and in the end every byte is there."""

import os
import random
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from homeport.mapping import Mapping, Target
from homeport.mirror import mirror
from homeport.reference import Reference
from tests.kit import images
from tests.kit.clients import open_registries
from tests.kit.servers import HOMEPORT, RunningRegistry, running_registry
from tests.kit.tally import Asked, Refusal, Tally


class Storm:
    """Two registries with trouble on the way to both, and images of many parts."""

    def __init__(self, stack: ExitStack, home: Path) -> None:
        self.home = home
        self.from_source, self.to_target = Tally(), Tally()
        self.source: RunningRegistry = stack.enter_context(running_registry(app_wrapper=self.from_source.wrap))
        self.target: RunningRegistry = stack.enter_context(running_registry(app_wrapper=self.to_target.wrap))
        self.contents = {f"app{n}:1": images.multi_arch(f"app{n}", size=100_000) for n in range(4)}
        for name, content in self.contents.items():
            repository, _, tag = name.partition(":")
            with open_registries() as registries:
                images.put(content, registries.client(self.source.host), repository, tag)
        self.forget()

    def forget(self) -> None:
        self.from_source.requests.clear()
        self.to_target.requests.clear()

    @property
    def names(self) -> list[str]:
        return [f"{self.source.host}/{name}" for name in self.contents]

    def run_until_killed(self, command: list[str], seed: random.Random) -> bool:
        """Run a command and kill it at one of its requests; False where it ended before."""
        begun = threading.Event()
        left = [seed.randrange(1, 90)]

        def reached(_: Asked) -> bool:
            left[0] -= 1
            if left[0] == 0:
                begun.set()
            return left[0] == 0

        side = seed.choice((self.from_source, self.to_target))
        side.hold, side.held, side.go = reached, threading.Event(), threading.Event()
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home)}
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            while process.poll() is None and not begun.wait(0.02):
                pass
            process.kill()
        side.hold = lambda _asked: False
        side.go.set()
        return begun.is_set()

    def pulled(self) -> set[str]:
        """Digests of the manifests that the last run fetched: none twice."""
        pulls = [asked.path.rpartition("/")[2] for asked in self.from_source.requests if asked.kind == "GET manifests"]
        assert len(pulls) == len(set(pulls))
        return set(pulls)

    def arrived(self) -> set[str]:
        """Digests of the manifests that came so far; others were on their way when a run was killed."""
        kept = self.home / ".cache/homeport/manifests"
        return {file.name.replace("-", ":") for file in kept.glob("sha256-*")}

    def assert_whole(self) -> None:
        with open_registries() as registries:
            here, there = registries.client(self.source.host), registries.client(self.target.host)
            for name, content in self.contents.items():
                repository, _, tag = name.partition(":")
                assert there.get_manifest(repository, tag) == content.manifest == here.get_manifest(repository, tag)
                for part in content.walk():
                    assert there.get_manifest(repository, part.digest) == part.manifest
                    assert all(there.has_blob(repository, blob.digest) for blob, _ in part.blobs)


@pytest.fixture
def storm(tmp_path: Path) -> Iterator[Storm]:
    with ExitStack() as stack:
        yield Storm(stack, tmp_path)


@pytest.mark.parametrize("kills", [6, pytest.param(200, marks=pytest.mark.long)])
def test_killed_at_random_it_gets_there_and_pays_for_nothing_twice(storm: Storm, kills: int):
    seed = random.Random(20261123)
    for _ in range(kills):
        arrived = storm.arrived()
        storm.forget()
        storm.run_until_killed([*HOMEPORT, "mirror", "--to", storm.target.host, *storm.names], seed)
        assert not arrived & storm.pulled(), "a manifest that had arrived was fetched again"
    storm.forget()
    environment = {"PATH": os.environ["PATH"], "HOME": str(storm.home)}
    subprocess.run(
        [*HOMEPORT, "mirror", "--to", storm.target.host, *storm.names], env=environment, check=True, capture_output=True
    )
    storm.assert_whole()
    assert storm.arrived() == {part.digest for content in storm.contents.values() for part in content.walk()}


@pytest.mark.parametrize("kills", [4, pytest.param(60, marks=pytest.mark.long)])
def test_a_bundle_that_is_killed_at_random_becomes_the_same_bundle(storm: Storm, kills: int):
    seed = random.Random(20261124)
    file, other = storm.home / "b.tar", storm.home / "other.tar"
    for _ in range(kills):
        killed = storm.run_until_killed([*HOMEPORT, "bundle", "save", "-o", str(file), *storm.names], seed)
        assert not (killed and file.exists())
        if not killed:
            file.unlink(missing_ok=True)
    environment = {"PATH": os.environ["PATH"], "HOME": str(storm.home)}
    for path in (file, other):
        command = [*HOMEPORT, "bundle", "save", "-o", str(path), *storm.names]
        subprocess.run(command, env=environment, check=True, capture_output=True)
    assert file.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("rounds", [3, pytest.param(60, marks=pytest.mark.long)])
def test_refusing_lying_and_cutting_registries_end_in_the_same_bytes(storm: Storm, rounds: int):
    for number in range(rounds):
        seed, lock = random.Random(number), threading.Lock()

        def chance(percent: int, seed: random.Random = seed, lock: threading.Lock = lock) -> bool:
            with lock:
                return seed.randrange(100) < percent

        for side in (storm.from_source, storm.to_target):
            side.refuse = lambda asked: (
                Refusal(503, "UNAVAILABLE", "for now") if asked.path != "/v2/" and chance(3) else None
            )
            side.cut = lambda asked: asked.method == "GET" and asked.path != "/v2/" and chance(4)
        storm.from_source.corrupt = lambda asked: asked.kind in ("GET blobs", "GET manifests") and chance(3)
        for _ in range(20):
            with open_registries() as registries:
                result = mirror(
                    map(Reference.parse, storm.names),
                    Mapping(Target.parse(storm.target.host)),
                    registries.client,
                    registries.client(storm.target.host),
                    referrers=True,
                )
            if not result.failed:
                break
        else:
            pytest.fail(f"round {number}: {result.failed[0].error}")
        for side in (storm.from_source, storm.to_target):
            side.refuse, side.cut, side.corrupt = lambda _: None, lambda _: False, lambda _: False
        storm.assert_whole()
