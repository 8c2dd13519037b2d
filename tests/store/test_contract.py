"""What every store keeps to."""

import threading

import pytest

from homeport.errors import ContentError, InvalidDigestError, InvalidReferenceError, UploadTakenError
from homeport.oci.digest import digest_of
from homeport.oci.manifest import RawManifest
from homeport.oci.media_types import OCI_INDEX, OCI_MANIFEST
from homeport.store.filesystem import FileSystemStore
from homeport.store.memory import MemoryStore
from homeport.store.protocol import Store

ABSENT = "sha256:" + "0" * 64


@pytest.fixture(params=["memory", "filesystem"])
def store(request, tmp_path) -> Store:
    return MemoryStore() if request.param == "memory" else FileSystemStore(tmp_path / "data")


def push(store: Store, repository: str, content: bytes, algorithm: str = "sha256") -> str:
    upload = store.open_upload(repository, store.start_upload(repository))
    upload.write(content)
    digest = digest_of(content, algorithm)
    upload.commit(digest)
    upload.close()
    return digest


def content(store: Store, repository: str, digest: str) -> bytes | None:
    blob = store.open_blob(repository, digest)
    if blob is None:
        return None
    try:
        return blob.read(0, blob.size)
    finally:
        blob.close()


def image(name: str) -> RawManifest:
    return RawManifest.of(f'{{"name": "{name}"}}\n'.encode(), OCI_MANIFEST)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("data", [b"", b"layer", bytes(range(256)) * 9000])
def test_a_blob_comes_back_as_it_was_pushed(store, data, algorithm):
    digest = push(store, "a/b", data, algorithm)
    assert content(store, "a/b", digest) == data


def test_parts_of_a_blob_can_be_read(store):
    blob = store.open_blob("a", push(store, "a", b"0123456789"))
    assert blob.size == 10
    assert blob.read(3, 4) == b"3456"
    assert blob.read(8, 100) == b"89"
    buffer = bytearray(4)
    assert not blob.read_into(memoryview(buffer), 3) or buffer == b"3456"
    assert not blob.read_into(memoryview(buffer), 8)
    blob.close()


def test_a_blob_is_seen_only_through_a_repository_that_holds_it(store):
    digest = push(store, "a", b"layer")
    assert content(store, "b", digest) is None
    assert content(store, "a/b", digest) is None
    assert not store.link_blob("c", digest, "b")
    assert store.link_blob("b", digest, "a")
    assert content(store, "b", digest) == b"layer"


def test_who_holds_a_blob_can_be_found(store):
    digest = push(store, "a/b", b"layer")
    store.link_blob("a", digest, "a/b")
    push(store, "other", b"other")
    assert sorted(store.holders(digest)) == ["a", "a/b"]
    store.delete_blob("a", digest)
    assert list(store.holders(digest)) == ["a/b"]
    assert list(store.holders(ABSENT)) == []


def test_a_blob_is_deleted_from_one_repository_only(store):
    digest = push(store, "a", b"layer")
    store.link_blob("b", digest, "a")
    assert store.delete_blob("a", digest)
    assert not store.delete_blob("a", digest)
    assert content(store, "a", digest) is None
    assert content(store, "b", digest) == b"layer"


def test_an_open_blob_can_be_read_to_its_end_although_it_is_deleted(store):
    digest = push(store, "a", b"layer")
    blob = store.open_blob("a", digest)
    store.delete_blob("a", digest)
    assert blob.read(0, 5) == b"layer"
    blob.close()


def test_an_upload_goes_on_where_it_was_left(store):
    session = store.start_upload("a")
    assert store.upload_size("a", session) == 0
    for part in (b"one", b"two"):
        upload = store.open_upload("a", session)
        upload.write(part)
        upload.close()
    assert store.upload_size("a", session) == 6
    upload = store.open_upload("a", session)
    assert upload.offset == 6
    upload.commit(digest_of(b"onetwo"))
    assert store.upload_size("a", session) is None
    assert store.open_upload("a", session) is None
    assert content(store, "a", digest_of(b"onetwo")) == b"onetwo"


def test_content_that_is_not_what_its_digest_says_is_dropped(store):
    session = store.start_upload("a")
    upload = store.open_upload("a", session)
    upload.write(b"evil")
    with pytest.raises(ContentError, match=digest_of(b"good")):
        upload.commit(digest_of(b"good"))
    upload.close()
    assert content(store, "a", digest_of(b"good")) is None
    assert store.upload_size("a", session) is None


