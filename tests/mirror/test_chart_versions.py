"""Which version of a chart a range means; tests/peers/test_bundle_charts.py asks Helm the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.errors import UsageError
from homeport.mirror.bundle.chart_versions import ChartRange, ChartVersion, highest, is_exact

THERE = [
    "0.0.3",
    "0.0.4",
    "0.2.3",
    "0.2.10",
    "1.2.0",
    "1.2.9",
    "1.10.0+b.1",
    "2.0.0-rc.2",
    "2.0.0-rc.10",
    "2.0.0",
    "3.0.0-alpha",
]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("", "2.0.0"),
        ("*", "2.0.0"),
        (">0-0", "3.0.0-alpha"),
        ("^1.2", "1.10.0+b.1"),
        ("^1.2.0, <1.10", "1.2.9"),
        ("~1.2.0", "1.2.9"),
        ("~1", "1.10.0+b.1"),
        ("1.2", "1.2.9"),
        ("1.x", "1.10.0+b.1"),
        (">=1 <2", "1.10.0+b.1"),
        (">1 <2.1", "2.0.0"),
        ("<=1.2", "1.2.9"),
        ("<2", "1.10.0+b.1"),
        ("<2-0", "1.10.0+b.1"),
        ("~2.0.0-0", "2.0.0"),
        (">=2.0.0-0 <2.0.0", "2.0.0-rc.10"),
        ("^0.2", "0.2.10"),
        ("^0.0.3", "0.0.3"),
        ("^0.0", "0.0.4"),
        ("0.2 || 0.0.x", "0.2.10"),
        ("0.0.3 - 1.2", "1.2.9"),
        ("!=2, !=1.10.0", "1.2.9"),
        ("v1.2.0", "1.2.0"),
        ("=> 1.2.0 =< 1.2.5", "1.2.0"),
        ("2.0.0-rc.2", "2.0.0-rc.2"),
        ("4", None),
        (">3", None),
        (">1.2 <1.9", None),
    ],
)
def test_the_highest_of_a_range_is_taken(wanted: str, found: str | None):
    assert highest(THERE, wanted) == found
    assert highest(reversed(THERE), wanted) == found


def test_what_is_there_to_the_letter_is_taken():
    assert highest(["1.2", "1.2.3"], "1.2") == "1.2"
    assert highest(["1.0.0+a", "1.0.0+b"], "1.0.0+a") == "1.0.0+a"
    assert highest(["stable", "1.0.0"], "stable") == "stable"


def test_of_equal_precedence_the_choice_does_not_depend_on_the_order():
    assert highest(["1.0.0+b", "1.0.0+a"], "1") == highest(["1.0.0+a", "1.0.0+b"], "1") == "1.0.0+b"


def test_what_is_no_version_is_passed_over():
    assert (
        highest(["latest", "1.2.3.4", "01.2.3", "1.2.3-", "1.2.3-a..b", "1.2.3+", "", "1.0.0", "9" * 30], "*")
        == "1.0.0"
    )


@pytest.mark.parametrize("text", ["latest", ">=", "1.2.3.4", "^1 || ", "|| 1", "1 -", "<<1", "1;2", ",1", "1." * 400])
def test_what_is_no_range_is_refused(text: str):
    with pytest.raises(UsageError, match="no range of versions"):
        ChartRange.parse(text)


def test_previews_are_in_the_order_of_their_parts():
    ordered = [
        "1.0.0-1",
        "1.0.0-2",
        "1.0.0-10",
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta",
        "1.0.0-rc.2",
        "1.0.0-rc.11",
        "1.0.0",
    ]
    read = [ChartVersion.of(text) for text in ordered]
    assert [version.precedence for version in read if version] == sorted(
        version.precedence for version in read if version
    )
    assert None not in read


@pytest.mark.parametrize(
    ("text", "exact"), [("1.2.3", True), ("v1.2.3-rc.1+b", True), ("1.2", False), ("^1.2.3", False), ("1.2.x", False)]
)
def test_one_version_is_told_from_a_range(text: str, exact: bool):
    assert is_exact(text) == exact


@given(
    st.lists(
        st.sampled_from(["1", "x", ".", "-", "||", "^", ">=", " ", ",", "0", "*", "rc", "+", "~"]), max_size=12
    ).map("".join)
)
def test_any_text_is_a_range_or_refused(text: str):
    try:
        found = ChartRange.parse(text)
    except UsageError:
        return
    assert isinstance(ChartVersion((1, 0, 0)) in found, bool)
