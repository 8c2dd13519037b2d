import signal
import threading
from concurrent.futures import Future

import pytest

from homeport.mirror.workers import Flights, StoppedError, Workers, outcome


def test_results_come_in_order_and_errors_are_raised():
    workers = Workers(3, "test")
    assert workers.map(lambda number: number * 2, range(20)) == [number * 2 for number in range(20)]
    with pytest.raises(ZeroDivisionError):
        workers.map(lambda number: 1 // number, [1, 0])
    workers.stop()


def test_no_more_threads_run_than_allowed():
    workers, together, full = Workers(2, "test"), threading.Semaphore(2), threading.Barrier(2)

    def work(_: int) -> bool:
        free = together.acquire(blocking=False)
        full.wait(30)
        together.release()
        return free

    assert all(workers.map(work, range(10)))
    workers.stop()


def test_a_stop_fails_what_is_open_and_refuses_what_comes():
    workers, begun, gate = Workers(1, "test"), threading.Event(), threading.Event()
    running = workers.submit(lambda: begun.set() or gate.wait(30))
    waiting = workers.submit(lambda: None)
    assert begun.wait(30)

    workers.stop()

    for future in (running, waiting):
        with pytest.raises(StoppedError):
            future.result(30)
    with pytest.raises(StoppedError):
        workers.submit(lambda: None)
    gate.set()


def test_a_flight_is_flown_once_and_its_failure_forgotten():
    flights: Flights[str, int] = Flights()
    calls: list[int] = []

    def fails() -> int:
        calls.append(1)
        raise ValueError

    with pytest.raises(ValueError):
        flights.do("a", fails)
    assert flights.do("a", lambda: 7) == 7
    assert flights.do("a", fails) == 7
    assert calls == [1]


def test_who_asks_meanwhile_waits_for_the_same_flight():
    flights: Flights[str, int] = Flights()
    begun, gate = threading.Event(), threading.Event()
    results: list[int] = []

    def slow() -> int:
        begun.set()
        assert gate.wait(30)
        return 1

    threads = [threading.Thread(target=lambda: results.append(flights.do("a", slow)))]
    threads[0].start()
    assert begun.wait(30)
    threads.append(threading.Thread(target=lambda: results.append(flights.do("a", lambda: 2))))
    threads[1].start()
    gate.set()
    for thread in threads:
        thread.join(30)
    assert results == [1, 1]


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals go to processes alone")
def test_an_interrupt_that_did_not_wake_the_wait_ends_it():
    """A signal that another thread gets is noted for the main one, whose wait goes on, as with one that comes just before it."""
    work: Future[None] = Future()
    begun, ended = threading.Event(), threading.Event()
    heard: list[bool] = []

    def interrupt() -> None:
        begun.wait(30)
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        heard.append(ended.wait(10))
        work.set_result(None)

    def rest() -> None:
        begun.set()
        outcome(work)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        rest()
    ended.set()
    thread.join()
    assert heard == [True]
