"""Which tags of a repository a list chooses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.errors import UsageError
from homeport.mirror.selection import Range, Selection, Version

REDIS = ["7.2.4-52", "7.2.4-64", "7.2.4-86", "7.4.2-54", "7.4.2-129", "7.8.2-34", "latest", "7.8.2-34-rhel8"]


@pytest.mark.parametrize(
    ("wishes", "chosen"),
    [
        ({}, sorted(REDIS)),
        ({"tags": r"7\.2\..*"}, ["7.2.4-52", "7.2.4-64", "7.2.4-86"]),
        ({"versions": ">=7.2.4-64 <7.8"}, ["7.4.2-129", "7.4.2-54", "7.2.4-86", "7.2.4-64"]),
        ({"versions": "7.4"}, ["7.4.2-129", "7.4.2-54"]),
        ({"versions": "~7.2.4"}, ["7.2.4-86", "7.2.4-64", "7.2.4-52"]),
        ({"latest": 2}, ["7.8.2-34", "7.4.2-129"]),
        ({"latest": 1, "versions": "7.2"}, ["7.2.4-86"]),
        ({"latest": 2, "exclude": [r"7\.8.*"]}, ["7.4.2-129", "7.4.2-54"]),
        ({"tags": "8.*"}, []),
    ],
)
def test_tags_are_chosen(wishes: dict[str, object], chosen: list[str]):
    assert Selection("redislabs/redis", **wishes).choose(REDIS) == chosen


def test_tags_of_signatures_are_no_versions_of_anything():
    assert Selection("app").choose(["1", "sha256-" + 64 * "0" + ".sig"]) == ["1"]


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("^1.2", ["1.2", "1.2.0", "1.9.9", "v1.3"], ["1.1", "2.0"]),
        ("~1.2.3", ["1.2.3", "1.2.9"], ["1.2.2", "1.3.0"]),
        ("~1", ["1.0", "1.9"], ["2.0"]),
        (">1.0,<=2", ["1.0.1", "2.0.0"], ["1.0", "2.0.1"]),
        ("=1.2", ["1.2", "1.2.0"], ["1.2.1"]),
    ],
)
def test_ranges(text: str, inside: list[str], outside: list[str]):
    within = Range.parse(text)
    assert all(Version.of(tag) in within for tag in inside)
    assert not any(Version.of(tag) in within for tag in outside)


@pytest.mark.parametrize("text", ["", "latest", ">=", ">=1.0 or 2", "1.x", "!1"])
def test_what_is_no_range_is_refused(text: str):
    with pytest.raises(UsageError, match="is no range"):
        Range.parse(text)


def test_what_is_no_pattern_is_refused():
    with pytest.raises(UsageError, match="is no regular expression"):
        Selection("app", tags="(").choose(["1"])


@pytest.mark.parametrize("tag", ["latest", "1.2-alpine", "2.0-rc1", "", "1..2", "-1"])
def test_variants_and_previews_are_no_versions(tag: str):
    assert Version.of(tag) is None


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=5), st.lists(st.integers(0, 10**6), min_size=1, max_size=5))
def test_versions_are_ordered_as_their_numbers(one: list[int], two: list[int]):
    first, second = (Version.of(".".join(map(str, numbers))) for numbers in (one, two))
    assert first
    assert second
    length = max(len(one), len(two))
    padded = [numbers + [0] * (length - len(numbers)) for numbers in (one, two)]
    assert (first.compared(second) > 0) == (padded[0] > padded[1])
    assert (first.compared(second) == 0) == (padded[0] == padded[1])
