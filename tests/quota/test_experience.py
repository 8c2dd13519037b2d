"""What is learned from a registry's numbers, whatever the order of answers, whoever else pulls, whenever pulls are given back."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.quota.budget import Budget
from homeport.quota.experience import ENOUGH, NOISE, Experience
from homeport.quota.reading import Reading

LIMIT = 10_000


class Hub:
    """A registry that counts, and a client with a budget; requests are handled and answered in any order."""

    def __init__(self, price: str = "each") -> None:
        self.budget = Budget()
        self.remaining = LIMIT
        self.gets = self.taken = self.by_others = 0
        self._price = price
        self._sent, self._handled = [], []

    def send(self, *, get: bool) -> None:
        end = self.budget.begin("app") if get else None
        self._sent.append((get, end, self.budget.answers))

    def handle(self, number: int) -> None:
        get, end, asked = self._sent.pop(number % len(self._sent))
        if get:
            self.gets += 1
            cost = {"each": 1, "none": 0, "every other": self.gets % 2}[self._price]
            self.remaining -= cost
            self.taken += cost
        self._handled.append((get, end, asked, Reading(LIMIT, self.remaining)))

    def answer(self, number: int) -> None:
        get, end, asked, reading = self._handled.pop(number % len(self._handled))
        self.budget.learn("app", reading, asked, is_pull=get)
        if end:
            end()

    def do(self, action: str, number: int) -> None:
        if action in ("get", "head"):
            self.send(get=action == "get")
        elif action == "handle" and self._sent:
            self.handle(number)
        elif action == "answer" and self._handled:
            self.answer(number)
        elif action == "others":
            self.remaining -= 1
            self.by_others += 1
        elif action == "given back":
            self.remaining = min(LIMIT, self.remaining + number % 20)

    def finish(self) -> Experience:
        while self._sent:
            self.handle(0)
        while self._handled:
            self.answer(0)
        return self.look()

    def look(self) -> Experience:
        self.send(get=False)
        self.handle(-1)
        self.answer(-1)
        return self.budget.experience


def script(*actions):
    return st.lists(st.tuples(st.sampled_from(actions), st.integers(0, 99)), max_size=120)


PRICES = st.sampled_from(["each", "none", "every other"])


@given(script("get", "head", "handle", "answer"), PRICES)
def test_what_is_counted_is_known_exactly_whatever_the_order(actions, price):
    hub = Hub(price)
    hub.look()
    for action, number in actions:
        hub.do(action, number)
    seen = hub.finish()
    assert (seen.gets, seen.counted, seen.others) == (hub.gets, hub.taken, 0)


@given(script("get", "head", "handle", "answer", "given back"), PRICES)
def test_pulls_that_are_given_back_never_look_like_those_of_others(actions, price):
    hub = Hub(price)
    hub.look()
    for action, number in actions:
        hub.do(action, number)
    seen = hub.finish()
    assert seen.others == 0
    assert seen.counted <= seen.gets <= hub.gets


def test_a_price_is_not_lower_for_pulls_that_were_given_back_between_others():
    hub = Hub()
    hub.look()
    for _ in range(3):
        for _ in range(10):
            hub.send(get=True)
        hub.finish()
        hub.remaining += 10
        hub.look()
    seen = hub.budget.experience
    assert (seen.gets, seen.counted, seen.others) == (30, 30, 0)


@given(script("get", "head", "handle", "answer", "others"))
def test_what_others_pull_is_told_from_what_one_s_own_pulls_cost(actions):
    hub = Hub()
    hub.look()
    for action, number in actions:
        hub.do(action, number)
    seen = hub.finish()
    assert (seen.gets, seen.counted) == (hub.gets, hub.gets)
    assert seen.others == (hub.by_others if hub.by_others > NOISE else 0)


def test_a_registry_that_counts_late_is_no_other_user():
    """Its number lags behind by two all the time, and has caught up at the end."""
    budget = Budget()
    budget.learn("app", Reading(100, 100), budget.answers)
    for number in range(1, 11):
        end = budget.begin("app")
        budget.learn("app", Reading(100, 100 - max(0, number - 2)), budget.answers, is_pull=True)
        end()
    budget.learn("app", Reading(100, 90), budget.answers)
    assert budget.experience == Experience(gets=10, counted=10)


def test_a_pull_without_an_answer_leaves_open_what_it_cost():
    hub = Hub()
    hub.look()
    for _ in range(5):
        hub.send(get=True)
    hub.finish()
    lost = hub.budget.begin("app")
    hub.remaining -= 5
    lost()
    seen = hub.look()
    assert (seen.gets, seen.counted, seen.others) == (5, 5, 0)


def test_images_that_are_not_limited_count_nothing():
    budget = Budget()
    budget.learn("app", Reading(100, 100), budget.answers)
    for _ in range(10):
        for repository, reading in (("free", None), ("app", Reading(100, budget.reading.remaining - 1))):
            end = budget.begin(repository)
            budget.learn(repository, reading, budget.answers, is_pull=True)
            end()
    assert budget.experience == Experience(gets=10, counted=10)


@pytest.mark.parametrize("reading", [Reading(200, 60, source="a"), Reading(100, 60, source="b")])
def test_another_limit_or_another_address_is_no_fall(reading):
    budget = Budget()
    budget.learn("app", Reading(100, 90, source="a"), budget.answers)
    budget.learn("app", reading, budget.answers)
    assert budget.experience == Experience()


def test_a_price_needs_some_pulls_to_be_known():
    assert Experience(gets=ENOUGH - 1, counted=1).price is None
    assert Experience(gets=2 * ENOUGH, counted=ENOUGH).price == 0.5
    assert Experience(gets=ENOUGH, counted=3 * ENOUGH).price == 1


def test_how_full_indexes_are_is_known_from_the_first_one():
    assert Experience().fill is None
    budget = Budget()
    budget.saw_index(2, 10)
    budget.saw_index(4, 10)
    assert budget.experience.fill == 0.3
    assert Experience(named=30, possible=10).fill == 1


def test_what_is_long_ago_fades_away():
    known = Experience()
    for _ in range(20):
        known = Experience(gets=400, counted=400, named=400, possible=800).after(known)
    assert known.gets < 3000
    for _ in range(20):
        known = Experience(gets=400, counted=200, named=200, possible=800).after(known)
    assert (round(known.price, 2), round(known.fill, 2)) == (0.5, 0.25)


def test_others_are_those_of_the_last_run_that_pulled():
    earlier = Experience(gets=10, counted=10, others=7)
    assert Experience(gets=5, counted=5).after(earlier).others == 0
    assert Experience(others=9).after(earlier).others == 9
    assert Experience().after(earlier) == earlier


@given(st.builds(Experience, *5 * [st.integers(0, 1 << 20)]))
def test_it_is_written_and_read(experience):
    assert msgspec.json.decode(msgspec.json.encode(experience), type=Experience) == experience
