"""The lock that `--locked` keeps to."""

from pathlib import Path

from homeport.errors import InputError, UsageError
from homeport.mirror.lock import Lock


def read_lock(file: Path) -> dict[str, str]:
    """Return what a lock says, digests by reference; raises UsageError."""
    try:
        return Lock.read(file).digests
    except InputError as error:
        raise UsageError(error.message, hint=error.hint or "Run once with --lock FILE: that writes it.") from None
