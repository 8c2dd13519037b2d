"""What holds for files beyond the contract: crashes, full disks, spoilt content, foreign directories."""

import errno
import fcntl
import os
import time
from pathlib import Path

import pytest

from homeport.errors import ContentError, StoreError, StoreFullError, UploadTakenError, UsageError
from homeport.oci.digest import digest_of
from homeport.oci.manifest import RawManifest
from homeport.oci.media_types import OCI_MANIFEST
from homeport.store.durable import write_file
from homeport.store.filesystem import FileSystemStore

LAYER = b"layer" * 1000
DIGEST = digest_of(LAYER)
IMAGE = RawManifest.of(b'{"schemaVersion":2}', OCI_MANIFEST)


@pytest.fixture
def data(tmp_path) -> Path:
    return tmp_path / "data"


def push(store: FileSystemStore, repository: str = "a/b", content: bytes = LAYER) -> str:
    upload = store.open_upload(repository, store.start_upload(repository))
    upload.write(content)
    upload.commit(digest_of(content))
    return digest_of(content)


def read(store: FileSystemStore, repository: str = "a/b", digest: str = DIGEST) -> bytes | None:
    blob = store.open_blob(repository, digest)
    if blob is None:
        return None
    try:
        return blob.read(0, blob.size)
    finally:
        blob.close()


def files(data: Path) -> set[str]:
    return {str(path.relative_to(data)) for path in data.rglob("*") if path.is_file()}


def failing(number: int):
    def fail(*_args, **_kwargs):
        raise OSError(number, os.strerror(number))

    return fail


def test_the_layout_is_as_documented(data):
    store = FileSystemStore(data)
    push(store)
    session = store.start_upload("a/b")
    store.put_manifest("a/b", IMAGE, tags=["7.2.4-64"], subject=DIGEST)
    encoded, entry = DIGEST.partition(":")[2], IMAGE.digest.replace(":", "-")
    [upload] = [name for name in files(data) if name.startswith("uploads/")]
    assert upload.startswith(f"uploads/{session}.")
    assert files(data) - {upload} == {
        "layout",
        f"blobs/sha256/{encoded[:2]}/{encoded}",
        f"repositories/a/b/_blobs/sha256-{encoded}",
        f"repositories/a/b/_manifests/{entry}",
        f"repositories/a/b/_referrers/sha256-{encoded}/{entry}",
        "repositories/a/b/_tags/7.2.4-64",
    }
    assert (data / f"repositories/a/b/_manifests/{entry}").read_bytes() == OCI_MANIFEST.encode() + b"\n" + IMAGE.body
    assert (data / "repositories/a/b/_tags/7.2.4-64").read_text() == f"{IMAGE.digest}\n"


def test_everything_is_there_after_a_restart(data):
    store = FileSystemStore(data)
    push(store)
    store.put_manifest("a/b", IMAGE, tags=["x"])
    again = FileSystemStore(data)
    assert read(again) == LAYER
    assert again.get_manifest("a/b", "x") == IMAGE
    assert again.repositories(limit=9) == ["a/b"]


def test_only_the_owner_can_look_in(data):
    store = FileSystemStore(data)
    push(store)
    assert {path.stat().st_mode & 0o777 for path in (data, *data.rglob("*")) if path.is_dir()} == {0o700}


def test_blobs_are_stored_once_for_all_repositories(data):
    store = FileSystemStore(data)
    push(store, "a")
    push(store, "b")
    assert len([name for name in files(data) if name.startswith("blobs/")]) == 1


def test_an_upload_goes_on_after_the_server_was_killed(data):
    killed = FileSystemStore(data)
    session = killed.start_upload("a/b")
    killed.open_upload("a/b", session).write(LAYER[:2000])
    with pytest.raises(UploadTakenError):  # a kill would have freed the lock that the dead server's file still holds
        FileSystemStore(data).open_upload("a/b", session)
    killed.open_upload("a/b", session).close()
    store = FileSystemStore(data)
    upload = store.open_upload("a/b", session)
    assert upload.offset == 2000
    upload.write(LAYER[2000:])
    upload.commit(DIGEST)
    assert read(store) == LAYER


