"""What the collector removes, and what it must never remove."""

import os
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from homeport.errors import StoreError
from homeport.oci.digest import digest_of
from homeport.oci.manifest import RawManifest
from homeport.oci.media_types import OCI_INDEX, OCI_MANIFEST
from homeport.store import collection
from homeport.store.collection import Policy, collect
from homeport.store.filesystem import FileSystemStore
from homeport.store.leases import locked

POLICY = Policy(grace=7200)


@pytest.fixture
def store(tmp_path) -> FileSystemStore:
    return FileSystemStore(tmp_path / "data")


def age(store: FileSystemStore) -> None:
    """Let a day pass for everything that is there."""
    then = time.time() - 86400
    for path in store.layout.root.rglob("*"):
        os.utime(path, (then, then))


def push(store: FileSystemStore, content: bytes, repository: str = "a") -> str:
    upload = store.open_upload(repository, store.start_upload(repository))
    upload.write(content)
    upload.commit(digest_of(content))
    return digest_of(content)


def manifest(*digests: str, kind: str = OCI_MANIFEST) -> RawManifest:
    return RawManifest.of(("[" + ",".join(f'"{digest}"' for digest in digests) + "]").encode(), kind)


def there(store: FileSystemStore, digest: str, repository: str = "a") -> bool:
    blob = store.open_blob(repository, digest)
    if blob:
        blob.close()
    return blob is not None


def blobs(store: FileSystemStore) -> set[str]:
    return {f"sha256:{path.name}" for path in (store.layout.root / "blobs").rglob("*") if path.is_file()}


def test_what_no_manifest_names_goes_with_its_content_and_the_rest_stays(store):
    used, unused = push(store, b"used"), push(store, b"unused")
    push(store, b"unused", "b")
    store.put_manifest("a", manifest(used), tags=["x"])
    age(store)
    dry = collect(store.layout, Policy(grace=7200, dry_run=True))
    assert (dry.holds, dry.blobs, dry.bytes) == (2, 1, 6)
    assert blobs(store) == {used, unused}
    done = collect(store.layout, POLICY)
    assert (done.holds, done.blobs, done.bytes) == (2, 1, 6)
    assert blobs(store) == {used}
    assert there(store, used)
    assert collect(store.layout, POLICY).holds == 0


def test_what_was_touched_stays(store):
    digests = [push(store, name) for name in (b"head", b"mount", b"manifest", b"push", b"nothing")]
    head, mount, named, _, untouched = digests
    age(store)
    there(store, head)
    store.link_blob("b", mount, "a")
    store.put_manifest("a", manifest(named, kind="application/vnd.opaque"))
    push(store, b"push")
    collect(store.layout, POLICY)
    assert [there(store, digest) for digest in digests] == [True, True, True, True, False]
    assert there(store, mount, "b")
    assert blobs(store) == set(digests) - {untouched}


def test_content_that_was_written_long_ago_and_finished_now_stays(store):
    session = store.start_upload("a")
    upload = store.open_upload("a", session)
    upload.write(b"slow")
    age(store)
    upload.commit(digest_of(b"slow"))
    collect(store.layout, POLICY)
    assert there(store, digest_of(b"slow"))


def test_what_is_touched_while_the_collector_looks_stays(store, monkeypatch):
    digest = push(store, b"layer")
    age(store)
    real = collection.locked

    def touched_first(path: Path):
        there(store, digest)
        return real(path)

    monkeypatch.setattr(collection, "locked", touched_first)
    assert collect(store.layout, POLICY).holds == 0
    assert there(store, digest)


def test_a_manifest_that_is_pushed_again_while_the_collector_looks_stays(store, monkeypatch):
    pushed = manifest("lone")
    store.put_manifest("a", pushed)
    age(store)
    real = collection.locked

    def pushed_first(path: Path):
        store.put_manifest("a", pushed, tags=["x"])
        return real(path)

    monkeypatch.setattr(collection, "locked", pushed_first)
    assert collect(store.layout, Policy(grace=7200, untagged=("**",))).manifests == []
    assert store.get_manifest("a", "x") == pushed


