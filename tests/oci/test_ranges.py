import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.oci.ranges import ByteRange, parse_range

SIZE = 2000
NOTHING = ByteRange(SIZE, SIZE)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", ByteRange(0, 1)),
        ("bytes=500-1499", ByteRange(500, 1500)),
        ("bytes=500-", ByteRange(500, 2000)),
        ("bytes=-500", ByteRange(1500, 2000)),
        ("bytes=-5000", ByteRange(0, 2000)),
        ("bytes=1999-99999", ByteRange(1999, 2000)),
        ("bytes=0-" + "9" * 5000, ByteRange(0, 2000)),
        ("Bytes = 5-6", ByteRange(5, 7)),
        ("bytes=2000-", NOTHING),
        ("bytes=5000-10000", NOTHING),
        ("bytes=500-0", NOTHING),
        ("bytes=-0", NOTHING),
        ("bytes=" + "9" * 5000 + "-", NOTHING),
        ("", None),
        ("bytes=", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("bytes=0-1,5-6", None),
        ("lines=0-1", None),
        ("bytes=\u0663-\u0664", None),
    ],
)
def test_a_range_header_is_read_as_rfc_9110_says(header, expected):
    assert parse_range(header, SIZE) == expected


def test_an_empty_blob_has_no_part():
    assert parse_range("bytes=0-", 0) == ByteRange(0, 0)


@given(size=st.integers(0, 1 << 40), first=st.integers(0, 1 << 41), last=st.none() | st.integers(0, 1 << 41))
def test_what_is_served_lies_inside_and_is_what_was_asked_for(size, first, last):
    part = parse_range(f"bytes={first}-{'' if last is None else last}", size)
    asked = range(first, size if last is None else last + 1)
    assert range(part.start, part.stop) == range(max(asked.start, 0), min(asked.stop, size)) or part.length == 0
    assert 0 <= part.start <= part.stop <= size
    assert bool(part.length) == bool(range(asked.start, min(asked.stop, size)))


@given(st.text(max_size=60), st.integers(0, 1 << 40))
def test_any_text_is_ignored_or_lies_inside(text, size):
    for header in (text, f"bytes={text}"):
        part = parse_range(header, size)
        assert part is None or 0 <= part.start <= part.stop <= size


def test_the_answer_names_the_part_or_the_size():
    assert ByteRange(500, 1500).content_range(2000) == "bytes 500-1499/2000"
    assert NOTHING.content_range(2000) == "bytes */2000"