def test_bytes_that_another_process_received_count_for_the_digest(data):
    one, two = FileSystemStore(data), FileSystemStore(data)
    session = one.start_upload("a/b")
    for store, part in ((one, LAYER[:1000]), (two, LAYER[1000:3000]), (one, LAYER[3000:])):
        upload = store.open_upload("a/b", session)
        upload.write(part)
        upload.close()
    two.open_upload("a/b", session).commit(DIGEST)
    assert read(one) == LAYER


def test_an_upload_that_became_a_blob_while_it_was_being_opened_is_not_written_to(data, monkeypatch):
    store, other = FileSystemStore(data), FileSystemStore(data)
    session = store.start_upload("a/b")
    store.open_upload("a/b", session).write(LAYER)
    flock = fcntl.flock

    def commit_first(handle, operation):
        monkeypatch.undo()
        store.open_upload("a/b", session).commit(DIGEST)
        flock(handle, operation)

    monkeypatch.setattr("homeport.store.sessions.fcntl.flock", commit_first)
    assert other.open_upload("a/b", session) is None
    assert read(store) == LAYER


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_ends_the_upload_and_frees_its_room(data, monkeypatch, number):
    store = FileSystemStore(data)
    push(store, "other", b"before")
    upload = store.open_upload("a/b", store.start_upload("a/b"))
    upload.write(LAYER[:1000])
    before = files(data)
    monkeypatch.setattr("homeport.store.durable.os.writev", failing(number))
    with pytest.raises(StoreFullError, match=os.strerror(number)) as caught:
        upload.write(LAYER[1000:])
    assert "room" in caught.value.hint
    upload.close()
    monkeypatch.undo()
    assert not [name for name in files(data) if name.startswith("uploads/")]
    assert {name for name in before if not name.startswith("uploads/")} == files(data)
    assert push(store) == DIGEST
    assert read(store, "other", digest_of(b"before")) == b"before"


def test_a_disk_that_fills_up_at_the_end_of_an_upload_leaves_no_blob(data, monkeypatch):
    store = FileSystemStore(data)
    upload = store.open_upload("a/b", store.start_upload("a/b"))
    upload.write(LAYER)
    monkeypatch.setattr("homeport.store.sessions.os.fsync", failing(errno.ENOSPC))
    with pytest.raises(StoreFullError):
        upload.commit(DIGEST)
    monkeypatch.undo()
    assert read(store) is None
    assert files(data) == {"layout"}
    assert push(store) == DIGEST


@pytest.mark.parametrize("step", ["os.writev", "os.fsync", "Path.replace"])
def test_a_disk_that_is_full_for_a_manifest_leaves_the_old_one(data, monkeypatch, step):
    store = FileSystemStore(data)
    store.put_manifest("a/b", IMAGE, tags=["x"])
    before = files(data)
    newer = RawManifest.of(b'{"schemaVersion":2,"newer":true}', OCI_MANIFEST)
    monkeypatch.setattr(f"homeport.store.durable.{step}", failing(errno.ENOSPC))
    with pytest.raises(StoreFullError, match=newer.digest):
        store.put_manifest("a/b", newer, tags=["x"])
    monkeypatch.undo()
    assert store.get_manifest("a/b", "x") == IMAGE
    assert store.get_manifest("a/b", newer.digest) is None
    assert files(data) == before
    store.put_manifest("a/b", newer, tags=["x"])
    assert store.get_manifest("a/b", "x") == newer


