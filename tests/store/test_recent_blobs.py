"""Small blobs in memory: what is handed out is what the file says now, and memory has an end."""

import os

import pytest

from homeport.oci.digest import digest_of
from homeport.store import recent_blobs
from homeport.store.filesystem import FileSystemStore


def push(store: FileSystemStore, content: bytes) -> str:
    upload = store.open_upload("a", store.start_upload("a"))
    upload.write(content)
    upload.commit(digest_of(content))
    return digest_of(content)


def at_hand(store: FileSystemStore, digest: str) -> bytes | None:
    blob = store.open_blob("a", digest)
    try:
        return blob.at_hand()
    finally:
        blob.close()


@pytest.fixture
def store(tmp_path) -> FileSystemStore:
    return FileSystemStore(tmp_path / "data")


@pytest.fixture(autouse=True)
def _in_memory(monkeypatch):
    """Take every file for one that is in the page cache: not every file system can tell."""
    monkeypatch.setattr(recent_blobs, "_RWF_NOWAIT", 0)


def test_a_blob_is_at_hand_from_the_second_time_on(store, monkeypatch):
    digest = push(store, b"content")
    assert at_hand(store, digest) is None
    assert at_hand(store, digest) == b"content"
    monkeypatch.setattr(os, "preadv", None)
    assert at_hand(store, digest) == b"content"


def test_a_file_that_changed_is_read_anew(store):
    digest = push(store, b"content")
    assert [at_hand(store, digest) for _ in range(2)] == [None, b"content"]
    store.layout.content(digest).write_bytes(b"spoilt!")
    os.utime(store.layout.content(digest), (1, 1))
    assert [at_hand(store, digest) for _ in range(2)] == [None, b"spoilt!"]
    push(store, b"content")
    assert [at_hand(store, digest) for _ in range(2)] == [None, b"content"]


def test_what_would_have_to_be_waited_for_and_what_is_large_is_not_at_hand(store, monkeypatch):
    small, large = push(store, b"small"), push(store, bytes(recent_blobs.LARGEST + 1))
    assert [at_hand(store, large) for _ in range(3)] == [None] * 3
    assert [at_hand(store, push(store, b"")) for _ in range(3)] == [None] * 3

    def would_wait(*_args):
        raise BlockingIOError

    monkeypatch.setattr(os, "preadv", would_wait)
    assert [at_hand(store, small) for _ in range(3)] == [None] * 3


def test_memory_has_an_end_and_what_is_asked_for_stays(store, monkeypatch):
    monkeypatch.setattr(recent_blobs, "MOST_BYTES", 3000)
    monkeypatch.setattr(recent_blobs, "SEEN", 5)
    digests = [push(store, bytes([number]) * 1000) for number in range(10)]
    for digest in digests[1:]:
        for wanted in (digest, digest, digests[0]):
            at_hand(store, wanted)
    kept = store._blobs
    assert kept._bytes == sum(map(len, kept._kept.values())) == 3000
    assert bytes(1000) in kept._kept.values()
    assert len(kept._seen) <= 5
