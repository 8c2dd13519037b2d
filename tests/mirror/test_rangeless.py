"""A source that gives a blob from its start alone, and a line that breaks: it is read twice at most."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from homeport.mapping import Mapping, Target
from homeport.mirror import mirror
from homeport.mirror.blobs import Place
from homeport.mirror.relay import Relay
from homeport.mirror.spool import Part, Spool
from homeport.reference import Reference
from homeport.registry.settings import Settings
from tests.kit import images
from tests.kit.clients import open_registries, read_all
from tests.kit.rough_line import Fate, RoughLine, rough_line
from tests.kit.servers import running_registry
from tests.kit.tally import Tally

MOST_CUTS = 30


class Rangeless:
    """A source without ranges with one image of a large layer, and a target behind a line."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.stack = stack
        self.tally = Tally()
        self.tally.has_ranges = False
        self.source = stack.enter_context(running_registry(app_wrapper=self.tally.wrap))
        self.target = stack.enter_context(running_registry())
        self.line: RoughLine = stack.enter_context(rough_line(self.target.host))
        self.registries = stack.enter_context(open_registries())
        self.spool = Spool(folder / "spool", least=1)
        self.content = images.image(images.layer("large", 9_000_000))
        self.blob, self.data = max(self.content.blobs, key=lambda one: one[0].size)
        images.put(self.content, self.registries.client(self.source.host), "app", "1")
        self.tally.requests.clear()

    def mirror(self, spool: Spool | None) -> str:
        client = self.registries.client
        (image,) = mirror(
            [Reference.parse(f"{self.source.host}/app:1")],
            Mapping(Target.parse(self.line.host)),
            client,
            client(self.line.host),
            spool=spool,
        ).images
        return image.error or image.status

    @property
    def reads(self) -> int:
        """How often the layer was asked for."""
        return sum(asked.path.endswith(self.blob.digest) for asked in self.tally.requests)

    @property
    def arrived(self) -> bool:
        with self.registries.client(self.target.host).open_blob("app", self.blob) as reader:
            return read_all(reader) == self.data


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Rangeless]:
    with ExitStack() as stack:
        yield Rangeless(stack, tmp_path)


def test_a_target_that_is_cut_again_and_again_has_the_source_read_twice(world: Rangeless):
    world.line.fate = lambda number: Fate(up=3_000_000 if number < MOST_CUTS else None)

    assert world.mirror(world.spool) == "copied"

    assert world.line.connections > 3
    assert world.reads == 2
    assert world.arrived
    assert not [*world.spool._folder.iterdir()]


def test_without_room_for_a_file_it_is_read_as_often_as_need_be(world: Rangeless, tmp_path: Path):
    world.line.fate = lambda number: Fate(up=3_000_000 if number < MOST_CUTS else None)

    assert world.mirror(Spool(tmp_path / "small", most=1_000_000)) == "copied"

    assert world.reads > 2
    assert world.arrived


def test_a_source_that_is_cut_is_read_into_a_file_so_that_the_target_may_be_cut_too(world: Rangeless):
    cuts = iter([True])
    world.tally.cut = lambda asked: asked.path.endswith(world.blob.digest) and next(cuts, False)
    world.line.fate = lambda number: Fate(up=6_000_000 if number < MOST_CUTS else None)

    assert world.mirror(world.spool) == "copied"

    assert world.reads == 2
    assert world.arrived


def test_a_source_that_is_cut_again_while_the_file_is_written_is_gone_on_with(world: Rangeless):
    cuts = iter([True, True])
    world.tally.cut = lambda asked: asked.path.endswith(world.blob.digest) and next(cuts, False)

    assert world.mirror(world.spool) == "copied"

    assert world.arrived


def test_no_second_download_is_held_meanwhile(world: Rangeless):
    """A registry that is given one download at a time would have both wait for each other."""
    settings = msgspec.structs.replace(Settings.of(environment={}), connections=1)
    world.registries = world.stack.enter_context(open_registries(settings=settings))
    cuts = iter([True, True])
    world.tally.cut = lambda asked: asked.path.endswith(world.blob.digest) and next(cuts, False)
    run = threading.Thread(target=world.mirror, args=(world.spool,), daemon=True)

    run.start()
    run.join(60)

    assert not run.is_alive()
    assert world.arrived


def test_what_another_process_has_left_of_it_meanwhile_does_no_harm(world: Rangeless):
    source = world.registries.client(world.source.host)
    with Relay(source, "app", world.blob, world.spool, lambda: None) as relay:
        relay.open(0, is_weak=False)
        relay.readinto(memoryview(bytearray(2000)))
        left = world.spool.part(world.blob)
        assert left
        left.append(memoryview(bytes(1000)))
        left.close()
        relay.seek(1000)
        assert read_all(relay, 1 << 20) == world.data[1000:]
    assert world.reads == 2


def test_a_source_with_ranges_streams_on_without_a_file(world: Rangeless, monkeypatch: pytest.MonkeyPatch):
    world.tally.has_ranges = True
    taken: list[object] = []
    monkeypatch.setattr(Spool, "part", lambda _spool, blob: taken.append(blob))
    world.line.fate = lambda number: Fate(up=4_000_000 if number < 3 else None)

    assert world.mirror(world.spool) == "copied"

    assert taken == []
    assert world.arrived


def test_a_disk_that_fills_meanwhile_does_not_fail_the_copy(world: Rangeless, monkeypatch: pytest.MonkeyPatch):
    append, count = Part.append, iter(range(9))

    def full(part: Part, content: memoryview) -> None:
        if next(count) == 2:
            raise OSError("full")
        append(part, content)

    monkeypatch.setattr(Part, "append", full)
    world.line.fate = lambda number: Fate(up=3_000_000 if number < MOST_CUTS else None)

    assert world.mirror(world.spool) == "copied"

    assert world.arrived


def test_an_upload_of_a_killed_process_goes_on_though_the_source_begins_anew(world: Rangeless):
    """The target has a part that nobody here has seen; what comes from the start is hashed whole."""
    place = Place(
        world.registries.client(world.source.host), "app", "app", Reference.parse(f"{world.source.host}/app:1")
    )
    with Relay(place.source, "app", world.blob, world.spool, lambda: None) as relay:
        relay.open(4_000_000, is_weak=True)
        rest = read_all(relay)

    assert rest == world.data[4_000_000:]
    assert world.reads == 1
