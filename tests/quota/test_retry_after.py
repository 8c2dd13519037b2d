from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.quota.retry_after import parse_retry_after

NOW = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)


@given(st.integers(0, 10**8))
def test_seconds(seconds):
    assert parse_retry_after(f" {seconds} ", NOW) == seconds


@given(st.integers(-(10**8), 10**8))
def test_a_date_and_unix_time_name_a_moment(seconds):
    moment = NOW + timedelta(seconds=seconds)
    assert parse_retry_after(format_datetime(moment, usegmt=True), NOW) == max(0, seconds)
    assert parse_retry_after(str(int(moment.timestamp())), NOW) == max(0, seconds)


@pytest.mark.parametrize(
    "header", ["", "soon", "-5", "1.5", "880.092µs", "٣", "1" * 40, "Fri, 99 Foo 2026 99:99:99 GMT"]
)
def test_what_cannot_be_read_is_not_known(header):
    assert parse_retry_after(header, NOW) is None


@given(st.text(max_size=60))
def test_no_header_is_too_strange(header):
    seconds = parse_retry_after(header, NOW)
    assert seconds is None or seconds >= 0
