"""Transfers that break: what the next try, or the next process, still has to ask for."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from homeport.errors import ContentError, RegistryError, UnreachableError
from homeport.mirror.relay import Relay
from homeport.mirror.spool import Part, Spool
from homeport.mirror.workers import StoppedError
from homeport.oci.manifest import Descriptor
from tests.kit import images
from tests.kit.clients import read_all
from tests.kit.memory import Call
from tests.mirror.conftest import World

NAME = "source.example/app:1"


class Break(World):
    """A world with one image of one large layer, and a spool that outlives runs."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.spool = Spool(folder / "spool", least=1)
        self.content = images.image(images.layer("large", 5_000_000))
        images.put(self.content, self.source, "app", "1")
        self.blob, self.data = max(self.content.blobs, key=lambda one: one[0].size)
        self.fetched = 0
        self.on_read: Callable[[int], None] = lambda _count: None
        self.source.trouble = self._count

    def _count(self, call: Call) -> None:
        if call.verb == "READ blob" and call.what == self.blob.digest:
            self.fetched += 1
            self.on_read(self.fetched)

    def run(self, *, breaks_at: int | None = None) -> str:
        """Mirror the image; `breaks_at` is the read of the large layer at which the run dies. Return what became of it."""
        self.fetched = 0

        def die(count: int) -> None:
            if breaks_at is not None and count > breaks_at:
                raise UnreachableError("gone")

        self.on_read = die
        return self.mirror(NAME, spool=self.spool).images[0].status

    def asked(self, *verbs: str) -> list[str]:
        return [
            call.verb
            for side in (self.source, self.target)
            for call in side.calls
            if call.verb in verbs and self.blob.digest in call.what
        ]

    @property
    def left(self) -> list[str]:
        return sorted(file.name.rpartition(".")[2] for file in self.spool._folder.iterdir())


@pytest.fixture
def world(tmp_path: Path) -> Break:
    return Break(tmp_path)


def test_healthy_transfers_leave_nothing_on_disk(world: Break):
    assert world.run() == "copied"
    assert world.left == []
    assert world.target.blobs["app"][world.blob.digest] == world.data


