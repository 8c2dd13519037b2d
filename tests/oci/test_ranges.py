import email

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.oci.ranges import ByteRange, multipart, parse_ranges

SIZE = 2000
NOTHING: tuple[ByteRange, ...] = ()


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", (ByteRange(0, 1),)),
        ("bytes=500-1499", (ByteRange(500, 1500),)),
        ("bytes=500-", (ByteRange(500, 2000),)),
        ("bytes=-500", (ByteRange(1500, 2000),)),
        ("bytes=-5000", (ByteRange(0, 2000),)),
        ("bytes=1999-99999", (ByteRange(1999, 2000),)),
        ("bytes=0-" + "9" * 5000, (ByteRange(0, 2000),)),
        ("Bytes = 5-6", (ByteRange(5, 7),)),
        ("bytes=2000-", NOTHING),
        ("bytes=5000-10000", NOTHING),
        ("bytes=500-0", NOTHING),
        ("bytes=-0", NOTHING),
        ("bytes=" + "9" * 5000 + "-", NOTHING),
        ("", None),
        ("bytes=", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("bytes=5-6, 0-1", (ByteRange(5, 7), ByteRange(0, 2))),
        ("bytes=0-1,9000-,-1", (ByteRange(0, 2), ByteRange(1999, 2000))),
        ("bytes=9000-,8000-", NOTHING),
        ("bytes=0-,0-", None),
        ("bytes=0-1,", None),
        ("bytes=0-1,x", None),
        ("lines=0-1", None),
        ("bytes=\u0663-\u0664", None),
    ],
)
def test_a_range_header_is_read_as_rfc_9110_says(header, expected):
    assert parse_ranges(header, SIZE) == expected


def test_an_empty_blob_has_no_part():
    assert parse_ranges("bytes=0-", 0) == ()


@given(size=st.integers(0, 1 << 40), first=st.integers(0, 1 << 41), last=st.none() | st.integers(0, 1 << 41))
def test_what_is_served_lies_inside_and_is_what_was_asked_for(size, first, last):
    parts = parse_ranges(f"bytes={first}-{'' if last is None else last}", size)
    asked = range(first, min(size, size if last is None else last + 1))
    assert parts == ((ByteRange(asked.start, asked.stop),) if asked else ())


@given(st.text(max_size=60), st.integers(0, 1 << 40))
def test_any_text_is_ignored_or_lies_inside(text, size):
    for header in (text, f"bytes={text}"):
        parts = parse_ranges(header, size) or ()
        assert all(0 <= part.start < part.stop <= size for part in parts)
        assert sum(part.length for part in parts) <= size


def test_the_answer_names_the_part_or_the_size():
    assert ByteRange(500, 1500).content_range(2000) == "bytes 500-1499/2000"
    assert ByteRange(0, 0).content_range(2000) == "bytes */2000"


@given(st.binary(min_size=1, max_size=200), st.data())
def test_several_parts_are_read_by_a_mail_parser(content, data):
    starts = st.integers(0, len(content) - 1)
    firsts = data.draw(st.lists(starts, min_size=2, max_size=5))
    parts = [ByteRange(first, data.draw(st.integers(first + 1, len(content)))) for first in firsts]
    pieces = multipart(parts, len(content), "application/octet-stream", "edge")
    body = b"".join(content[p.start : p.stop] if isinstance(p, ByteRange) else p for p in pieces)
    whole = b"content-type: multipart/byteranges; boundary=edge\r\n\r\n" + body
    sections = body.split(b"\r\n--edge")
    assert sections[-1] == b"--\r\n"
    assert email.message_from_bytes(whole).is_multipart()
    for part in parts:
        assert f"content-range: {part.content_range(len(content))}\r\n".encode() in body
