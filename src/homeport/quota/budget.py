"""The pulls that one identity has left at one registry, shared by all that pull at the same time."""

import threading
from collections.abc import Callable

from homeport.quota.experience import Experience, Tally
from homeport.quota.reading import Reading


class Budget:
    """Lets no more pulls begin than the registry's answers say are left; any number of threads may use it.

    What is under way counts as spent until it is answered. A repository whose manifests come without a limit has none, whatever
    other repositories say; a registry that has not spoken of a limit has none either.
    """

    def __init__(self) -> None:
        self._reading: Reading | None = None
        self._free: set[str] = set()
        self._open = 0
        self._answers = 0
        self._tally = Tally()
        self._change = threading.Condition()

    @property
    def reading(self) -> Reading | None:
        """The limit as it was stated last."""
        with self._change:
            return self._reading

    @property
    def experience(self) -> Experience:
        """What was seen of how the registry counts."""
        with self._change:
            return self._tally.experience

    @property
    def answers(self) -> int:
        """How many answers it has learned from: what `learn` wants to know of the moment a request was sent."""
        return self._answers

    def begin(self, repository: str) -> Callable[[], None] | None:
        """Spend a pull, and return what ends it, to be called after `learn`; None where none is left.

        Waits for the answers to others where only these can tell.
        """
        with self._change:
            while self._left(repository) <= 0:
                if not self._open:
                    return None
                self._change.wait()
            if repository in self._free:
                return lambda: None
            self._open += 1
            self._tally.begin()
            return self._end

    def _end(self) -> None:
        with self._change:
            self._open -= 1
            self._settle()
            self._change.notify_all()

    def learn(self, repository: str, reading: Reading | None, asked: int, *, is_pull: bool = False) -> None:
        """Take what an answer with a manifest says that was asked for when `answers` was `asked`; `is_pull`: the manifest itself came.

        Answers overtake each other: where another one came in between, the lower number counts.
        """
        with self._change:
            overtaken = asked != self._answers
            self._answers += 1
            if is_pull and (reading or repository not in self._free):
                self._tally.answer(limited=reading is not None)
            if reading is None:
                self._free.add(repository)
            else:
                self._free.discard(repository)
                is_old = overtaken and self._reading is not None and self._reading.remaining < reading.remaining
                self._reading = self._reading if is_old else reading
            self._settle()
            self._change.notify_all()

    def saw_index(self, named: int, possible: int) -> None:
        """Note how many manifests an index names, and how many have room in one of its size."""
        with self._change:
            self._tally.index(named, possible)

    def _settle(self) -> None:
        if self._reading and not self._open:
            self._tally.quiet(self._reading)

    def _left(self, repository: str) -> int:
        if self._reading is None or repository in self._free:
            return 1
        return self._reading.remaining - self._open
