"""Manifests read before, handed out again as long as their files did not change."""

import os
import threading
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from homeport.oci.manifest import RawManifest

MOST: Final = 4096
MOST_BYTES: Final = 32 << 20
LARGEST: Final = 256 << 10
SETTLED: Final = 100_000_000
"""Nanoseconds after which a file that changes again has another mtime: kernels count in ticks of up to 10 ms."""

Stamp = tuple[int, int, int, int]


class _Entry(msgspec.Struct, frozen=True):
    manifest: RawManifest
    files: tuple[tuple[str, Stamp], ...]


def stamp_of(path: str) -> Stamp | None:
    """Return what changes when a file does; None where there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116 - for each request
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size


class RecentManifests:
    """Manifests by repository and identifier, each with the files that it was read from."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[tuple[str, str], _Entry] = {}
        self._bytes = 0

    def get(self, repository: str, identifier: str) -> RawManifest | None:
        """Return a manifest that is certainly what its files say now."""
        entry = self._entries.get((repository, identifier))
        if entry is None:
            return None
        for path, stamp in entry.files:
            if stamp_of(path) != stamp:
                return None
        return entry.manifest

    def put(
        self, repository: str, identifier: str, manifest: RawManifest, files: Sequence[tuple[str, Stamp | None]]
    ) -> None:
        """Remember a manifest that was read from files after they had these stamps."""
        settled = time.time_ns() - SETTLED
        stamps = tuple((path, stamp) for path, stamp in files if stamp and max(stamp[1], stamp[2]) < settled)
        if len(stamps) < len(files) or len(manifest.body) > LARGEST:
            return
        with self._lock:
            self._drop((repository, identifier))
            while self._entries and (len(self._entries) >= MOST or self._bytes > MOST_BYTES):
                self._drop(next(iter(self._entries)))
            self._entries[repository, identifier] = _Entry(manifest, stamps)
            self._bytes += len(manifest.body)

    def _drop(self, key: tuple[str, str]) -> None:
        entry = self._entries.pop(key, None)
        if entry:
            self._bytes -= len(entry.manifest.body)
