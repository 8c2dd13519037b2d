"""Compressed archives: read at any place, or refused."""

import gzip
import hashlib
import io
import struct
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from homeport.errors import ContentError
from homeport.store import packed as packed_module
from homeport.store.files import Archive, read_whole
from homeport.store.packed import FRAME, Packed, pack, stretches, table_of
from homeport.store.pieces import Pieces
from homeport.store.unpack import zstd


def packed_bytes(plain: bytes) -> bytes:
    frames = [(pack(plain[start : start + length]), length) for start, length in stretches(len(plain))]
    return b"".join(frame for frame, _ in frames) + table_of([(len(frame), length) for frame, length in frames])


def opened(folder: Path, body: bytes) -> Packed | None:
    file = folder / "x.zst"
    file.write_bytes(body)
    return Packed.open(Pieces.open([file]))


@pytest.fixture
def small_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_module, "FRAME", 1000)
    monkeypatch.setattr(packed_module, "_KEPT_BYTES", 3000)


@pytest.mark.usefixtures("small_frames")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.integers(0, 5000), st.lists(st.tuples(st.integers(0, 5100), st.integers(0, 2500)), max_size=10))
def test_any_range_is_what_it_was(tmp_path: Path, size: int, ranges: list[tuple[int, int]]):
    plain = hashlib.shake_128(b"seed").digest(size)
    archive = opened(tmp_path, packed_bytes(plain))
    assert archive
    with_all = [(0, size), *ranges]
    assert [archive.read(start, length) for start, length in with_all] == [
        plain[start : start + length] for start, length in with_all
    ]
    archive.close()


def test_zstd_itself_passes_over_the_table():
    plain = bytes(3 * FRAME + 7)
    assert zstd.decompress(packed_bytes(plain)) == plain


@pytest.mark.usefixtures("small_frames")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.integers(0, 3150), st.integers(1, 255))
def test_a_flipped_byte_is_refused_or_of_no_account(tmp_path: Path, place: int, flip: int):
    plain = hashlib.shake_128(b"seed").digest(3000)
    body = bytearray(packed_bytes(plain))
    body[place % len(body)] ^= flip
    try:
        archive = opened(tmp_path, bytes(body))
        if archive is None:
            return  # its end no longer says that it has a table: it is read as one of others
        assert archive.read(0, archive.size) == plain
        archive.close()
    except ContentError as caught:
        error = caught
    else:
        return
    assert "x.zst" in error.message


@pytest.mark.parametrize(
    "frames",
    [
        [(10, 1 << 30)],  # a frame that wants a gigabyte
        [(1 << 30, 10)],
        [(0, 10)],
        [(10, 0)],
        [(10, 10)] * 3,  # more than there is
    ],
)
def test_a_table_that_lies_is_refused(tmp_path: Path, frames: list[tuple[int, int]]):
    with pytest.raises(ContentError, match=r"x\.zst: it is damaged or cut off"):
        opened(tmp_path, pack(bytes(100)) + table_of(frames))


def test_a_frame_that_would_fill_the_memory_is_refused(tmp_path: Path):
    frame = pack(bytes(20 << 20))
    with pytest.raises(ContentError, match="damaged or cut off"):
        opened(tmp_path, frame + table_of([(len(frame), 20 << 20)]))


def test_a_frame_that_unpacks_to_more_than_its_table_says_is_refused(tmp_path: Path):
    bomb = pack(bytes(8 << 20))
    archive = opened(tmp_path, bomb + table_of([(len(bomb), 100)]))
    assert archive
    with pytest.raises(ContentError, match="damaged"):
        archive.read(0, 100)
    archive.close()


def test_a_table_of_more_frames_than_fit_is_refused(tmp_path: Path):
    with pytest.raises(ContentError, match="damaged"):
        opened(tmp_path, pack(b"a") + struct.pack("<IBI", 0xFFFFFFFF, 0, 0x8F92EAB1))


@pytest.mark.parametrize("form", ["gzip", "zstd", "zstd in frames"])
def test_archives_that_others_compressed_are_read(tmp_path: Path, form: str):
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        member = tarfile.TarInfo("file")
        member.size = 5000
        archive.addfile(member, io.BytesIO(bytes(range(250)) * 20))
    plain = held.getvalue()
    body = {
        "gzip": gzip.compress(plain[:600]) + gzip.compress(plain[600:]),
        "zstd": zstd.compress(plain),
        "zstd in frames": zstd.compress(plain[:600]) + zstd.compress(plain[600:]),
    }[form]
    (tmp_path / "a.tar").write_bytes(body)
    found = Archive([tmp_path / "a.tar"])
    assert read_whole(found, "file", 5000) == bytes(range(250)) * 20
    assert found.name("file") == str(tmp_path / "a.tar")
    found.close()
    (tmp_path / "a.tar").write_bytes(body[:-5])
    with pytest.raises(ContentError, match=r"a\.tar: it is damaged or cut off"):
        Archive([tmp_path / "a.tar"])


@pytest.mark.parametrize("form", [gzip.compress, zstd.compress])
def test_a_bomb_is_refused_before_it_fills_the_disk(tmp_path: Path, form):
    (tmp_path / "b.tar").write_bytes(form(bytes(100 << 20)))
    with pytest.raises(ContentError, match=r"b\.tar: it unpacks to more than 100 times its size"):
        Archive([tmp_path / "b.tar"])
