"""Leases: what a request has touched is safe from garbage collection for a while.

The lease of a file begins at its mtime. A request that finds it in its second half renews it, under the lock that the
collector holds while it looks again and removes; so whatever was answered with success stays for LEASE_SECONDS at least.
"""

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

LEASE_SECONDS: Final = 1800.0
"""How long what was touched is safe at least; the collector waits for twice as long."""

_UNWRITABLE = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


@contextmanager
def locked(path: str | Path) -> Iterator[None]:
    """Hold the lock of a directory, over all threads and processes."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


class Leases:
    """Renews leases of a length in seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def is_fresh(self, status: os.stat_result) -> bool:
        """Tell whether a lease holds for its full length yet."""
        return status.st_mtime > time.time() - self.seconds

    def renew(self, path: str | Path) -> bool:
        """Renew the lease of a file where that is due; False if the file is gone. The caller holds the lock."""
        try:
            if not self.is_fresh(os.stat(path)):  # noqa: PTH116 - for each blob of each manifest
                os.utime(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            if error.errno not in _UNWRITABLE:  # where nothing can be written, nothing is collected
                raise
        return True

    def holds(self, path: str | Path, lock: str | Path) -> bool:
        """Tell whether a file is there, and see to it that it stays for a while."""
        try:
            if self.is_fresh(os.stat(path)):  # noqa: PTH116 - for each request
                return True
            with locked(lock):
                return self.renew(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
