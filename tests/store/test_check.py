"""Every damage is named; what can be mended is."""

from pathlib import Path

import pytest

from homeport.oci.digest import digest_of
from homeport.oci.manifest import RawManifest
from homeport.oci.media_types import OCI_CONFIG, OCI_MANIFEST
from homeport.store.check import check_store
from homeport.store.filesystem import FileSystemStore

LAYER = b"{}"
DIGEST = digest_of(LAYER)
SUBJECT = digest_of(b"subject")
CONFIG = f'{{"mediaType":"{OCI_CONFIG}","digest":"{DIGEST}","size":2}}'
REFERENCE = f'{{"mediaType":"{OCI_MANIFEST}","digest":"{SUBJECT}","size":7}}'
IMAGE = RawManifest.of(
    f'{{"schemaVersion":2,"config":{CONFIG},"layers":[],"subject":{REFERENCE}}}'.encode(), OCI_MANIFEST
)


@pytest.fixture
def store(tmp_path) -> FileSystemStore:
    store = FileSystemStore(tmp_path / "data")
    push(store)
    store.put_manifest("a/b", IMAGE, tags=["x"], needs=[DIGEST], subject=SUBJECT)
    return store


def push(store: FileSystemStore) -> None:
    upload = store.open_upload("a/b", store.start_upload("a/b"))
    upload.write(LAYER)
    upload.commit(DIGEST)


def told(store: FileSystemStore, *, repair: bool = False) -> list[str]:
    return [str(damage) for damage in check_store(store.layout, repair=repair)]


def one(store: FileSystemStore, pattern: str) -> Path:
    [path] = store.layout.root.glob(pattern)
    return path


def test_a_whole_store_has_no_damage(store):
    store.put_manifest("a", RawManifest.of(b"not json", "application/vnd.opaque"), tags=["y"])
    store.start_upload("a/b")
    assert told(store) == []


def test_a_spoilt_blob_is_set_aside_and_a_push_brings_it_back(store):
    one(store, "blobs/sha256/*/*").write_bytes(b"spoilt")
    assert "not what its digest says" in told(store)[0]
    assert told(store, repair=True)[0].endswith("(repaired)")
    assert store.open_blob("a/b", DIGEST) is None
    push(store)
    assert told(store) == []


def test_a_spoilt_manifest_is_set_aside_with_its_tag(store):
    one(store, "repositories/a/b/_manifests/*").write_bytes(b"spoilt")
    assert [line.partition(": ")[0] for line in told(store)] == [f"a/b@{IMAGE.digest}"]
    assert len(told(store, repair=True)) == 2
    assert store.get_manifest("a/b", "x") is None
    store.put_manifest("a/b", IMAGE, tags=["x"], needs=[DIGEST], subject=SUBJECT)
    assert told(store) == []


def test_a_lost_blob_is_named_with_the_image_that_needs_it(store):
    one(store, "blobs/sha256/*/*").unlink()
    lines = told(store, repair=True)
    assert lines[0] == f"a/b@{DIGEST}: the blob is gone; push the image again (repaired)"
    assert lines[1] == f"a/b@{IMAGE.digest}: the blob {DIGEST} is gone; push the image again"


@pytest.mark.parametrize("pattern", ["repositories/a/b/_blobs/*", "repositories/a/b/_referrers/*/*"])
def test_a_lost_mark_is_made_again(store, pattern):
    one(store, pattern).unlink()
    assert len(told(store)) == 1
    assert told(store, repair=True)[0].endswith("(repaired)")
    assert told(store) == []
    assert store.referrers("a/b", SUBJECT) == [IMAGE.digest]


@pytest.mark.parametrize("content", [b"", b"\xff", digest_of(b"absent").encode()])
def test_a_tag_that_names_nothing_is_removed(store, content):
    (store.layout.place("a/b") / "_tags" / "void").write_bytes(content)
    assert told(store)[0].startswith("a/b:void: names ")
    told(store, repair=True)
    assert told(store) == []
    assert store.tags("a/b", limit=9) == ["x"]


def test_names_that_are_none_are_told(store):
    for name in (
        "blobs/sha256/zz/zz",
        "repositories/a/b/_manifests/x",
        "repositories/a/b/_blobs/x",
        "repositories/a/b/_tags/-",
    ):
        path = store.layout.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    assert len(told(store)) == 4
