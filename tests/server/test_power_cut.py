"""The power goes at any moment, with anything landed of what was not synced: see docs/durability.md."""

import asyncio
import random
import shutil
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from homeport.store.check import check_store
from homeport.store.filesystem import FileSystemStore
from tests.kit import promises
from tests.kit.disk import Answered, Disk
from tests.kit.power_cut import Cut, everything, read_tree, write_tree

AGAIN = 8
"""After each of so many cuts the whole story is told again."""


def recorded(data: Path, homes: Sequence[str]) -> tuple[Disk, list[promises.Story]]:
    """Tell the story to a registry, in each of these places at once, and note what it does to its disk."""
    data.mkdir()
    disk = Disk(data)

    async def tell() -> list[promises.Story]:
        store = FileSystemStore(data)
        answers = [partial(disk.events.append, Answered(who)) for who in range(len(homes))]
        stories = [promises.Story(store, answer, home=home) for answer, home in zip(answers, homes, strict=True)]
        await asyncio.gather(*map(promises.tell, stories))
        for _ in range(2):
            await promises.collected(stories)
        return stories

    with disk.watched():
        stories = asyncio.run(tell())
    assert [story.refused for story in stories] == [[]] * len(homes)
    return disk, stories


def cut(folder: Path, homes: Sequence[str], samples: int) -> tuple[int, int]:
    """Cut the power after each event; return the numbers of events and of trees."""
    disk, stories = recorded(folder / "data", homes)
    assert everything(disk) == read_tree(folder / "data"), "something went past the notes"
    chance, count = random.Random(1), 0
    for after in range(len(disk.events) + 1):
        answered = Counter(event.who for event in disk.events[:after] if isinstance(event, Answered))
        allowed = [story.allowed(answered[who]) for who, story in enumerate(stories)]
        for tree in Cut(disk, after).trees(chance, samples):
            count += 1
            write_tree(tree, folder / f"{count}")
            where = f"tree {count} after {disk.events[after - 1 : after]}"
            survives(folder / f"{count}", allowed, where, again=count % AGAIN == 0)
            shutil.rmtree(folder / f"{count}")
    return len(disk.events), count


def survives(data: Path, allowed: list[dict[promises.Key, set[promises.Value]]], where: str, *, again: bool) -> None:
    """What was promised is there, nothing half done is seen, and pushes are taken."""
    store = FileSystemStore(data)
    for each in allowed:
        assert promises.broken(store, each) == [], where
    assert list(check_store(store.layout)) == [], where
    story = promises.Story(store)
    asyncio.run(promises.tell(story) if again else promises.manifest(story, "a/b", promises.INDEX, "latest"))
    assert story.refused == [], where
    assert promises.broken(store, story.promised) == [], where


def test_a_power_cut_takes_back_nothing_promised_and_shows_nothing_half_done(folder):
    cut(folder, ("",), samples=0)


@pytest.mark.long
def test_a_power_cut_while_several_push_at_once(folder):
    events, trees = cut(folder, ("one/", "two/", "three/"), samples=16)
    print(f"{events} events, {trees} different disks after a power cut, nothing lost, no damage")
