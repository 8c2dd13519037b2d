"""Files that go to the disk while more is written to them, so that little is left for the sync at the end."""

import os
import threading
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Final

from homeport.mirror.workers import StoppedError, Workers

_STEP: Final = 64 << 20
"""Bytes after which the disk is told to begin; each time it also empties its own cache."""


class EarlySync:
    """Syncs files by a thread of its own, as they grow; it proves nothing, so they are synced at the end all the same.

    It opens them anew: an error that the disk has meanwhile is told to whoever holds them open (fsync(2)), and to this too.
    """

    def __init__(self) -> None:
        self._workers = Workers(1, "sync")
        self._lock = threading.Lock()
        self._files: set[Path] = set()
        self._count = 0
        self._last: Future[None] | None = None

    def wrote(self, file: Path, count: int) -> None:
        """Say that so many bytes more are in a file; any number of threads may."""
        with self._lock:
            self._files.add(file)
            self._count += count
            if self._count >= _STEP and (self._last is None or self._last.done()):
                files, self._files, self._count = self._files, set(), 0
                with suppress(StoppedError):
                    self._last = self._workers.submit(lambda: _sync(files))

    def stop(self) -> None:
        """Begin nothing more; what is under way ends by itself."""
        self._workers.stop()


def _sync(files: set[Path]) -> None:
    for file in files:
        with suppress(OSError):
            handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