def test_the_next_process_goes_on_where_the_target_is_and_proves_the_whole(world: Break):
    assert world.run(breaks_at=40) == "failed"
    assert world.left == ["upload"]
    reached = len(world.target.uploads[f"app {world.blob.digest}"])
    assert reached == 40 << 16

    assert world.run() == "copied"

    assert world.fetched == -(-(len(world.data) - reached) // (64 << 10)) + 1
    assert world.asked("GET upload", "POST blob", "PUT blob") == ["GET upload", "PUT blob"]
    assert world.asked("GET blob") == ["GET blob", "GET blob"]  # the rest from the source, the whole from the target
    assert world.target.blobs["app"][world.blob.digest] == world.data
    assert world.left == []


def test_what_cannot_be_proved_is_refused_again_and_again(world: Break):
    """A target that does not check digests has taken parts that do not belong together."""
    assert world.run(breaks_at=40) == "failed"
    world.target.lies[world.blob.digest] = bytes(len(world.data))
    assert world.run() == "failed"
    assert world.run() == "failed"
    assert world.asked("PUT blob") == []
    world.target.lies.clear()
    assert world.run() == "copied"
    assert world.left == []


def test_a_target_that_keeps_no_uploads_gets_it_by_way_of_a_file(world: Break):
    world.target.keeps_uploads = False
    assert world.run(breaks_at=40) == "failed"
    assert world.run(breaks_at=2) == "failed"  # reads of 1 MiB now
    assert world.left == [str(world.blob.size), "upload"]

    assert world.run() == "copied"

    assert world.fetched == 3 + 1  # 3 MiB of 5, and the end
    assert world.asked("GET blob") == ["GET blob"]
    assert world.target.blobs["app"][world.blob.digest] == world.data
    assert world.left == []


def test_a_file_that_is_whole_is_not_fetched_again(world: Break):
    world.target.keeps_uploads = False
    world.run(breaks_at=40)

    def refuse(call: Call) -> None:
        if call.verb == "KEEP blob":
            raise RegistryError("no", status=500)

    world.target.trouble = refuse
    assert world.run() == "failed"
    world.target.trouble = lambda _call: None
    assert world.run() == "copied"
    assert world.fetched == 0


def test_a_file_that_was_damaged_is_fetched_anew_at_once(world: Break):
    world.target.keeps_uploads = False
    world.run(breaks_at=40)
    world.run(breaks_at=2)
    (file,) = world.spool._folder.glob("sha256-*")
    file.write_bytes(bytes(file.stat().st_size))
    assert world.run() == "copied"
    assert world.asked("GET blob") == ["GET blob", "GET blob"]
    assert world.target.blobs["app"][world.blob.digest] == world.data


def test_a_target_that_loses_what_it_got_costs_one_more_fetch(world: Break):
    """It goes by way of a file then, so that any number of further losses costs none."""
    lost = iter([True])

    def lose(call: Call) -> None:
        if call.verb == "KEEP blob" and call.what == world.blob.digest and next(lost, False):
            raise UnreachableError("cut")

    world.target.trouble = lose
    assert world.run() == "copied"
    assert world.asked("GET blob") == ["GET blob", "GET blob"]
    assert world.left == []


def relay_of(world: Break, blob: Descriptor, check: Callable[[], None] = lambda: None) -> Relay:
    return Relay(world.source, "app", blob, world.spool, check)


def test_any_number_of_returns_to_the_start_costs_one_more_fetch(world: Break):
    with relay_of(world, world.blob) as relay:
        relay.open(0, is_weak=False)
        for _ in range(4):
            assert read_all(relay) == world.data
            relay.seek(0)
    assert world.source.count("GET blob") == 2


def test_a_small_blob_goes_on_anywhere_without_another_fetch(world: Break):
    blob, data = min(world.content.blobs, key=lambda one: one[0].size)
    with relay_of(world, blob) as relay:
        relay.open(0, is_weak=False)
        for offset in (0, 40, 7):
            relay.seek(offset)
            assert read_all(relay) == data[offset:]
    assert world.source.count("GET blob") == 1


def test_a_file_that_is_damaged_while_it_is_sent_is_removed(world: Break):
    with relay_of(world, world.blob) as relay:
        relay.open(0, is_weak=True)
        (file,) = world.spool._folder.iterdir()
        file.write_bytes(bytes(len(world.data)))
        with pytest.raises(ContentError):
            read_all(relay)
    assert world.left == []


def test_a_stop_ends_the_way_into_a_file(world: Break):
    def stop() -> None:
        raise StoppedError

    with relay_of(world, world.blob, stop) as relay, pytest.raises(StoppedError):
        relay.open(0, is_weak=True)
    assert world.fetched == 1


def test_small_blobs_are_fetched_once_whatever_the_target_loses(world: Break):
    small = images.image(images.layer("small", 1000), label="small")
    images.put(small, world.source, "small", "1")
    lost = iter([True] * 2)

    def lose(call: Call) -> None:
        if call.verb == "KEEP blob" and next(lost, False):
            raise UnreachableError("cut")

    world.target.trouble = lose
    assert not world.mirror("source.example/small:1", spool=world.spool).failed
    assert world.source.count("GET blob") == len(small.all_blobs)


@pytest.mark.parametrize("where", ["first", "later"])
def test_a_full_disk_does_not_fail_the_copy(world: Break, where: str, monkeypatch: pytest.MonkeyPatch):
    world.target.keeps_uploads = False
    world.run(breaks_at=40)
    append, count = Part.append, iter(range(9))

    def full(part: Part, content: memoryview) -> None:
        if where == "first" or next(count) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        append(part, content)

    monkeypatch.setattr(Part, "append", full)
    assert world.run() == "copied"
    assert world.target.blobs["app"][world.blob.digest] == world.data
    assert world.left == []


def test_two_runs_at_once_do_not_share_a_file(world: Break):
    world.target.keeps_uploads = False
    world.run(breaks_at=40)
    world.run(breaks_at=2)
    with world.spool.trace("target.example", "app", world.blob):
        part = world.spool.part(world.blob)
        assert part
        assert world.run() == "copied"
        assert world.asked("GET upload") == []
        part.close()
    assert world.spool.has_part(world.blob)


def test_files_of_this_machine_are_not_copied_to_it(world: Break, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(type(world.source), "is_local", True)
    world.target.keeps_uploads = False
    world.run(breaks_at=40)
    world.run(breaks_at=40)
    assert world.left == ["upload"]
    world.target.keeps_uploads = True
    assert world.run() == "copied"
    assert world.asked("GET blob") == ["GET blob"]  # what the target has is hashed here, so it needs no proof


def test_bytes_that_went_before_are_neither_counted_nor_expected(world: Break):
    world.run(breaks_at=40)
    world.on_read = lambda _count: None
    result = world.mirror(NAME, spool=world.spool)
    assert result.traffic.bytes == len(world.data) - (40 << 16)
