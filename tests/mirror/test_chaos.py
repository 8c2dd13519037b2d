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
from homeport.mirror import ImageResult, MirrorResult, Observer, mirror
from homeport.mirror.spool import Spool
from homeport.reference import Reference
from homeport.registry.retry import LONGEST_WAIT, Wait
from tests.kit import images
from tests.kit.clients import open_registries, read_all
from tests.kit.rough_line import Fate, rough_line
from tests.kit.servers import HOMEPORT, RunningRegistry, running_registry
from tests.kit.tally import Asked, Tally
from tests.kit.weather import Cdn, Weather

LARGE = images.layer("large", 10_000_000)
FROM_SOURCE = {
    "refuse": 23,
    "throttle": 13,
    "expire": 8,
    "cut": 5,
    "corrupt": 17,
    "short": 19,
    "lie": 31,
    "redirect": 3,
    "outdate": 2,
    "stall": 11,
    "move": 9,
}
TO_TARGET = {"refuse": 17, "throttle": 19, "expire": 8, "stall": 13}


class Storm:
    """Two registries with trouble on the way to both, and images of many parts, one of them large."""

    def __init__(self, stack: ExitStack, home: Path) -> None:
        self.home = home
        self.cdn = Cdn()
        self.at_source, self.at_target = Tally(), Tally()
        self.from_source, self.to_target = Weather({}, cdn=self.cdn, wants_token=True), Weather({}, wants_token=True)
        self.source: RunningRegistry = stack.enter_context(
            running_registry(app_wrapper=lambda app: self.from_source.wrap(self.at_source.wrap(app)))
        )
        self.target: RunningRegistry = stack.enter_context(
            running_registry(app_wrapper=lambda app: self.to_target.wrap(self.at_target.wrap(app)))
        )
        cdn = stack.enter_context(running_registry(store=self.source.store, app_wrapper=self.cdn.wrap))
        self.cdn.url = cdn.url
        self.lines = [stack.enter_context(rough_line(side.host)) for side in (self.source, self.target)]
        self.contents: dict[str, images.Content] = {}
        self.generation = 0
        self.publish()

    def publish(self) -> None:
        """Give the source new images; the large layer is that of earlier ones, in repositories that do not have it yet."""
        self.generation += 1
        names = [f"app{self.generation}-{number}" for number in range(3)]
        self.contents = {f"{name}:1": images.multi_arch(name, size=100_000) for name in names}
        self.contents[f"large{self.generation}:1"] = images.image(LARGE, label=str(self.generation))
        for name, content in self.contents.items():
            self.push(content, name)
        self.forget()

    def push(self, content: images.Content, name: str) -> None:
        repository, _, tag = name.partition(":")
        with open_registries() as registries:
            images.put(content, registries.client(self.source.host), repository, tag)

    def forget(self) -> None:
        self.at_source.requests.clear()
        self.at_target.requests.clear()

    @property
    def names(self) -> list[str]:
        return [f"{self.lines[0].host}/{name}" for name in self.contents]

    def clear_up(self) -> None:
        self.from_source.clear()
        self.to_target.clear()
        for line in self.lines:
            line.mend()

    def run_until_killed(self, command: list[str], seed: random.Random) -> bool:
        """Run a command and kill it, at one of its requests or in the middle of its content; False where it ended before."""
        begun = threading.Event()
        left = [seed.randrange(1, 60)]

        def reached(_: Asked) -> bool:
            left[0] -= 1
            if left[0] == 0:
                begun.set()
            return left[0] == 0

        number = seed.randrange(2)
        side, line = (self.at_source, self.at_target)[number], self.lines[number]
        if seed.randrange(2):
            side.hold, side.held, side.go = reached, threading.Event(), threading.Event()
        else:
            most = seed.randrange(1, len(LARGE))
            begun = line.silent = threading.Event()
            line.fate = lambda _number: Fate(up=most, down=most, falls_silent=True)
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home)}
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as process:
            while process.poll() is None and not begun.wait(0.02):
                pass
            process.kill()
            assert process.stderr
            said = process.stderr.read()
        side.hold = lambda _asked: False
        side.go.set()
        line.mend()
        line.speak()
        self.hear_the_dead_out()
        assert begun.is_set() or process.returncode == 0, said
        return begun.is_set()

    def hear_the_dead_out(self) -> None:
        """Let both sides take what a killed run had sent: it is not to count for the next one."""
        for line in self.lines:
            line.hang_up()
        for host in (self.source.host, self.target.host):
            for _ in range(2):  # an event loop that answers twice has looked at all that was there before
                with open_registries() as registries:
                    registries.client(host).ping()

    def run(self, *command: str) -> None:
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home)}
        done = subprocess.run([*HOMEPORT, *command], env=environment, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    def pulled(self) -> set[str]:
        """Digests of the manifests that the last run fetched: none twice."""
        pulls = [asked.path.rpartition("/")[2] for asked in self.at_source.requests if asked.kind == "GET manifests"]
        assert len(pulls) == len(set(pulls))
        return set(pulls)

    def arrived(self) -> set[str]:
        """Digests of the manifests that came so far; others were on their way when a run was killed."""
        kept = self.home / ".cache/homeport/manifests"
        return {file.name.replace("-", ":") for file in kept.glob("sha256-*")}

    def assert_whole(self) -> None:
        with open_registries() as registries:
            there = registries.client(self.target.host)
            for name, content in self.contents.items():
                repository, _, tag = name.partition(":")
                assert there.get_manifest(repository, tag) == content.manifest
                for part in content.walk():
                    assert there.get_manifest(repository, part.digest) == part.manifest
                    for blob, data in part.blobs:
                        with there.open_blob(repository, blob) as reader:
                            assert read_all(reader) == data


@pytest.fixture
def storm(tmp_path: Path) -> Iterator[Storm]:
    with ExitStack() as stack:
        yield Storm(stack, tmp_path)


@pytest.mark.parametrize("kills", [6, pytest.param(200, marks=pytest.mark.long)])
def test_killed_at_random_it_gets_there_and_pays_for_nothing_twice(storm: Storm, kills: int):
    """What is fetched again had not arrived: at most one more pull for each that was on its way at a kill."""
    seed = random.Random(20261123)
    storm.from_source.every = {"redirect": 3}
    command = ["mirror", "--to", storm.lines[1].host]
    killed = 0
    while killed < kills:
        arrived = storm.arrived()
        storm.forget()
        if storm.run_until_killed([*HOMEPORT, *command, *storm.names], seed):
            killed += 1
        else:
            storm.assert_whole()
        assert not arrived & storm.pulled(), "a manifest that had arrived was fetched again"
        if storm.arrived() >= {part.digest for content in storm.contents.values() for part in content.walk()}:
            storm.run(*command, *storm.names)
            storm.assert_whole()
            storm.publish()
    storm.run(*command, *storm.names)
    storm.assert_whole()
    assert not list((storm.home / ".cache/homeport/spool").iterdir())
    assert storm.cdn.with_credentials == 0


@pytest.mark.parametrize("kills", [4, pytest.param(60, marks=pytest.mark.long)])
def test_a_bundle_that_is_killed_at_random_becomes_the_same_bundle(storm: Storm, kills: int):
    seed = random.Random(20261124)
    file, other = storm.home / "b.tar", storm.home / "other.tar"
    for _ in range(kills):
        killed = storm.run_until_killed([*HOMEPORT, "bundle", "save", "-o", str(file), *storm.names], seed)
        assert not (killed and file.exists())
        if not killed:
            file.unlink(missing_ok=True)
    for path in (file, other):
        storm.run("bundle", "save", "-o", str(path), *storm.names)
    assert file.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("rounds", [1, pytest.param(40, marks=pytest.mark.long)])
def test_in_any_weather_the_same_bytes_arrive(storm: Storm, rounds: int):
    waits: list[Wait] = []
    for number in range(rounds):
        moved = [images.multi_arch(f"moved {number} {one}") for one in range(2)]
        for content in moved:
            storm.push(content, f"moving{number}:1")
        storm.from_source.move = _mover(storm, f"moving{number}", moved)
        storm.contents[f"moving{number}:1"] = moved[1]
        storm.from_source.every, storm.to_target.every = dict(FROM_SOURCE), dict(TO_TARGET)
        for line, step in zip(storm.lines, (3, 2), strict=True):
            line.fate = lambda count, step=step: (  # type: ignore[misc]
                Fate(up=700_000 * (count % 5 + 1), down=900_000 * (count % 4 + 1)) if count % step else Fate()
            )
        for _ in range(30):
            result = bring(storm, waits)
            if not result.failed:
                break
        else:
            pytest.fail(f"round {number}: {result.failed[0].error}")
        storm.clear_up()
        (moving,) = (image for image in result.images if "moving" in str(image.wanted.target))
        storm.contents[f"moving{number}:1"] = next(content for content in moved if content.digest == moving.digest)
        storm.assert_whole()
        storm.publish()
    assert {trouble for trouble in FROM_SOURCE if not storm.from_source.met[trouble]} == set()
    assert {trouble for trouble in TO_TARGET if not storm.to_target.met[trouble]} == set()
    throttled = [wait.seconds for wait in waits if "too many requests" in wait.reason]
    assert throttled
    assert max(throttled) <= 2 < LONGEST_WAIT
    assert storm.cdn.with_credentials == 0
    assert not list((storm.home / "spool").iterdir())


def test_a_line_that_falls_silent_holds_up_what_is_on_it_alone(storm: Storm):
    """The others end while it is silent; it goes on once it is broken."""
    large, *_ = (name for name in storm.contents if name.startswith("large"))
    finished = Finished()
    storm.lines[0].fate = lambda _number: Fate(down=5_000_000, falls_silent=True)
    results: list[MirrorResult] = []
    thread = threading.Thread(target=lambda: results.append(bring(storm, [], finished)))
    thread.start()
    assert storm.lines[0].silent.wait(60)
    assert finished.of_others(len(storm.contents) - 1).wait(60)
    assert not any(large in name for name in finished.names)
    storm.lines[0].mend()
    storm.lines[0].speak()
    thread.join(60)
    assert not results[0].failed
    storm.assert_whole()


class Finished(Observer):
    """Knows which images are done."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._wanted = 0
        self._event = threading.Event()
        self._lock = threading.Lock()

    def of_others(self, count: int) -> threading.Event:
        with self._lock:
            self._wanted = count
            if len(self.names) >= count:
                self._event.set()
        return self._event

    def image_finished(self, result: ImageResult) -> None:
        with self._lock:
            self.names.append(str(result.wanted.source))
            if self._wanted and len(self.names) >= self._wanted:
                self._event.set()


def bring(storm: Storm, waits: list[Wait], observer: Observer | None = None) -> MirrorResult:
    with open_registries(waits=waits) as registries:
        return mirror(
            map(Reference.parse, storm.names),
            Mapping(Target.parse(storm.lines[1].host)),
            registries.client,
            registries.client(storm.lines[1].host),
            referrers=True,
            observer=observer,
            spool=Spool(storm.home / "spool", least=1 << 20),
        )


def _mover(storm: Storm, repository: str, contents: list[images.Content]):
    turns = iter(range(1_000_000))

    def move() -> None:
        storm.source.store.put_manifest(repository, contents[next(turns) % 2].manifest, tags=["1"])

    return move
