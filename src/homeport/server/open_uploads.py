"""How many uploads somebody may have open at a time: each is a file that stays for a week."""

import threading
from collections.abc import Callable
from typing import Final

MOST: Final = 1000
OWNERS: Final = 10_000
"""Owners remembered, by user or by address; whoever has not come for longest is forgotten first."""

Session = tuple[str, str]


class OpenUploads:
    """The uploads that each owner has opened through this process, as (repository, id)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owners: dict[str, dict[Session, None]] = {}

    def has_room(self, owner: str, is_open: Callable[[Session], bool]) -> bool:
        """Tell whether an owner may open one more; those that were finished or cancelled are forgotten when it matters."""
        with self._lock:
            mine = self._owners.get(owner, {})
            if len(mine) < MOST:
                return True
            sessions = list(mine)
        gone = [session for session in sessions if not is_open(session)]
        with self._lock:
            for session in gone:
                mine.pop(session, None)
            return len(mine) < MOST

    def note(self, owner: str, session: Session) -> None:
        """Remember an upload that was opened."""
        with self._lock:
            mine = self._owners.pop(owner, {})
            while len(self._owners) >= OWNERS:
                del self._owners[next(iter(self._owners))]
            mine[session] = None
            self._owners[owner] = mine
