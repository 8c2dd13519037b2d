"""Threads that work off what is submitted, and stop when asked."""

import queue
import threading
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

T = TypeVar("T")
A = TypeVar("A")
K = TypeVar("K", bound=Hashable)


_GLANCE = 0.5
"""Seconds after which a wait looks up: a signal that comes just before a thread lies down to wait does not wake it."""


class StoppedError(Exception):
    """The job was stopped; what was not begun is not done."""


class Workers:
    """A bounded number of threads.

    They are daemons, unlike those of concurrent.futures, which the interpreter waits for at its end: ^C would
    hang on a silent registry.
    """

    def __init__(self, count: int, name: str) -> None:
        self._count = count
        self._name = name
        self._threads: list[threading.Thread] = []
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._open: set[Future[object]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Have work done by a thread; raises StoppedError after the end."""
        future: Future[T] = Future()
        with self._lock:
            if self._stopped:
                raise StoppedError
            self._open.add(future)  # type: ignore[arg-type]  # a Future[T] is only ever stopped through this set
            if len(self._threads) < min(self._count, len(self._open)):
                thread = threading.Thread(target=self._serve, name=f"{self._name}-{len(self._threads)}", daemon=True)
                self._threads.append(thread)
                thread.start()
        self._queue.put(lambda: self._do(future, work))
        return future

    def map(self, work: Callable[[A], T], items: Iterable[A]) -> list[T]:
        """Do the same with each item at once and return the results in order; raises the first error."""
        futures = [self.submit(lambda item=item: work(item)) for item in items]  # type: ignore[misc]
        return [outcome(future) for future in futures]

    def stop(self) -> None:
        """Begin nothing more and let nobody wait: open work fails with StoppedError; does not wait for threads."""
        with self._lock:
            self._stopped = True
            opened, self._open = self._open, set()
            for _ in self._threads:
                self._queue.put(None)
        for future in opened:
            future.set_exception(StoppedError())

    def _serve(self) -> None:
        while work := self._queue.get():
            work()

    def _do(self, future: "Future[T]", work: Callable[[], T]) -> None:
        if future.done():
            return
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001  # whoever waits for the result gets it
            if self._close(future):
                future.set_exception(error)
        else:
            if self._close(future):
                future.set_result(result)

    def _close(self, future: "Future[T]") -> bool:
        """Take the right to settle a future; there is none after stop()."""
        with self._lock:
            mine = future in self._open
            self._open.discard(future)
            return mine


def outcome(future: Future[T]) -> T:
    """Wait for work and return its result, or raise its error; ^C ends the wait, whenever it comes."""
    while not wait((future,), timeout=_GLANCE).done:
        pass
    return future.result()


class Flights(Generic[K, T]):
    """Do things once by key: who asks meanwhile waits, who asks later gets the same; a failure is forgotten."""

    def __init__(self) -> None:
        self._flights: dict[K, Future[T]] = {}
        self._lock = threading.Lock()

    def do(self, key: K, work: Callable[[], T]) -> T:
        """Return the work's result, from whoever did it."""
        with self._lock:
            future = self._flights.get(key)
            if future is not None:
                mine = False
            else:
                mine, future = True, Future()
                self._flights[key] = future
        if mine:
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001  # raised by result() here and wherever else it is waited for
                with self._lock:
                    del self._flights[key]
                future.set_exception(error)
        return future.result()
