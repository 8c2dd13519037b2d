"""Small blobs that are asked for again and again, kept in memory: the nodes of a cluster pull the same image at the same time."""

import os
import threading
from collections import OrderedDict
from typing import Final

LARGEST: Final = 1 << 20
MOST_BYTES: Final = 32 << 20
SEEN: Final = 4096
"""How many blobs that were asked for once are remembered, by their files: only the second time one is kept."""

_RWF_NOWAIT = getattr(os, "RWF_NOWAIT", 0)

_Stamp = tuple[int, int, int, int]


class RecentBlobs:
    """Contents of files, as long as these do not change."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: OrderedDict[_Stamp, None] = OrderedDict()
        self._kept: OrderedDict[_Stamp, bytes] = OrderedDict()
        self._bytes = 0

    def content(self, handle: int, status: os.stat_result) -> bytes | None:
        """Return all of an open file if it is kept, or is to be kept from now on and is at hand; does not wait for a disk."""
        if not 0 < status.st_size <= LARGEST:
            return None
        stamp = (status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size)
        with self._lock:
            if stamp in self._kept:
                self._kept.move_to_end(stamp)
                return self._kept[stamp]
            if stamp not in self._seen:
                self._seen[stamp] = None
                if len(self._seen) > SEEN:
                    self._seen.popitem(last=False)
                return None
        content = _at_hand(handle, status.st_size)
        if content is not None:
            self._keep(stamp, content)
        return content

    def _keep(self, stamp: _Stamp, content: bytes) -> None:
        with self._lock:
            if stamp not in self._kept:
                self._kept[stamp] = content
                self._bytes += len(content)
            while self._bytes > MOST_BYTES:
                self._bytes -= len(self._kept.popitem(last=False)[1])


def _at_hand(handle: int, size: int) -> bytes | None:
    """Read a file from the page cache; None where the disk would have to be waited for."""
    buffer = bytearray(size)
    try:
        return bytes(buffer) if os.preadv(handle, [buffer], 0, _RWF_NOWAIT) == size else None
    except OSError:
        return None
