"""The tar reader on what someone hostile could write."""

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from homeport.errors import ContentError
from homeport.store.files import Archive, Folder, read_whole
from homeport.store.tar import END, header


def member(name: str = "file", size: int = 0, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    made = tarfile.TarInfo(name)
    made.size, made.type, made.linkname = size, kind, link
    return made.tobuf(tarfile.GNU_FORMAT)


def extended(*records: bytes, kind: bytes = tarfile.XHDTYPE) -> bytes:
    body = b"".join(records)
    return member("pax", len(body), kind) + body + bytes(-len(body) % 512)


def record(key: str, value: str) -> bytes:
    rest = f" {key}={value}\n".encode()
    length = len(rest) + 1
    while len(str(length)) + len(rest) != length:
        length += 1
    return str(length).encode() + rest


def table(folder: Path, body: bytes) -> dict[str, bytes]:
    file = folder / "h.tar"
    file.write_bytes(body + END)
    archive = Archive([file])
    try:
        return {name: read_whole(archive, name, 1 << 20) for name in archive.table}
    finally:
        archive.close()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (extended(record("size", "\u00b2")) + member(), "extended header is damaged"),
        (extended(record("size", "9" * 5000)) + member(), "extended header is damaged"),
        (extended(record("size", "-1")) + member(), "extended header is damaged"),
        (extended(record("size", str(1 << 50))) + member(), "cut off within"),
        (extended(record("path", "../evil")) + member(), "outside of it"),
        (extended(record("path", "a\x1b[2Jb")) + member(), "cannot be shown"),
        (extended(record("linkpath", "/etc/passwd")) + member(kind=tarfile.SYMTYPE), "outside of it"),
        (member("hard", kind=tarfile.LNKTYPE, link="../../etc/passwd"), "outside of it"),
        (extended(record("GNU.sparse.major", "1")) + member(), "sparse"),
        (extended(record("GNU.sparse.map", "0,1")) + member(), "sparse"),
        (member(kind=tarfile.GNUTYPE_SPARSE), "no file, folder or link"),
        (member(kind=tarfile.FIFOTYPE), "no file, folder or link"),
        (member(kind=tarfile.BLKTYPE), "no file, folder or link"),
        (extended(record("a", "b")) * 17 + member(), "more than 16 headers are about one file"),
        (member("pax", 2 << 20, tarfile.XHDTYPE) + bytes(2 << 20), "is too large"),
        (member("long", 2 << 20, tarfile.GNUTYPE_LONGNAME) + bytes(2 << 20), "is too large"),
        (extended(b"0 a=b\n") + member(), "extended header is damaged"),
        (extended(b"99 a=b\n") + member(), "extended header is damaged"),
        (extended(b"6 a=b\xff") + member(), "extended header is damaged"),
        (member("folder", 512, tarfile.DIRTYPE) + member("hidden"), "is no file, and has content"),
        (member("link", 512, tarfile.LNKTYPE, "file") + member("hidden"), "is no file, and has content"),
        (member() + member(), "holds file twice"),
        (member() + member(kind=tarfile.LNKTYPE, link="other"), "holds file twice"),
        (member() + b"\1" * 512, "header at byte 512 is damaged"),
    ],
)
def test_a_hostile_archive_is_refused_with_its_name(tmp_path: Path, body: bytes, words: str):
    with pytest.raises(ContentError, match=words) as caught:
        table(tmp_path, body)
    assert "h.tar" in caught.value.message
    assert caught.value.message.isprintable()


def test_links_are_followed_once_and_never_in_a_circle(tmp_path: Path):
    body = (
        member("a", kind=tarfile.SYMTYPE, link="b")
        + member("b", kind=tarfile.SYMTYPE, link="a")
        + member("one", 3)
        + b"one".ljust(512, b"\0")
        + member("two", kind=tarfile.LNKTYPE, link="one")
    )
    assert table(tmp_path, body) == {"one": b"one", "two": b"one"}


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.SYMTYPE])
def test_an_archive_of_too_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: bytes):
    monkeypatch.setattr("homeport.store.tar._MOST_ENTRIES", 3)
    body = b"".join(member(f"file{number}", kind=kind, link="file0") for number in range(3))
    assert len(table(tmp_path, member("file") + member("file1"))) == 2
    with pytest.raises(ContentError, match="more than 3 files"):
        table(tmp_path, member("file") + body)


def test_a_million_records_of_one_header_are_not_kept(tmp_path: Path):
    records = [record(f"k{number}", "") for number in range(50_000)]
    assert table(tmp_path, extended(*records, record("path", "named")) + member()) == {"named": b""}


def _packed(names: list[str]) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in names:
            made = tarfile.TarInfo(name)
            made.size = 10
            archive.addfile(made, io.BytesIO(b"0123456789"))
    return held.getvalue()


WHOLE = _packed(["short", "folder/" * 30 + "long", "\u00fcmlaut"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=5), st.integers(0, len(WHOLE)))
def test_whatever_is_changed_or_cut_off_is_read_or_refused(tmp_path: Path, changes: list[tuple[int, int]], cut: int):
    body = bytearray(WHOLE)
    for place, value in changes:
        body[place] = value
    _read_or_refused(tmp_path, bytes(body[: cut or None]))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)
@given(st.binary(max_size=1500).map(lambda body: header("file", len(body)) + body) | st.binary(max_size=1500))
def test_any_bytes_are_read_or_refused(tmp_path: Path, body: bytes):
    _read_or_refused(tmp_path, body)


def _read_or_refused(folder: Path, body: bytes) -> None:
    file = folder / "h.tar"
    file.write_bytes(body)
    try:
        Archive([file]).close()
    except ContentError as error:
        said = error.message
    else:
        return
    assert "h.tar" in said
    assert said.isprintable()


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_a_folder_has_files_alone(tmp_path: Path, make: Callable[[Path], None]):
    make(tmp_path / "index.json")
    assert Folder(tmp_path).size("index.json") is None
