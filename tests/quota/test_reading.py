import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.quota.reading import Reading


def test_docker_hubs_headers():
    reading = Reading.of(
        {
            "ratelimit-limit": "100;w=21600",
            "ratelimit-remaining": "76;w=21600",
            "docker-ratelimit-source": "203.0.113.7",
        }
    )
    assert reading == Reading(limit=100, remaining=76, window=21600, source="203.0.113.7")
    assert reading.used == 24
    assert str(reading) == "76 of 100 pulls per 6 h left"


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(1, 10**7))
def test_what_is_written_is_read_again(limit, remaining, window):
    headers = {"ratelimit-limit": f"{limit};w={window}", "ratelimit-remaining": f"{remaining};w={window}"}
    assert Reading.of(headers) == Reading(limit, remaining, window)


@pytest.mark.parametrize("limit", ["", "no", "-1", "1.5;w=3", "100 per day", ";w=21600", "9" * 30])
def test_without_a_readable_limit_there_is_none(limit):
    assert Reading.of({"ratelimit-limit": limit, "ratelimit-remaining": "5"}) is None


def test_no_headers_mean_no_limit():
    assert Reading.of({}) is None


@pytest.mark.parametrize("limit", ["100", "100;", "100;x=2", "100;w=soon"])
def test_a_window_may_be_missing(limit):
    assert Reading.of({"ratelimit-limit": limit, "ratelimit-remaining": "7"}) == Reading(100, 7)
    assert str(Reading(100, 7)) == "7 of 100 pulls left"


def test_the_window_may_stand_at_the_other_header_or_among_others():
    assert Reading.of({"ratelimit-limit": "100", "ratelimit-remaining": "7;w=3600"}) == Reading(100, 7, 3600)
    assert Reading.of({"ratelimit-limit": '10 ; c="a"; w=60', "ratelimit-remaining": "7"}) == Reading(10, 7, 60)


def test_without_a_remainder_nothing_is_used():
    assert Reading.of({"ratelimit-limit": "100;w=60"}) == Reading(100, 100, 60)


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_header_is_too_strange(limit, remaining):
    Reading.of({"ratelimit-limit": limit, "ratelimit-remaining": remaining})
