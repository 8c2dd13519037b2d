"""A disk that notes every change below a directory, in order, and fails at the one it is told to.

It stands in for the functions of `os`; that nothing goes past it is checked by replaying its notes: they must give the
directory as it is (`tests.kit.power_cut`). Nothing is really synced.
"""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

ROOMY: Final = frozenset({"open", "write", "writev", "mkdir", "replace", "fsync"})
"""The calls that a disk without room refuses; it still removes, and sets times."""


class Node(msgspec.Struct, eq=False):
    """A file, or a directory, whatever its names are."""

    is_directory: bool = False
    size: int = 0


class Named(msgspec.Struct, eq=False):
    """A node gets a name, and loses the one it had before."""

    directory: Node
    name: str
    node: Node
    old: tuple[Node, str] | None = None


class Removed(msgspec.Struct, eq=False):
    """A name goes."""

    directory: Node
    name: str


class Written(msgspec.Struct, eq=False):
    """Bytes are written; `lost` for good where the sync after it failed: the kernel takes them for written then."""

    node: Node
    offset: int
    data: bytes
    lost: bool = False


class Synced(msgspec.Struct, eq=False):
    """Everything before is on the disk, for one node."""

    node: Node


class Answered(msgspec.Struct, eq=False):
    """An answer went out, to one of those who ask."""

    who: int = 0


Event = Named | Removed | Written | Synced | Answered


class Disk:
    """The files below `root`, an empty directory, as long as `watched` lasts; `failed` counts the events before a fault."""

    def __init__(self, root: Path) -> None:
        self.root = Node(is_directory=True)
        self.events: list[Event] = []
        self.calls: list[str] = []
        self.failed = 0
        self._place = str(root)
        self._nodes: dict[str, Node] = {self._place: self.root}
        self._handles: dict[int, Node] = {}
        self._lock = threading.RLock()
        self._real: dict[str, Callable[..., Any]] = {}
        self._fails: Callable[[int, str], bool] = lambda _number, _call: False
        self._code = errno.EIO

    def fail(self, code: int, fails: Callable[[int, str], bool]) -> None:
        """Let calls fail from now on: `fails` gets the number of a call, from 0, and its name."""
        self.calls.clear()
        self._code, self._fails = code, fails

    @contextmanager
    def watched(self) -> Iterator["Disk"]:
        """Stand in for the functions of `os` until the block ends."""
        names = ("open", "close", "write", "writev", "fsync", "mkdir", "replace", "unlink", "utime")
        self._real = {name: getattr(os, name) for name in names}
        try:
            for name in names:
                setattr(os, name, getattr(self, f"_{name}"))
            yield self
        finally:
            for name, real in self._real.items():
                setattr(os, name, real)

    def _check(self, call: str) -> None:
        number = len(self.calls)
        self.calls.append(call)
        if self._fails(number, call):
            self.failed = self.failed or len(self.events)
            raise OSError(self._code, os.strerror(self._code))

    def _is_here(self, path: Any) -> bool:
        return not isinstance(path, int) and os.fspath(path).startswith(self._place)

    def _split(self, path: Any) -> tuple[Node, str]:
        directory, _, name = os.fspath(path).rpartition("/")
        return self._nodes[directory], name

    def _open(self, path: Any, flags: int, mode: int = 0o777, **more: Any) -> int:
        if not self._is_here(path):
            return int(self._real["open"](path, flags, mode, **more))
        with self._lock:
            new = bool(flags & os.O_CREAT) and os.fspath(path) not in self._nodes
            if new:
                self._check("open")
            handle: int = self._real["open"](path, flags, mode, **more)
            if new:
                self._add(path, Node())
            self._handles[handle] = self._nodes[os.fspath(path)]
            return handle

    def _add(self, path: Any, node: Node) -> None:
        self._nodes[os.fspath(path)] = node
        self.events.append(Named(*self._split(path), node))

    def _close(self, handle: int) -> None:
        with self._lock:
            self._handles.pop(handle, None)
            self._real["close"](handle)

    def _write(self, handle: int, data: bytes, call: str = "write") -> int:
        with self._lock:
            node = self._handles.get(handle)
            if node is None:
                return int(self._real["write"](handle, data))
            try:
                self._check(call)
            except OSError:
                self._append(node, handle, bytes(data)[: len(data) // 2])
                raise
            return self._append(node, handle, bytes(data))

    def _append(self, node: Node, handle: int, data: bytes) -> int:
        written: int = self._real["write"](handle, data)
        assert written == len(data)
        self.events.append(Written(node, node.size, data))
        node.size += written
        return written

    def _writev(self, handle: int, buffers: Any) -> int:
        if handle not in self._handles:
            return int(self._real["writev"](handle, buffers))
        return self._write(handle, b"".join(buffers), "writev")

    def _fsync(self, handle: int) -> None:
        with self._lock:
            node = self._handles[handle]
            try:
                self._check("fsync")
            except OSError:
                for event in self.events:
                    if isinstance(event, Written) and event.node is node:
                        event.lost = True
                raise
            self.events.append(Synced(node))

    def _mkdir(self, path: Any, mode: int = 0o777, **more: Any) -> None:
        if not self._is_here(path):
            self._real["mkdir"](path, mode, **more)
            return
        with self._lock:
            if os.fspath(path) not in self._nodes:
                self._check("mkdir")
            self._real["mkdir"](path, mode, **more)
            self._add(path, Node(is_directory=True))

    def _replace(self, source: Any, target: Any) -> None:
        if not self._is_here(source):
            self._real["replace"](source, target)
            return
        with self._lock:
            self._check("replace")
            self._real["replace"](source, target)
            old = self._split(source)
            node = self._nodes[os.fspath(target)] = self._nodes.pop(os.fspath(source))
            self.events.append(Named(*self._split(target), node, old))

    def _unlink(self, path: Any, **more: Any) -> None:
        if not self._is_here(path):
            self._real["unlink"](path, **more)
            return
        with self._lock:
            if os.fspath(path) in self._nodes:
                self._check("unlink")
            self._real["unlink"](path, **more)
            del self._nodes[os.fspath(path)]
            self.events.append(Removed(*self._split(path)))

    def _utime(self, path: Any, *arguments: Any, **more: Any) -> None:
        with self._lock:
            there = path in self._handles if isinstance(path, int) else os.fspath(path) in self._nodes
            if there:
                self._check("utime")
            self._real["utime"](path, *arguments, **more)