def test_an_upload_belongs_to_its_repository(store):
    session = store.start_upload("a")
    assert store.upload_size("b", session) is None
    assert store.open_upload("b", session) is None
    assert not store.cancel_upload("b", session)
    assert store.cancel_upload("a", session)
    assert not store.cancel_upload("a", session)
    assert store.upload_size("a", session) is None


@pytest.mark.parametrize("session", ["", "0" * 32, "../../layout", "a/b", "\0", "x" * 5000])
def test_an_id_that_was_never_given_opens_nothing(store, session):
    assert store.open_upload("a", session) is None
    assert store.upload_size("a", session) is None
    assert not store.cancel_upload("a", session)


def test_who_comes_last_has_the_upload(store):
    session = store.start_upload("a")
    first = store.open_upload("a", session)
    first.write(b"one")
    second = store.open_upload("a", session)
    with pytest.raises(UploadTakenError):
        first.write(b"lost")
    with pytest.raises(UploadTakenError):
        first.commit(digest_of(b"one"))
    first.close()
    second.write(b"two")
    second.commit(digest_of(b"onetwo"))
    second.close()
    assert content(store, "a", digest_of(b"onetwo")) == b"onetwo"


def test_a_cancelled_upload_takes_nothing_more(store):
    session = store.start_upload("a")
    upload = store.open_upload("a", session)
    store.cancel_upload("a", session)
    with pytest.raises(UploadTakenError):
        upload.write(b"late")


def test_a_manifest_comes_back_byte_for_byte(store):
    body = b'{\r\n  "schemaVersion" : 2 ,\t"x":"\xc3\xa9"}\n\n'
    pushed = RawManifest.of(body, "application/vnd.unheard-of+json")
    assert not store.put_manifest("a", pushed, tags=["7.2.4-64"])
    assert store.get_manifest("a", "7.2.4-64") == pushed
    assert store.get_manifest("a", pushed.digest) == pushed
    assert store.get_manifest("b", pushed.digest) is None
    assert store.get_manifest("a", "other") is None
    assert store.get_manifest("a", ABSENT) is None


def test_a_manifest_can_be_named_by_sha512(store):
    body = b'{"schemaVersion":2}'
    pushed = RawManifest(body, OCI_INDEX, digest_of(body, "sha512"))
    store.put_manifest("a", pushed, tags=["x"])
    assert store.get_manifest("a", "x") == pushed


def test_a_manifest_is_stored_only_when_the_repository_holds_what_it_needs(store):
    held = push(store, "a", b"layer")
    push(store, "elsewhere", b"other")
    other = digest_of(b"other")
    manifest = image("x")
    assert list(store.put_manifest("a", manifest, tags=["x"], needs=[held, other, ABSENT])) == [other, ABSENT]
    assert store.get_manifest("a", "x") is None
    assert store.get_manifest("a", manifest.digest) is None
    assert store.tags("a", limit=9) is None
    assert not store.put_manifest("a", manifest, tags=["x"], needs=[held])
    assert store.get_manifest("a", "x") == manifest


def test_a_tag_moves_at_once_and_the_old_manifest_stays(store):
    old, new = image("old"), image("new")
    store.put_manifest("a", old, tags=["x"])
    store.put_manifest("a", new, tags=["x", "y"])
    assert store.get_manifest("a", "x") == store.get_manifest("a", "y") == new
    assert store.get_manifest("a", old.digest) == old


def test_deleting_a_manifest_takes_its_tags_along_and_no_others(store):
    gone, kept = image("gone"), image("kept")
    store.put_manifest("a", gone, tags=["g1", "g2"])
    store.put_manifest("a", kept, tags=["k"])
    assert store.delete_manifest("a", gone.digest)
    assert not store.delete_manifest("a", gone.digest)
    assert store.get_manifest("a", gone.digest) is store.get_manifest("a", "g1") is None
    assert store.tags("a", limit=9) == ["k"]
    store.put_manifest("a", gone)
    assert store.tags("a", limit=9) == ["k"]


def test_deleting_a_tag_leaves_its_manifest(store):
    manifest = image("x")
    store.put_manifest("a", manifest, tags=["x", "y"])
    assert store.delete_tag("a", "x")
    assert not store.delete_tag("a", "x")
    assert store.tags("a", limit=9) == ["y"]
    assert store.get_manifest("a", manifest.digest) == manifest


