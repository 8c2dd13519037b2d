import threading

import pytest

from homeport.errors import RegistryError
from homeport.registry.retry import Clock, Pace, Transient, backoff
from tests.kit.clock import FakeClock


def failing(times, wait=None):
    left = [RegistryError(f"failure {number}", hint="h") for number in range(times, 0, -1)]

    def once():
        if left:
            raise Transient(left.pop(), wait)
        return "done"

    return once


def pace(clock, waits):
    return Pace("r.example", clock, waits.append)


def test_waits_grow():
    clock, waits = FakeClock(), []
    assert pace(clock, waits).run(failing(4)) == "done"
    for wait, least in zip(waits, (0.5, 1, 2, 4), strict=True):
        assert least <= wait.seconds <= 1.5 * least
    assert [wait.attempt for wait in waits] == [1, 2, 3, 4]
    assert waits[0].host == "r.example"
    assert waits[0].reason == "failure 1"
    assert clock.slept == [wait.seconds for wait in waits]


def test_the_last_error_is_raised():
    with pytest.raises(RegistryError, match="failure 5"):
        pace(FakeClock(), []).run(failing(5))


def test_calls_that_come_further_do_not_count():
    reached = iter(range(100))
    waits = []
    assert pace(FakeClock(), waits).run(failing(20), lambda: next(reached)) == "done"
    assert {wait.attempt for wait in waits} == {1}


def test_another_try_without_a_pause_is_not_shown():
    clock, waits = FakeClock(), []
    assert pace(clock, waits).run(failing(3, wait=0.0)) == "done"
    assert waits == clock.slept == []


def test_what_is_not_transient_is_raised_at_once():
    waits = []

    def once():
        raise RegistryError("no")

    with pytest.raises(RegistryError, match="no"):
        pace(FakeClock(), waits).run(once)
    assert waits == []


def test_a_wait_that_was_asked_for_holds_back_all_at_the_host():
    clock = FakeClock()
    shared = pace(clock, [])
    shared._hold_back(20)
    shared.run(failing(0))
    assert clock.slept == [20]


def test_a_wait_is_over_when_its_time_has_passed():
    clock = FakeClock()
    shared = pace(clock, [])
    shared._hold_back(20)
    clock.time += 21
    shared.run(failing(0))
    assert clock.slept == []


def test_a_wait_ends_when_the_clock_is_stopped():
    clock, ended = Clock(), []

    def wait():
        with pytest.raises(RegistryError, match="the job was stopped"):
            pace(clock, []).run(failing(1, wait=50))
        ended.append(True)

    thread = threading.Thread(target=wait)
    thread.start()
    clock.stop()
    thread.join(30)
    assert ended == [True]


def test_backoff_is_never_the_same_for_all():
    assert len({backoff(1) for _ in range(20)}) > 1
