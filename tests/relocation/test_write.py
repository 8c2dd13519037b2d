"""How results leave: files in one piece, one stream, a diff."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from homeport.discovery.inputs import Source
from homeport.errors import InputError
from homeport.relocation.write import join, unified_diff, write_whole


def test_a_file_is_replaced_with_its_mode_and_nothing_is_left_beside_it(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("old")
    path.chmod(0o640)
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_a_symbolic_link_stays_one(tmp_path):
    (tmp_path / "real").mkdir()
    real = tmp_path / "real" / "a.yaml"
    real.write_text("old")
    link = tmp_path / "a.yaml"
    link.symlink_to(real)
    write_whole(link, b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"


def test_new_files_get_their_folders(tmp_path):
    write_whole(tmp_path / "x" / "y" / "a.yaml", b"new")
    assert (tmp_path / "x" / "y" / "a.yaml").read_bytes() == b"new"


def test_a_failed_write_leaves_the_old_file_whole(tmp_path, monkeypatch):
    path = tmp_path / "a.yaml"
    path.write_text("old")

    def full(descriptor):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="cannot be written: No space left on device"):
        write_whole(path, b"new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("texts", "stream"),
    [
        (["a: 1\n", "b: 2\n"], "a: 1\n---\nb: 2\n"),
        (["a: 1", "b: 2"], "a: 1\n---\nb: 2"),
        (["a: 1\n---\n", "b: 2\n"], "a: 1\n---\nb: 2\n"),
        (["a: 1\n", "---\nb: 2\n"], "a: 1\n---\nb: 2\n"),
        (["a: 1\n", "%YAML 1.1\n---\nb: 2\n"], "a: 1\n...\n%YAML 1.1\n---\nb: 2\n"),
        (["a: 1\r\n", "b: 2\r\n"], "a: 1\r\n---\r\nb: 2\r\n"),
        (['{"a": 1}', '{"b": 2}\n'], '{"a": 1}\n---\n{"b": 2}\n'),
    ],
)
def test_texts_join_to_one_stream_of_documents(texts, stream):
    joined = join([(Source(str(number), text), text) for number, text in enumerate(texts)])
    assert joined == stream.encode()
    assert [document for document in yaml.safe_load_all(joined) if document] == [{"a": 1}, {"b": 2}]


def test_only_the_streams_first_text_keeps_its_byte_order_mark():
    texts = [(Source("1", "a: 1\n", bom=True), "a: 1\n"), (Source("2", "b: 2\n", bom=True), "b: 2\n")]
    assert join(texts) == b"\xef\xbb\xbfa: 1\n---\nb: 2\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [("a: 1\nb: 2\n", "a: 1\nb: 3\n"), ("a: 1\nb: 2", "a: 1\nb: 3"), ("a: 1\r\nb: 2\r\n", "a: 1\r\nb: 3\r\n")],
)
def test_a_diff_applies(tmp_path, before, after):
    path: Path = tmp_path / "f.yaml"
    path.write_bytes(before.encode())
    diff = unified_diff(Source("f.yaml", before, relative="f.yaml"), after)
    subprocess.run(["patch", "--binary", "-p1", "-s"], input=diff.encode(), cwd=tmp_path, check=True)
    assert path.read_bytes() == after.encode()


def test_no_change_is_no_diff():
    assert unified_diff(Source("f", "a: 1\n"), "a: 1\n") == ""
