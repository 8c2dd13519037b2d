"""A process that is killed in the middle of a large blob, and the one after it."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest

from tests.kit import images
from tests.kit.clients import open_registries, read_all
from tests.kit.rough_line import Fate, RoughLine, rough_line
from tests.kit.servers import HOMEPORT, running_registry
from tests.kit.tally import Tally

SIZE = 24_000_000


class Scene:
    """An image with a large layer, and rough lines to both registries."""

    def __init__(self, stack: ExitStack, home: Path) -> None:
        self.home = home
        self.from_source = Tally()
        source = stack.enter_context(running_registry(app_wrapper=self.from_source.wrap))
        target = stack.enter_context(running_registry())
        self.source, self.target = (stack.enter_context(rough_line(side.host)) for side in (source, target))
        self.content = images.image(images.layer("large", SIZE))
        self.blob, self.data = max(self.content.blobs, key=lambda one: one[0].size)
        with open_registries() as registries:
            images.put(self.content, registries.client(source.host), "app", "1")
        self.from_source.requests.clear()

    def command(self) -> subprocess.Popen[bytes]:
        """Start a mirror."""
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home)}
        name = f"{self.source.host}/app:1"
        arguments = (*HOMEPORT, "mirror", "--to", self.target.host, "-o", "json", "--no-referrers", name)
        return subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def kill_at(self, line: RoughLine, fate: Fate) -> None:
        """Start a mirror and kill it as soon as one connection of a line has carried so much."""
        line.silent.clear()
        line.fate = lambda _number: fate
        with self.command() as process:
            assert line.silent.wait(60)
            process.kill()
        line.mend()

    def finish(self) -> dict[str, int]:
        """Run a mirror to its end; return its report."""
        self.from_source.requests.clear()
        with self.command() as process:
            stdout, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr
        with open_registries() as registries:
            target = registries.client(self.target.host)
            assert target.get_manifest("app", "1") == self.content.manifest
            with target.open_blob("app", self.blob) as reader:
                assert read_all(reader) == self.data
        return json.loads(stdout)

    def ranges(self) -> list[str]:
        """What of the layer the last run asked the source for."""
        wanted = [asked for asked in self.from_source.requests if asked.path.endswith(self.blob.digest)]
        return [asked.range for asked in wanted if asked.method == "GET"]

    @property
    def left(self) -> set[str]:
        return {file.suffix for file in (self.home / ".cache/homeport/spool").iterdir()}


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with ExitStack() as stack:
        yield Scene(stack, tmp_path)


def test_the_next_process_sends_and_fetches_the_rest_alone(scene: Scene):
    scene.kill_at(scene.target, Fate(up=10_000_000, falls_silent=True))
    assert scene.left == {".upload"}
    report = scene.finish()
    (asked,) = scene.ranges()
    start = int(asked.removeprefix("bytes=").removesuffix("-"))
    assert 5_000_000 < start < 10_000_000
    config = min(blob.size for blob, _ in scene.content.blobs)
    assert report["bytes"] - (scene.blob.size - start) in {0, config}  # it may have been on its way, too
    assert scene.left == set()


def test_killed_again_and_again_it_never_goes_back(scene: Scene):
    starts = []
    for _ in range(3):
        scene.kill_at(scene.target, Fate(up=6_000_000, falls_silent=True))
        starts.append(int(scene.ranges()[-1].removeprefix("bytes=").removesuffix("-") or 0))
    scene.finish()
    starts.append(int(scene.ranges()[-1].removeprefix("bytes=").removesuffix("-")))
    assert all(later - earlier > 2_000_000 for earlier, later in pairwise(starts))


def test_a_source_that_falls_silent_costs_the_target_nothing_that_came(scene: Scene):
    scene.source.fate = lambda _number: Fate(down=10_000_000, falls_silent=True)
    scene.kill_at(scene.target, Fate(up=6_000_000, falls_silent=True))
    scene.source.mend()
    report = scene.finish()
    assert report["bytes"] < scene.blob.size - 2_000_000
