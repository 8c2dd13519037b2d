"""When to try again, and how long to wait: one pace for all threads that talk to a host.

The wait is one that another thread can end: ^C stops a mirror at once although ten threads are waiting for a minute.
"""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

import msgspec

from homeport.errors import RegistryError

T = TypeVar("T")

ATTEMPTS = 5
LONGEST_WAIT = 60.0
"""A Retry-After beyond this many seconds is an answer, not a pause: it is raised."""


class Wait(msgspec.Struct, frozen=True):
    """A pause before another try, for whoever wants to show it."""

    host: str
    seconds: float
    attempt: int
    reason: str


class Transient(Exception):  # noqa: N818 - not an error of ours: it marks one that may pass
    """An error that may pass, with the seconds to wait where the registry said them."""

    def __init__(self, error: RegistryError, wait: float | None = None) -> None:
        super().__init__(str(error))
        self.error, self.wait = error, wait


class Clock:
    """Time and waiting; tests bring their own."""

    def __init__(self) -> None:
        self._stop = threading.Event()

    def now(self) -> float:
        """Return seconds that only grow."""
        return time.monotonic()

    def sleep(self, seconds: float) -> bool:
        """Wait; tell whether the time has passed, rather than `stop` been called."""
        return not self._stop.wait(seconds)

    def stop(self) -> None:
        """End every wait, also those to come."""
        self._stop.set()


class Pace:
    """The pauses that one host wants; a Retry-After that one thread receives holds back the others too."""

    def __init__(self, host: str, clock: Clock, on_wait: Callable[[Wait], None], attempts: int = ATTEMPTS) -> None:
        self.clock = clock
        self._host, self._on_wait, self._attempts = host, on_wait, attempts
        self._not_before = 0.0
        self._lock = threading.Lock()

    def run(self, once: Callable[[], T], reached: Callable[[], int] = lambda: 0) -> T:
        """Call until it does not raise Transient, a few times; then raise the error that it carries.

        `reached` tells how far the calls have come: only those count that came no further.
        """
        attempt, farthest = 0, reached()
        while True:
            attempt += 1
            self._rest()
            try:
                return once()
            except Transient as failure:
                if (now := reached()) > farthest:
                    attempt, farthest = 1, now
                seconds = backoff(attempt) if failure.wait is None else failure.wait
                if attempt >= self._attempts or seconds > LONGEST_WAIT:
                    raise failure.error from failure
                if failure.wait is not None:
                    self._hold_back(seconds)
                if seconds:
                    self.pause(seconds, attempt, failure.error.message)

    def pause(self, seconds: float, attempt: int, reason: str) -> None:
        """Wait, and say so."""
        self._on_wait(Wait(self._host, seconds, attempt, reason))
        self._sleep(seconds)

    def _hold_back(self, seconds: float) -> None:
        with self._lock:
            self._not_before = max(self._not_before, self.clock.now() + seconds)

    def _rest(self) -> None:
        if (left := self._not_before - self.clock.now()) > 0:
            self._sleep(left)

    def _sleep(self, seconds: float) -> None:
        if not self.clock.sleep(seconds):
            raise RegistryError(f"{self._host}: not asked again, because the job was stopped", host=self._host)


def backoff(attempt: int) -> float:
    """Return the seconds before the next try: half a second, doubled each time, with up to half as much again by chance."""
    import random

    return float(2 ** (attempt - 2)) * (1 + random.random() / 2)  # noqa: S311 - spreads load, protects nothing
