from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.errors import ContentError
from homeport.oci.ranges import ByteRange
from homeport.oci.uploads import parse_chunk_range, range_received


@given(st.integers(0, 1 << 50), st.integers(1, 1 << 50))
def test_a_chunk_reads_as_it_was_written(start, length):
    chunk = ByteRange(start, start + length)
    assert parse_chunk_range(f"{start}-{start + length - 1}") == chunk
    assert parse_chunk_range(chunk.content_range(start + length)) == chunk


@pytest.mark.parametrize(
    "header", ["", "-", "0", "0-", "-5", "5-4", "a-b", "0-1,2-3", "0-" + "9" * 40, "\u0660-\u0663", "0 - 3"]
)
def test_what_is_no_chunk_is_refused_and_shown(header):
    with pytest.raises(ContentError, match="is not the range of a chunk"):
        parse_chunk_range(header)


@given(st.text(max_size=40))
def test_any_text_is_a_chunk_or_refused(text):
    with suppress(ContentError):
        assert parse_chunk_range(text).length > 0


def test_docker_can_read_how_much_was_received():
    assert [range_received(size) for size in (0, 1, 10)] == ["0-0", "0-0", "0-9"]
