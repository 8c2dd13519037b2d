"""Every change that a registry makes to its disk fails once, or from some time on: see docs/durability.md."""

import asyncio
import errno
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from homeport.store.check import check_store
from homeport.store.filesystem import FileSystemStore
from tests.kit import promises
from tests.kit.disk import ROOMY, Answered, Disk
from tests.kit.power_cut import Cut, write_tree

Fails = Callable[[int, str], bool]


def told(data: Path, code: int, fails: Fails) -> tuple[Disk, promises.Story]:
    """Tell the story to a new registry whose disk fails, until it ends; then once more without a fault."""
    data.mkdir()
    disk = Disk(data)

    async def tell() -> promises.Story:
        store = FileSystemStore(data)
        disk.fail(code, fails)
        story = promises.Story(store, lambda: disk.events.append(Answered()))
        await promises.tell(story)
        return story

    with disk.watched():
        return disk, asyncio.run(tell())


def calls_of(folder: Path) -> list[str]:
    """Return the calls of the story, each of which can fail."""
    disk, story = told(folder / "whole", errno.EIO, lambda _number, _call: False)
    assert story.refused == []
    return list(disk.calls)


def holds(data: Path, story: promises.Story) -> None:
    """Everything promised is there, nothing half done is seen, and the same pushes succeed now."""
    store = FileSystemStore(data)
    assert promises.broken(store, story.promised) == []
    assert list(check_store(store.layout)) == []
    again = promises.Story(store)
    asyncio.run(promises.tell(again))
    assert again.refused == []
    assert promises.broken(store, again.promised) == []


def once(number: int, calls: list[str]) -> Fails:
    wanted = calls[number]

    def fails(at: int, call: str) -> bool:
        if at == number:
            assert call == wanted, "the story is told another way"
        return at == number

    return fails


@pytest.mark.parametrize(("code", "status"), [(errno.ENOSPC, 507), (errno.EIO, 500)])
def test_each_call_fails_once(folder, code, status):
    calls = calls_of(folder)
    for number, call in enumerate(calls):
        data = folder / f"{number}"
        _, story = told(data, code, once(number, calls))
        assert {status for status, _ in story.refused} <= {status, 400, 404, 416}, (number, call, story.refused)
        holds(data, story)
        kept = ("staging", "uploads") if code == errno.ENOSPC else ("staging",)
        left = [path for name in kept for path in (data / name).iterdir() if path.stat().st_size]
        assert left == [] or call == "unlink"


def test_a_disk_that_fills_up_at_any_call(folder):
    calls = calls_of(folder)
    for number in range(len(calls)):
        if calls[number] not in ROOMY:
            continue
        data = folder / f"{number}"
        _, story = told(data, errno.ENOSPC, lambda at, call, number=number: at >= number and call in ROOMY)
        assert 507 in {status for status, _ in story.refused}
        holds(data, story)


def test_a_sync_that_failed_is_believed_by_nobody(folder):
    """The kernel forgets what it could not write: a second sync succeeds, and the bytes are gone with the power."""
    calls = calls_of(folder)
    for number in [number for number, call in enumerate(calls) if call == "fsync"]:
        data = folder / f"{number}"
        disk, story = told(data, errno.EIO, once(number, calls))
        answers = [place for place, event in enumerate(disk.events) if isinstance(event, Answered)]
        soon = [place for place in answers if place >= disk.failed][:3]
        for place in {*soon, answers[-1]}:
            nothing_more = next(Cut(disk, place + 1).trees(random.Random(number), samples=0))
            write_tree(nothing_more, folder / f"{number}-{place}")
            store = FileSystemStore(folder / f"{number}-{place}")
            assert promises.broken(store, story.allowed(answers.index(place) + 1)) == [], (number, place)
