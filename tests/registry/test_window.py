"""How many requests a registry is given at a time."""

import queue
import threading

from hypothesis import given
from hypothesis import strategies as st

from homeport.registry.settings import Settings
from homeport.registry.window import Places, Window
from tests.kit.clients import open_registries
from tests.kit.scripted import Reply, Seen, scripted


def rounds(window: Window, count: int) -> list[int]:
    """Answer as many requests as there are places, a few times over."""
    sizes = []
    for _ in range(count):
        for _ in range(window.places):
            window = window.widened()
        sizes.append(window.places)
    return sizes


def test_each_round_doubles_until_the_bound():
    assert rounds(Window(4, most=40), 5) == [8, 16, 32, 40, 40]


def test_after_a_complaint_each_round_adds_one():
    halved = Window(32, most=40).narrowed()
    assert halved.places == 16
    assert rounds(halved, 3) == [16, 17, 18]


@given(st.lists(st.booleans(), max_size=200), st.integers(1, 64))
def test_one_place_is_always_left_and_the_bound_never_passed(answers: list[bool], most: int):
    window = Window(most=most)
    for well in answers:
        window = window.widened() if well else window.narrowed()
        assert 1 <= window.places <= most


def test_of_complaints_that_come_together_one_counts():
    places = Places(Window(16))
    numbers = [places.begin() for _ in range(16)]
    for number in numbers:
        places.heard(number, well=False)
    assert places.window.places == 8
    places.heard(places.begin(), well=False)
    assert places.window.places == 4


def test_what_does_not_fill_the_places_does_not_ask_for_more():
    places = Places(Window(4))
    for _ in range(100):
        places.enter("ask")
        places.heard(places.begin(), well=True)
        places.leave("ask")
    assert places.window.places == 4


def test_who_waits_enters_when_the_window_widens_or_a_place_is_given_back():
    places = Places(Window(1))
    entered = threading.Semaphore(0)

    def enter() -> None:
        places.enter("ask")
        entered.release()

    places.enter("ask")
    places.enter("upload")
    waiting = [threading.Thread(target=enter) for _ in range(3)]
    for thread in waiting:
        thread.start()
    assert not entered.acquire(blocking=False)
    places.heard(places.begin(), well=True)
    assert entered.acquire(timeout=30)
    for _ in range(2):
        places.leave("ask")
        assert entered.acquire(timeout=30)
    for thread in waiting:
        thread.join(30)


def test_a_registry_that_complains_gets_fewer_requests_at_a_time():
    """Each request is held until all that are let through have come; those of the first round are refused."""
    lock, come = threading.Lock(), threading.Semaphore(0)
    held: list[queue.SimpleQueue[int]] = []

    def play(seen: Seen) -> Reply:
        if seen.method != "HEAD":
            return Reply(200)
        gate: queue.SimpleQueue[int] = queue.SimpleQueue()
        with lock:
            held.append(gate)
        come.release()
        return Reply(gate.get(timeout=30))

    def answer(count: int, status: int) -> None:
        for _ in range(count):
            assert come.acquire(timeout=30)
        with lock:
            assert len(held) == count
            gates = [held.pop() for _ in range(count)]
        for gate in gates:
            gate.put(status)

    with scripted(play) as server:
        settings = Settings.of(plain_http=[server.host], environment={})
        with open_registries(settings=settings) as registries:
            client = registries.client(server.host)
            threads = [threading.Thread(target=client.head_manifest, args=("a", str(n))) for n in range(10)]
            for thread in threads:
                thread.start()
            answer(8, 429)
            answer(4, 404)
            for _ in range(6):
                assert come.acquire(timeout=30)
                with lock:
                    held.pop().put(404)
            for thread in threads:
                thread.join(30)