def test_another_fault_of_the_disk_is_told_as_such(data, monkeypatch):
    store = FileSystemStore(data)
    upload = store.open_upload("a/b", store.start_upload("a/b"))
    upload.write(LAYER)
    monkeypatch.setattr("homeport.store.sessions.os.fsync", failing(errno.EIO))
    with pytest.raises(StoreError, match="Input/output error") as caught:
        upload.commit(DIGEST)
    assert not isinstance(caught.value, StoreFullError)
    monkeypatch.undo()
    assert read(store) is None


@pytest.fixture
def synced(monkeypatch) -> list[str]:
    """What was synced and renamed, in order: the last two components of each path."""
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def short(path: str | Path) -> str:
        return "/".join(Path(path).parts[-2:])

    def noting_fsync(handle):
        steps.append(f"sync {short(Path(f'/proc/self/fd/{handle}').readlink())}")
        fsync(handle)

    def noting_replace(self, target):
        steps.append(f"rename {short(target)}")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(Path, "replace", noting_replace)
    return steps


def test_a_blob_is_synced_before_it_is_seen_and_its_names_after(data, synced):
    store = FileSystemStore(data)
    push(store, "warm")
    session = store.start_upload("warm")
    upload = store.open_upload("warm", session)
    upload.write(LAYER)
    synced.clear()
    upload.commit(DIGEST)
    encoded = DIGEST.partition(":")[2]
    shard = encoded[:2]
    assert synced[0].startswith(f"sync uploads/{session}")
    assert synced[1:] == [f"rename {shard}/{encoded}", f"sync sha256/{shard}", "sync warm/_blobs"]


def test_a_manifest_is_durable_before_its_tag_points_at_it(data, synced):
    store = FileSystemStore(data)
    store.put_manifest("warm", RawManifest.of(b"{}", OCI_MANIFEST), tags=["x"])
    synced.clear()
    store.put_manifest("warm", IMAGE, tags=["x"])
    entry = IMAGE.digest.replace(":", "-")
    assert [step for step in synced if "staging" not in step] == [
        f"rename _manifests/{entry}",
        "sync warm/_manifests",
        "rename _tags/x",
        "sync warm/_tags",
    ]
    assert [step.split("/")[0] for step in synced].count("sync staging") == 2


def test_pushing_again_changes_no_byte_and_still_syncs_the_names(data, synced):
    store = FileSystemStore(data)
    store.put_manifest("a", IMAGE, tags=["x"])
    paths = [data / name for name in files(data)]
    before = {path: path.stat().st_mtime_ns for path in paths}
    synced.clear()
    store.put_manifest("a", IMAGE, tags=["x"])
    assert synced == ["sync a/_manifests", "sync a/_tags"]
    assert {path: path.stat().st_mtime_ns for path in paths} == before


def test_directories_are_durable_before_what_is_in_them(data, synced):
    store = FileSystemStore(data)
    synced.clear()
    store.put_manifest("a/b", IMAGE)
    parents = synced.index("sync data/repositories"), synced.index("sync repositories/a"), synced.index("sync a/b")
    assert parents == tuple(sorted(parents))
    assert parents[-1] < next(number for number, step in enumerate(synced) if step.startswith("rename"))


