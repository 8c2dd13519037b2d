"""How many pulls may begin, by what the registry's answers said."""

import threading

from homeport.quota.budget import Budget
from homeport.quota.reading import Reading


def test_without_a_word_of_a_limit_there_is_none():
    budget = Budget()
    assert all(budget.begin("app") for _ in range(100))


def test_what_is_under_way_is_spent_until_it_is_answered():
    budget = Budget()
    budget.learn("app", Reading(100, 2), budget.answers)
    first, second = budget.begin("app"), budget.begin("app")
    assert first
    assert second
    told: list[object] = []
    third = threading.Thread(target=lambda: told.append(budget.begin("app")), daemon=True)
    third.start()
    budget.learn("app", Reading(100, 1), budget.answers)
    first()
    budget.learn("app", Reading(100, 0), budget.answers)
    second()
    third.join(30)
    assert told == [None]


def test_a_pull_that_cost_nothing_lets_the_next_one_begin():
    budget = Budget()
    budget.learn("app", Reading(100, 1), budget.answers)
    end = budget.begin("app")
    assert end
    budget.learn("app", Reading(100, 1), budget.answers)
    end()
    assert budget.begin("app")


def test_an_answer_that_comes_late_does_not_give_pulls_back():
    budget = Budget()
    budget.learn("app", Reading(100, 3), budget.answers)
    asked = budget.answers
    ends = [budget.begin("app"), budget.begin("app")]
    for end, left in zip(ends, (1, 2), strict=True):
        budget.learn("app", Reading(100, left), asked)
        assert end
        end()
    assert budget.reading == Reading(100, 1)
    budget.learn("app", Reading(100, 50), budget.answers)
    assert budget.reading == Reading(100, 50)


def test_an_image_without_a_limit_is_free_while_others_are_not():
    budget = Budget()
    budget.learn("limited", Reading(100, 0), budget.answers)
    budget.learn("free", None, budget.answers)
    assert not budget.begin("limited")
    assert budget.begin("free")
    assert not budget.begin("unknown")
