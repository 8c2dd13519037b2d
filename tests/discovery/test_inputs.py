"""Reading files, folders and standard input."""

import io
import os

import pytest

from homeport.discovery.inputs import MAX_SIZE, read_inputs


def read(*names, stdin=b"", **options):
    return read_inputs([str(name) for name in names], stdin=io.BytesIO(stdin), **options)


def test_a_folder_gives_its_manifests_sorted_and_nothing_else(tmp_path):
    for name in ("b.yaml", "a/c.yml", "a/d.json", "a/e.txt", "README.md", "Z.YAML"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("a: 1")
    sources, errors = read(tmp_path)
    assert [source.relative for source in sources] == ["Z.YAML", "a/c.yml", "a/d.json", "b.yaml"]
    assert errors == []


def test_links_that_lead_in_circles_end(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.yaml").write_text("a: 1")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "again.yaml").symlink_to(tmp_path / "a" / "x.yaml")
    (tmp_path / "self.yaml").symlink_to(tmp_path / "self.yaml")
    sources, errors = read(tmp_path)
    assert [source.relative for source in sources] == ["a/x.yaml", "again.yaml"]
    assert "self.yaml" in str(errors[0])


def test_line_ends_and_byte_order_mark_are_kept(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    ((source,), _) = read(path)
    assert (source.text, source.bom) == ("a: 1\r\nb: 2\r\n", True)
    assert source.encode(source.text) == path.read_bytes()


def test_stdin_is_a_source():
    ((source,), errors) = read("-", stdin=b"a: 1\n")
    assert (source.name, source.text, source.path, errors) == ("-", "a: 1\n", None, [])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a: ü\n".encode("latin-1"), "1: the text is not UTF-8"),
        ("a: 1\n".encode("utf-16"), "the text is UTF-16"),
        (b"a: 1\nb: \xff\n", "2: the text is not UTF-8"),
    ],
)
def test_other_encodings_are_refused(tmp_path, content, words):
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    sources, (error,) = read(path)
    assert sources == []
    assert words in str(error)
    assert "UTF-8" in error.hint


def test_what_is_too_large_is_refused_unread(tmp_path):
    path = tmp_path / "huge.yaml"
    with path.open("wb") as file:
        file.truncate(100 << 20)
    sources, (error,) = read(path)
    assert sources == []
    assert f"larger than {MAX_SIZE:,} bytes" in str(error)
    assert "--max-size" in error.hint


def test_the_limit_holds_for_stdin_and_pipes_too(tmp_path):
    assert "larger than 5 bytes" in str(read("-", stdin=b"123456", max_size=5)[1][0])
    assert read("-", stdin=b"12345", max_size=5)[1] == []
    small = tmp_path / "a.yaml"
    small.write_bytes(b"123456")
    assert "larger than 5 bytes" in str(read(small, max_size=5)[1][0])


def test_what_is_not_there_or_not_readable_is_named_and_the_rest_is_read(tmp_path):
    (tmp_path / "empty").mkdir()
    good = tmp_path / "good.yaml"
    good.write_text("a: 1")
    sources, errors = read(tmp_path / "missing.yaml", tmp_path / "empty", good)
    assert [source.path for source in sources] == [good]
    assert "missing.yaml: cannot be read: No such file or directory" in str(errors[0])
    assert "empty: no manifest in this folder" in str(errors[1])


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_rights_is_named(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: 1")
    path.chmod(0)
    assert "Permission denied" in str(read(path)[1][0])
