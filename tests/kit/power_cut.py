"""What a disk may hold after a power cut: what was synced, and anything of the rest.

A write that was not synced may have landed whole, in half or not at all, whatever came after it; so may each name that was
given or taken. A name that a file had before may be there beside its new one; that a file is under neither, no journal allows.
"""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from tests.kit.disk import Disk, Event, Named, Node, Removed, Synced, Written

Tree = dict[str, bytes | None]
"""Content by path; None for a directory."""

Landed = dict[int, float]
"""By the number of an event that was not synced, how much of it has landed: 0, a half or 1."""

FEW = 5
"""Of so few events all combinations are tried."""


class Cut(msgspec.Struct):
    """The power goes after so many events."""

    disk: Disk
    after: int

    def trees(self, chance: random.Random, samples: int) -> Iterator[Tree]:
        """Yield what may be there then, each once."""
        seen = set()
        events = self.disk.events[: self.after]
        durable, loose = _durable(events)
        for landed in _choices(events, loose, chance, samples):
            for ghosts in (frozenset(), _ghosts(events, durable)):
                tree = _tree(self.disk.root, events, durable, landed, ghosts)
                key = frozenset(tree.items())
                if key not in seen:
                    seen.add(key)
                    yield tree


def everything(disk: Disk) -> Tree:
    """Return what is there if nothing is lost."""
    numbers = range(len(disk.events))
    return _tree(disk.root, disk.events, set(numbers), {}, frozenset())


def read_tree(root: Path) -> Tree:
    """Return what is there."""
    paths = root.rglob("*")
    return {str(path.relative_to(root)): None if path.is_dir() else path.read_bytes() for path in paths}


def write_tree(tree: Tree, root: Path) -> None:
    """Put a tree into a directory that is to be made."""
    root.mkdir()
    for path in sorted(tree):
        content = tree[path]
        if content is None:
            (root / path).mkdir()
        else:
            (root / path).write_bytes(content)


def _durable(events: Sequence[Event]) -> tuple[set[int], list[int]]:
    """Return the numbers of the events that no power cut undoes, and of those that may have landed or not."""
    synced = _last_syncs(events)
    durable, loose = set(), []
    for number, event in enumerate(events):
        nodes: tuple[Node, ...] = ()
        if isinstance(event, Written) and not event.lost:
            nodes = (event.node,)
        elif isinstance(event, Named):
            nodes = (event.directory, event.old[0]) if event.old else (event.directory,)
        elif isinstance(event, Removed):
            nodes = (event.directory,)
        if any(synced.get(node, -1) > number for node in nodes):
            durable.add(number)
        elif isinstance(event, Written | Named | Removed):
            loose.append(number)
    return durable, _of_effect(events, durable, loose)


def _last_syncs(events: Sequence[Event]) -> dict[Node, int]:
    return {event.node: number for number, event in enumerate(events) if isinstance(event, Synced)}


def _ghosts(events: Sequence[Event], durable: set[int]) -> frozenset[int]:
    """Return the renames that are there for good, while the directory that the file comes from may not know it yet."""
    synced = _last_syncs(events)
    named = [(number, events[number]) for number in durable]
    return frozenset(
        number
        for number, event in named
        if isinstance(event, Named) and event.old and synced.get(event.old[0], -1) < number
    )


def _of_effect(events: Sequence[Event], durable: set[int], loose: list[int]) -> list[int]:
    """Leave out the first names of files that have their last name for good: whether those landed is not seen."""
    renamed = {event.old for number in durable if isinstance(event := events[number], Named) and event.old}

    def is_seen(event: Event) -> bool:
        return not isinstance(event, Named) or (event.directory, event.name) not in renamed

    return [number for number in loose if is_seen(events[number])]


def _choices(events: Sequence[Event], loose: list[int], chance: random.Random, samples: int) -> Iterator[Landed]:
    if len(loose) <= FEW:
        for bits in range(1 << len(loose)):
            yield {number: float(bits >> place & 1) for place, number in enumerate(loose)}
    else:
        yield dict.fromkeys(loose, 0.0)
        yield dict.fromkeys(loose, 1.0)
        for number in loose:
            yield {**dict.fromkeys(loose, 0.0), number: 1.0}
            yield {**dict.fromkeys(loose, 1.0), number: 0.0}
        for _ in range(samples):
            yield {number: chance.choice((0.0, 0.5, 1.0)) for number in loose}
    for number in loose:
        if isinstance(events[number], Written):
            yield {**dict.fromkeys(loose, 1.0), number: 0.5}


def _tree(root: Node, events: Sequence[Event], durable: set[int], landed: Landed, ghosts: frozenset[int]) -> Tree:
    names: dict[Node, dict[str, Node]] = {root: {}}
    contents: dict[Node, bytearray] = {}
    for number, event in enumerate(events):
        share = 1.0 if number in durable else landed.get(number, float(bool(ghosts)))
        if not share or isinstance(event, Synced):
            continue
        if isinstance(event, Named):
            names.setdefault(event.directory, {})[event.name] = event.node
            if event.old and number not in ghosts and names.get(event.old[0], {}).get(event.old[1]) is event.node:
                del names[event.old[0]][event.old[1]]
        elif isinstance(event, Removed):
            names.setdefault(event.directory, {}).pop(event.name, None)
        elif isinstance(event, Written):
            content = contents.setdefault(event.node, bytearray())
            data = event.data[: int(len(event.data) * share)]
            content.extend(bytes(max(0, event.offset + len(data) - len(content))))
            content[event.offset : event.offset + len(data)] = data
    return dict(_walk(root, "", names, contents))


def _walk(
    directory: Node, prefix: str, names: dict[Node, dict[str, Node]], contents: dict[Node, bytearray]
) -> Iterator[tuple[str, bytes | None]]:
    for name, node in names.get(directory, {}).items():
        path = f"{prefix}{name}"
        if node.is_directory:
            yield path, None
            yield from _walk(node, f"{path}/", names, contents)
        else:
            yield path, bytes(contents.get(node, b""))
