"""Files in a row: whatever the disk and others do to them meanwhile."""

import errno
import os
from pathlib import Path

import pytest

from homeport.errors import InputError, StoreError
from homeport.store.pieces import Pieces, take


def test_a_range_goes_over_the_ends_of_files(tmp_path: Path):
    files = [tmp_path / name for name in ("1", "2", "3")]
    with Pieces.create(files, [3, 1, 4]) as pieces:
        pieces.write_at(1, b"bcdefg")
        assert pieces.read(0, 100) == b"\0bcdefg\0"
        assert pieces.name(2, 5) == f"{files[0]} to {files[2]}"
        assert pieces.name(8, 9) == str(files[2])
    assert [file.read_bytes() for file in files] == [b"\0bc", b"d", b"efg\0"]


def test_a_disk_that_takes_a_part_gets_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda handle, data, offset: write(handle, data[:3], offset))
    with Pieces.create([tmp_path / "1", tmp_path / "2"], [8, 8]) as pieces:
        pieces.write_at(2, b"0123456789")
        assert pieces.read(2, 10) == b"0123456789"


def test_a_file_that_was_cut_meanwhile_ends_there(tmp_path: Path):
    (tmp_path / "1").write_bytes(b"0123456789")
    with Pieces.open([tmp_path / "1"]) as pieces:
        os.truncate(tmp_path / "1", 4)
        assert pieces.read(0, 10) == b"0123"
        assert pieces.read_at(6, memoryview(bytearray(2))) == 0


def test_what_was_written_ends_at_the_first_hole(tmp_path: Path):
    part = 4 << 20
    with Pieces.create([tmp_path / name for name in "123"], [part, part, part]) as pieces:
        assert pieces.written(0, 3 * part) == 0
        pieces.write_at(0, bytes(part + (1 << 20)))
        pieces.write_at(2 * part, bytes(part))
        assert part + (1 << 20) <= pieces.written(0, 3 * part) < 2 * part
        assert pieces.written(10, part) == part - 10
        assert pieces.written(2 * part, 3 * part) == part


def test_what_another_run_has_just_finished_is_not_taken(tmp_path: Path):
    file = tmp_path / "b.tar.partial"
    for meanwhile in (lambda: file.rename(tmp_path / "b.tar"), lambda: file.write_bytes(b"another")):
        handle = os.open(file, os.O_RDWR | os.O_CREAT)
        try:
            meanwhile()
            if file.exists():
                file.unlink()
                file.write_bytes(b"a new one")
            with pytest.raises(BlockingIOError):
                take(file, handle)
        finally:
            os.close(handle)


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path):
    (tmp_path / "1").write_bytes(b"1")
    with pytest.raises(InputError, match=r"2: No such file"):
        Pieces.open([tmp_path / "1", tmp_path / "2"])
    with pytest.raises(StoreError, match=r"none/2: No such file"):
        Pieces.create([tmp_path / "1", tmp_path / "none/2"], [1, 1])


def test_an_error_of_the_disk_at_the_end_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def broken(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with Pieces.create([tmp_path / "1"], [1]) as pieces:
        monkeypatch.setattr(os, "fsync", broken)
        with pytest.raises(StoreError, match=r"1: Input/output error"):
            pieces.sync()
