from hypothesis import given
from hypothesis import strategies as st

from homeport.quota.forecast import Forecast, forecast
from homeport.quota.reading import Reading

HUB = Reading(limit=100, remaining=76, window=21600)


def test_what_is_left_is_enough():
    assert forecast(76, 76, HUB) == Forecast(fits=True, seconds=0)


def test_one_more_waits_for_the_window():
    assert forecast(77, 77, HUB) == Forecast(fits=False, seconds=21600)
    assert forecast(176, 176, HUB) == Forecast(fits=False, seconds=21600)
    assert forecast(177, 177, HUB) == Forecast(fits=False, seconds=2 * 21600)


def test_bounds_around_what_is_left_leave_it_open():
    assert forecast(10, 90, HUB) == Forecast(fits=None, seconds=21600)


def test_without_an_upper_bound_there_is_no_date():
    assert forecast(10, None, HUB) == Forecast(fits=None, seconds=None)
    assert forecast(80, None, HUB) == Forecast(fits=False, seconds=None)


def test_without_a_limit_all_fits():
    assert forecast(10**6, None, None) == Forecast(fits=True, seconds=0)


def test_what_counts_nothing_fits_even_where_nothing_is_left():
    assert forecast(0, 0, Reading(100, 0, 21600)) == Forecast(fits=True, seconds=0)


def test_a_limit_of_nothing_never_lets_through():
    assert forecast(1, 1, Reading(0, 0, 21600)) == Forecast(fits=False, seconds=None)


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(1, 500), st.integers(0, 500))
def test_the_wait_is_long_enough_and_no_window_too_long(low, more, limit, used):
    reading = Reading(limit, max(0, limit - used), 3600)
    result = forecast(low, low + more, reading)
    windows = result.seconds / 3600
    assert reading.remaining + windows * limit >= low + more
    assert windows == 0 or reading.remaining + (windows - 1) * limit < low + more