def test_tags_come_sorted_and_page_by_page(store):
    store.put_manifest("a", image("x"), tags=["b", "a", "B", "10", "9"])
    assert store.tags("a", limit=9) == ["10", "9", "B", "a", "b"]
    assert store.tags("a", limit=2) == ["10", "9"]
    assert store.tags("a", after="9", limit=2) == ["B", "a"]
    assert store.tags("a", after="9a", limit=9) == ["B", "a", "b"]
    assert store.tags("a", limit=0) == []
    assert store.tags("none", limit=9) is None


def test_a_repository_is_listed_while_it_holds_a_manifest(store):
    push(store, "only-blobs", b"layer")
    for name in ("a/b/c", "a", "a-b", "z"):
        store.put_manifest(name, image("x"))
    assert store.repositories(limit=9) == ["a", "a-b", "a/b/c", "z"]
    assert store.repositories(limit=2) == ["a", "a-b"]
    assert store.repositories(after="a-b", limit=9) == ["a/b/c", "z"]
    store.delete_manifest("a", image("x").digest)
    assert store.repositories(limit=9) == ["a-b", "a/b/c", "z"]


def test_referrers_are_found_by_their_subject_which_need_not_exist(store):
    one, two = image("one"), image("two")
    store.put_manifest("a", one, subject=ABSENT)
    store.put_manifest("a", two, tags=["two"], subject=ABSENT)
    store.put_manifest("b", image("other"), subject=ABSENT)
    by_digest = sorted([one.digest, two.digest])
    assert store.referrers("a", ABSENT) == by_digest
    assert store.referrers("a", one.digest) == []
    assert store.referrers("none", ABSENT) == []
    store.delete_manifest("a", one.digest)
    assert store.referrers("a", ABSENT) == [two.digest]


@pytest.mark.parametrize("name", ["", "..", "a/../b", "/a", "a/", "a//b", "A", "a\0", "_tags", "a/_blobs", "a" * 256])
def test_a_name_that_is_no_repository_goes_nowhere(store, name):
    for use in (
        lambda: store.start_upload(name),
        lambda: store.open_upload(name, "0" * 32),
        lambda: store.upload_size(name, "0" * 32),
        lambda: store.open_blob(name, ABSENT),
        lambda: store.link_blob(name, push(store, "ok", b"x"), "ok"),
        lambda: store.link_blob("ok", ABSENT, name),
        lambda: store.delete_blob(name, ABSENT),
        lambda: store.put_manifest(name, image("x")),
        lambda: store.get_manifest(name, "x"),
        lambda: store.delete_manifest(name, ABSENT),
        lambda: store.delete_tag(name, "x"),
        lambda: store.tags(name, limit=1),
        lambda: store.referrers(name, ABSENT),
    ):
        with pytest.raises(InvalidReferenceError):
            use()


@pytest.mark.parametrize("digest", ["", "sha256:", "sha256:../../x", "sha256:" + "A" * 64, "md5:" + "0" * 32])
def test_a_text_that_is_no_digest_goes_nowhere(store, digest):
    store.put_manifest("a", image("x"))
    for use in (
        lambda: store.open_blob("a", digest),
        lambda: store.link_blob("b", digest, "a"),
        lambda: list(store.holders(digest)),
        lambda: store.delete_blob("a", digest),
        lambda: store.delete_manifest("a", digest),
        lambda: store.referrers("a", digest),
        lambda: store.put_manifest("a", image("x"), subject=digest or ":"),
        lambda: store.put_manifest("a", image("x"), needs=[digest]),
    ):
        with pytest.raises(InvalidDigestError):
            use()


@pytest.mark.parametrize("tag", ["", ".", "..", "../x", "a/b", "x" * 129, "\0", "-x"])
def test_a_text_that_is_no_tag_goes_nowhere(store, tag):
    for use in (
        lambda: store.get_manifest("a", tag),
        lambda: store.put_manifest("a", image("x"), tags=["fine", tag]),
        lambda: store.delete_tag("a", tag),
    ):
        with pytest.raises(InvalidReferenceError):
            use()
    assert store.tags("a", limit=9) is None


def test_many_writers_of_one_tag_leave_one_whole_manifest(store):
    manifests = [image(str(number)) for number in range(8)]
    start = threading.Barrier(8)

    def put(manifest: RawManifest) -> None:
        start.wait()
        for _ in range(5):
            store.put_manifest("a", manifest, tags=["x", manifest.digest[7:20]])
            store.delete_tag("a", manifest.digest[7:20])
            assert store.get_manifest("a", "x") in manifests

    threads = [threading.Thread(target=put, args=(manifest,)) for manifest in manifests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.tags("a", limit=9) == ["x"]
    assert store.get_manifest("a", "x") in manifests
