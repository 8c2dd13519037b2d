"""The lock that `--locked` keeps to."""

from collections.abc import Sequence
from pathlib import Path

from homeport.cli.progress import tell
from homeport.errors import InputError, UsageError
from homeport.mirror.lock import LOCK, Lock, Portion


def read_lock(
    file: Path | None, platforms: Sequence[str] = (), *, rebuild_index: bool = False, form: str = "table"
) -> Lock:
    """Return a lock that is kept to, homeport.lock by default; raises UsageError.

    Its platforms are brought again; others that are asked for are refused.
    """
    file = file or Path(LOCK)
    lock = _read(file)
    if platforms or rebuild_index:
        asked = Portion.of(platforms or lock.portion.platforms, rebuild_index=rebuild_index)
        lock.check(asked, file, _ANOTHER)
    elif lock.portion != Portion():
        tell("locked", f"{file} was made with {lock.portion}: the same again", form)
    return lock


def _read(file: Path) -> Lock:
    try:
        return Lock.read(file)
    except InputError as error:
        raise UsageError(error.message, hint=error.hint or "Run once with --lock FILE: that writes it.") from None


_ANOTHER = (
    "Leave --platform and --rebuild-index out to bring the same again, or run once without --locked: "
    "that writes the lock anew."
)
