"""How many requests one registry is given at a time: it shows itself what it bears."""

import threading
from collections import Counter, defaultdict

import msgspec


class Window(msgspec.Struct, frozen=True):
    """A number of places that grows by what is answered and halves at complaints, as TCP fills a line (RFC 5681). Pure.

    Until the first complaint each answer adds a place, so that the number doubles with each round; after it each round adds one.
    """

    size: float = 8.0
    most: int = 32
    is_careful: bool = False

    @property
    def places(self) -> int:
        """How many requests may be under way."""
        return min(int(self.size), self.most)

    def widened(self) -> "Window":
        """Return the window after an answer to a request that took the last place."""
        step = 1 / self.size if self.is_careful else 1.0
        return Window(min(self.size + step, float(self.most)), self.most, self.is_careful)

    def narrowed(self) -> "Window":
        """Return the window after a complaint: too many requests, a server's error, silence."""
        return Window(max(self.size / 2, 1.0), self.most, is_careful=True)


class Places:
    """Places for requests to one host, as many in each lane as the window says; any number of threads may use it."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._changes: defaultdict[str, threading.Condition] = defaultdict(lambda: threading.Condition(self._lock))
        self._begun = 0
        self._narrowed_at = 0
        self._was_full = False

    @property
    def window(self) -> Window:
        """The window as it is now."""
        with self._lock:
            return self._window

    def enter(self, lane: str) -> None:
        """Wait for a place in a lane."""
        with self._lock:
            while self._taken[lane] >= self._window.places:
                self._changes[lane].wait()
            self._taken[lane] += 1
            self._was_full = self._was_full or self._taken[lane] >= self._window.places

    def leave(self, lane: str) -> None:
        """Give a place back."""
        with self._lock:
            self._taken[lane] -= 1
            self._changes[lane].notify()

    def begin(self) -> int:
        """Return the number of a request that begins, for `heard`."""
        with self._lock:
            self._begun += 1
            return self._begun

    def heard(self, number: int, *, well: bool) -> None:
        """Learn from an answer, or from a complaint: of those that were under way together only the first one counts."""
        with self._lock:
            if well and self._was_full and self._window.places < self._window.most:
                self._window, self._was_full = self._window.widened(), False
                for change in self._changes.values():
                    change.notify()
            elif not well and number > self._narrowed_at:
                self._window, self._narrowed_at = self._window.narrowed(), self._begun