def test_manifests_of_a_repository_change_one_at_a_time_over_all_processes(data, monkeypatch):
    store, lock = FileSystemStore(data), data / "repositories/a"
    locked: list[bool] = []

    def write_while_locked(*args):
        another = os.open(lock, os.O_RDONLY)
        try:
            fcntl.flock(another, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            locked.append(True)
        else:
            locked.append(False)
        finally:
            os.close(another)
        write_file(*args)

    monkeypatch.setattr("homeport.store.filesystem.write_file", write_while_locked)
    store.put_manifest("a", IMAGE, tags=["x"])
    assert locked == [True, True]


def test_a_spoilt_manifest_is_not_handed_out_and_a_push_heals_it(data):
    store = FileSystemStore(data)
    store.put_manifest("a", IMAGE, tags=["x"])
    path = data / "repositories/a/_manifests" / IMAGE.digest.replace(":", "-")
    path.write_bytes(path.read_bytes().replace(b"2", b"3"))
    for identifier in ("x", IMAGE.digest):
        with pytest.raises(ContentError, match="spoilt on the disk"):
            store.get_manifest("a", identifier)
    store.put_manifest("a", IMAGE, tags=["x"])
    assert store.get_manifest("a", "x") == IMAGE


def test_a_blob_that_the_disk_lost_is_none_and_a_push_heals_it(data):
    store = FileSystemStore(data)
    push(store)
    [path] = [path for path in (data / "blobs").rglob("*") if path.is_file()]
    path.unlink()
    assert read(store) is None
    assert not store.link_blob("other", DIGEST, "a/b")
    assert list(store.put_manifest("a/b", IMAGE, needs=[DIGEST])) == [DIGEST]
    push(store)
    assert read(store) == LAYER


def test_a_blob_that_the_disk_spoilt_is_healed_by_a_push(data):
    store = FileSystemStore(data)
    push(store)
    [path] = [path for path in (data / "blobs").rglob("*") if path.is_file()]
    path.write_bytes(b"spoilt")
    push(store, "elsewhere")
    assert read(store) == LAYER


def test_tags_of_a_manifest_whose_deletion_was_interrupted_are_none(data):
    store = FileSystemStore(data)
    store.put_manifest("a", IMAGE, tags=["x"])
    store.put_manifest("a", RawManifest.of(b"{}", OCI_MANIFEST), tags=["y"])
    (data / "repositories/a/_manifests" / IMAGE.digest.replace(":", "-")).unlink()
    assert store.get_manifest("a", "x") is None
    assert store.tags("a", limit=1) == ["y"]


def test_a_directory_with_something_else_in_it_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds something else"):
        FileSystemStore(tmp_path)
    assert files(tmp_path) == {"thesis.txt"}


def test_a_registry_whose_making_was_interrupted_is_made(data):
    (data / "staging").mkdir(parents=True)
    FileSystemStore(data)
    assert files(data) == {"layout"}


def test_a_layout_of_another_version_is_refused(data):
    data.mkdir()
    (data / "layout").write_text("homeport 2\n")
    with pytest.raises(UsageError, match="another version"):
        FileSystemStore(data)


def test_a_path_that_is_a_file_is_refused(tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(StoreError, match="cannot open"):
        FileSystemStore(path)


def test_leftovers_of_long_ago_are_removed_at_start_and_fresh_ones_are_kept(data):
    store = FileSystemStore(data)
    old, fresh = store.start_upload("a"), store.start_upload("a")
    for directory, age in (("staging", 25 * 3600), ("uploads", 8 * 24 * 3600)):
        (data / directory / "old").write_bytes(b"")
        os.utime(data / directory / "old", (time.time() - age,) * 2)
    [path] = (data / "uploads").glob(f"{old}.*")
    os.utime(path, (time.time() - 8 * 24 * 3600,) * 2)
    again = FileSystemStore(data)
    assert again.upload_size("a", old) is None
    assert again.upload_size("a", fresh) == 0
    assert not list(data.rglob("old"))


def test_reading_waits_in_a_thread_where_the_page_cache_does_not_have_it(data, monkeypatch):
    store = FileSystemStore(data)
    push(store)
    blob = store.open_blob("a/b", DIGEST)
    buffer = bytearray(10)
    assert blob.read_into(memoryview(buffer), 0)
    assert buffer == LAYER[:10]
    monkeypatch.setattr("homeport.store.filesystem.os.preadv", failing(errno.EAGAIN))
    assert not blob.read_into(memoryview(buffer), 0)
    monkeypatch.setattr("homeport.store.filesystem.os.preadv", lambda *_args: 3)
    assert not blob.read_into(memoryview(buffer), 0)
    blob.close()