def test_untagged_manifests_stay_unless_a_rule_names_them(store):
    lone = manifest("lone")
    store.put_manifest("a", lone)
    store.put_manifest("team/b", lone)
    age(store)
    assert collect(store.layout, POLICY).manifests == []
    assert collect(store.layout, Policy(grace=7200, untagged=("team/*",))).manifests == [f"team/b@{lone.digest}"]
    assert store.get_manifest("a", lone.digest)


def test_nothing_that_something_kept_needs_goes(store):
    blob = push(store, b"layer")
    child = manifest(blob)
    nested = manifest(child.digest, kind=OCI_INDEX)
    index = manifest(nested.digest, kind=OCI_INDEX)
    signature, note = manifest("signature"), manifest("signature of a signature")
    for one in (child, nested):
        store.put_manifest("a", one)
    store.put_manifest("a", index, tags=["x"])
    store.put_manifest("a", signature, subject=child.digest)
    store.put_manifest("a", note, subject=signature.digest)
    gone = manifest("gone")
    store.put_manifest("a", gone, subject=digest_of(b"absent"))
    age(store)
    done = collect(store.layout, Policy(grace=7200, untagged=("**",)))
    assert done.manifests == [f"a@{gone.digest}"]
    for kept in (child, nested, index, signature, note):
        assert store.get_manifest("a", kept.digest) == kept
    assert there(store, blob)


def test_a_repository_that_cannot_be_read_is_left_alone(store):
    blob = push(store, b"layer")
    store.put_manifest("a", manifest(blob), tags=["x"])
    [path] = (store.layout.place("a") / "_manifests").iterdir()
    path.write_bytes(b"spoilt")
    age(store)
    done = collect(store.layout, POLICY)
    assert done.unreadable == ["a"]
    assert there(store, blob)


def test_a_grace_that_leases_outlive_is_refused(store):
    with pytest.raises(StoreError, match="too short"):
        collect(store.layout, Policy(grace=60))


def test_what_said_that_a_deleted_manifest_refers_to_another_goes_and_comes_again(store):
    subject, first, second = (
        manifest(),
        RawManifest.of(b'{"n":1}', OCI_MANIFEST),
        RawManifest.of(b'{"n":2}', OCI_MANIFEST),
    )
    for raw in (first, second):
        store.put_manifest("a", raw, subject=subject.digest)
    store.delete_manifest("a", first.digest)
    marks = store.layout.place("a") / "_referrers" / subject.digest.replace(":", "-")
    assert collect(store.layout, POLICY).marks == 0, "it was made just now"
    age(store)
    assert collect(store.layout, Policy(grace=7200, dry_run=True)).marks == 1
    assert collect(store.layout, POLICY).marks == 1
    assert [path.name for path in marks.iterdir()] == [second.digest.replace(":", "-")]
    store.put_manifest("a", first, subject=subject.digest)
    assert store.referrers("a", subject.digest) == sorted((first.digest, second.digest))


def test_the_mark_of_a_manifest_that_comes_while_the_collector_looks_stays(store, monkeypatch):
    subject, referrer = manifest(), RawManifest.of(b"{}", OCI_MANIFEST)
    store.put_manifest("a", referrer, subject=subject.digest)
    store.delete_manifest("a", referrer.digest)
    age(store)

    @contextmanager
    def after_a_push(path):
        monkeypatch.undo()
        store.put_manifest("a", referrer, subject=subject.digest)
        age(store)
        with locked(path):
            yield

    monkeypatch.setattr(collection, "locked", after_a_push)
    assert collect(store.layout, POLICY).marks == 0
    assert store.referrers("a", subject.digest) == [referrer.digest]
