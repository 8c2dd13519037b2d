"""Bundles: what is saved is loaded, byte for byte, or refused with the name of the file."""

import errno
import io
import os
import tarfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from homeport.errors import (
    ContentError,
    HomeportError,
    RateLimitedError,
    RegistryError,
    StoreError,
    UnreachableError,
    UsageError,
)
from homeport.mapping import Mapping, Target
from homeport.mirror import ImageResult, MirrorResult, Observer
from homeport.mirror.bundle.archives import open_layout
from homeport.mirror.bundle.contents import Contents, Part
from homeport.mirror.bundle.delta import content_of
from homeport.mirror.bundle.load import load, verify, write_riders
from homeport.mirror.bundle.parts import bundles
from homeport.mirror.bundle.save import Saved, Wishes, save
from homeport.mirror.job import Concurrency
from homeport.mirror.lock import Lock, Portion
from homeport.reference import Reference
from homeport.store.files import Archive
from homeport.store.unpack import zstd
from tests.kit import images
from tests.kit.memory import Call, MemoryRegistry

REDIS = "source.example/redislabs/redis:7.2.4-64"
OPERATOR = "source.example/redislabs/operator:7.2.4-7"


class Gap:
    """A source on this side and a target on the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source = MemoryRegistry("source.example")
        self.target = MemoryRegistry("target.example")
        self.redis = images.multi_arch("redis")
        self.operator = images.image(images.layer("shared by all platforms"), images.layer("operator", 5000))
        images.put(self.redis, self.source, "redislabs/redis", "7.2.4-64")
        images.put(self.operator, self.source, "redislabs/operator", "7.2.4-7")
        self.source.forget_calls()

    def save(self, *references: str, to: str = "b.tar", **wishes: object) -> Saved:
        return save(map(Reference.parse, references), lambda _: self.source, self.folder / to, wishes=Wishes(**wishes))

    def load(self, *names: str, observer: Observer | None = None) -> MirrorResult:
        self.target.forget_calls()
        with open_layout([self.folder / name for name in names]) as layout:
            return load(layout, Mapping(Target.parse("target.example/mirror")), self.target, observer=observer)

    def wrong(self, *names: str) -> list[str]:
        paths = [self.folder / name for name in names]
        with open_layout(paths) as layout:
            return verify(layout, paths)

    def place(self, name: str, digest: str) -> tuple[Path, int]:
        """Where a blob begins in the file of a bundle."""
        archive = Archive([self.folder / name])
        archive.close()
        return self.folder / name, archive.table["blobs/" + digest.replace(":", "/")].offset


@pytest.fixture
def gap(tmp_path: Path) -> Gap:
    return Gap(tmp_path)


def test_what_is_saved_is_loaded_byte_for_byte(gap: Gap):
    saved = gap.save(REDIS, OPERATOR)
    assert [image.status for image in saved.images] == ["copied", "copied"]
    assert saved.files == (gap.folder / "b.tar",)

    result = gap.load("b.tar")

    assert not result.failed
    assert result.traffic.counted_pulls == 0
    assert gap.target.tagged["mirror/redislabs/redis"] == {"7.2.4-64": gap.redis.digest}
    for content, repository in ((gap.redis, "redislabs/redis"), (gap.operator, "redislabs/operator")):
        for part in content.walk():
            assert gap.target.manifests[f"mirror/{repository}"][part.digest] == part.manifest
        assert gap.target.blobs[f"mirror/{repository}"] == content.all_blobs


def test_a_blob_that_images_share_is_fetched_once_and_each_manifest_costs_one_pull(gap: Gap):
    gap.save(REDIS, OPERATOR)
    assert gap.source.counted_pulls == len(list(gap.redis.walk())) + 1
    assert gap.source.count("GET blob") == len(gap.redis.all_blobs | gap.operator.all_blobs)


def test_equal_images_make_equal_bytes_whatever_their_order(gap: Gap):
    gap.save(REDIS, OPERATOR, to="one.tar")
    gap.save(OPERATOR, REDIS, OPERATOR, to="two.tar")
    assert (gap.folder / "one.tar").read_bytes() == (gap.folder / "two.tar").read_bytes()


def test_python_reads_it_as_a_tar_with_an_oci_layout(gap: Gap):
    gap.save(REDIS)
    with tarfile.open(gap.folder / "b.tar") as archive:
        index = msgspec.json.decode(archive.extractfile("index.json").read())
        member = archive.getmember("blobs/sha256/" + gap.redis.digest.partition(":")[2])
    assert index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"] == REDIS
    assert (member.size, member.mtime, member.uid) == (len(gap.redis.manifest.body), 0, 0)


def test_loading_again_asks_once_for_each_image(gap: Gap):
    gap.save(REDIS, OPERATOR)
    gap.load("b.tar")
    result = gap.load("b.tar")
    assert [image.status for image in result.images] == ["present", "present"]
    assert gap.target.count() == 2


def test_a_bundle_is_loaded_on_from_where_the_target_stopped(gap: Gap):
    gap.save(REDIS)
    stopped = max(gap.redis.all_blobs, key=lambda digest: len(gap.redis.all_blobs[digest]))

    def break_down(call: Call) -> None:
        if call.verb == "PUT blob" and call.what == stopped:
            raise UnreachableError("gone")

    gap.target.trouble = break_down
    assert gap.load("b.tar").failed
    there = set(gap.target.blobs["mirror/redislabs/redis"])
    gap.target.trouble = lambda _call: None
    assert not gap.load("b.tar").failed
    assert gap.target.count("PUT blob") == len(set(gap.redis.all_blobs) - there)


def test_an_image_that_fails_makes_no_bundle_and_costs_no_blob(gap: Gap):
    saved = gap.save(REDIS, "source.example/none:1")
    assert [image.status for image in saved.images] == ["copied", "failed"]
    assert saved.files == ()
    assert not (gap.folder / "b.tar").exists()
    assert gap.source.count("GET blob") == 0


def test_an_interrupted_save_keeps_what_it_has_and_the_old_bundle(gap: Gap):
    (gap.folder / "b.tar").write_bytes(b"the old one")
    missing = gap.redis.children[1].blobs[1][0].digest
    gap.source.trouble = _fail_at("GET blob", missing)
    saved = gap.save(REDIS)
    assert saved.files == ()
    assert (gap.folder / "b.tar").read_bytes() == b"the old one"

    gap.source.trouble = lambda _call: None
    gap.source.forget_calls()
    assert gap.save(REDIS).files
    assert [call.what for call in gap.source.calls if call.verb == "GET blob"] == [missing]
    assert gap.wrong("b.tar") == []
    assert sorted(path.name for path in gap.folder.iterdir()) == ["b.tar"]


@pytest.mark.parametrize("split", [None, 1 << 20])
@pytest.mark.parametrize("is_damaged", [False, True])
def test_a_blob_that_was_cut_is_gone_on_with(gap: Gap, split: int | None, is_damaged: bool):
    layer = images.layer("large", 5 << 20)
    images.put(images.image(layer), gap.source, "app", "1")
    clean = gap.save("source.example/app:1", to="clean.tar", split_size=split).files
    reads: list[Call] = []

    def cut(call: Call) -> None:
        if call.verb == "READ blob" and len(gap.source.blobs["app"][call.what]) == len(layer):
            reads.append(call)
            if len(reads) == 4:
                raise UnreachableError("cut", host="source.example")

    gap.source.trouble = cut
    assert not gap.save("source.example/app:1", split_size=split).files
    gap.source.trouble = lambda _call: None
    if is_damaged:
        with (gap.folder / ("b.tar.001.partial" if split else "b.tar.partial")).open("r+b") as file:
            file.seek(300_000)
            file.write(b"damaged")

    saved = gap.save("source.example/app:1", split_size=split)

    assert [file.read_bytes() for file in saved.files[: len(clean) - 1]] == [
        file.read_bytes() for file in clean[: len(clean) - 1]
    ]
    assert gap.wrong(saved.files[-1].name) == []
    kept = len(layer) - saved.traffic.bytes
    assert kept == 0 if is_damaged else 2 << 20 <= kept <= 3 << 20


def test_a_whole_blob_that_is_damaged_is_fetched_once(gap: Gap):
    layer = images.layer("large", 3 << 20)
    images.put(images.image(layer), gap.source, "app", "1")
    digest = next(digest for digest, body in gap.source.blobs["app"].items() if body == layer)
    gap.source.trouble = _fail_at("GET blob", next(each for each in gap.source.blobs["app"] if each != digest))
    assert not gap.save("source.example/app:1").files
    gap.source.trouble = lambda _call: None
    with (gap.folder / "b.tar.partial").open("r+b") as file:
        file.seek(2 << 20)
        file.write(b"damaged")
    gap.source.forget_calls()
    assert gap.save("source.example/app:1").files
    assert [call.what for call in gap.source.calls if call.verb == "GET blob"].count(digest) == 1
    assert gap.wrong("b.tar") == []


def test_the_rest_of_another_bundle_does_not_get_into_this_one(gap: Gap):
    gap.save(REDIS, to="clean.tar")
    (gap.folder / "b.tar.partial").write_bytes(b"\xff" * 100_000)
    gap.save(REDIS)
    assert (gap.folder / "b.tar").read_bytes() == (gap.folder / "clean.tar").read_bytes()


@pytest.mark.parametrize(
    "sizes", [(64 << 10, 9 << 10), (9 << 10, 64 << 10), (21 << 10, 20 << 10), (20 << 10, 21 << 10)]
)
def test_parts_of_another_size_leave_nothing_behind(gap: Gap, sizes: tuple[int, int]):
    layers = [images.layer(str(number), 6000) + b"odd"[: number % 3] for number in range(8)]
    images.put(images.image(*layers), gap.source, "app", "1")
    app = "source.example/app:1"
    clean = gap.save(app, to="clean.tar", split_size=sizes[1]).files
    earlier, later = sizes
    gap.source.trouble = _fail_at("GET blob", max(gap.source.blobs["app"]))
    assert not gap.save(app, split_size=earlier).files
    gap.source.trouble = lambda _call: None
    saved = gap.save(app, split_size=later).files
    assert [file.read_bytes() for file in saved[:-1]] == [file.read_bytes() for file in clean[:-1]]


@pytest.mark.parametrize("split", [None, 8 << 10])
def test_a_full_disk_makes_no_bundle_and_the_next_run_goes_on(
    gap: Gap, monkeypatch: pytest.MonkeyPatch, split: int | None
):
    write, layer = os.pwrite, gap.operator.blobs[2][1]

    def full(handle: int, data: bytes, offset: int) -> int:
        if len(data) > 2000 and bytes(data) in layer:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(handle, data, offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        saved = gap.save(OPERATOR, split_size=split)
    assert not saved.files
    assert "No space left on device" in saved.images[0].error
    assert "Make room" in saved.images[0].hint
    gap.source.forget_calls()
    assert gap.save(OPERATOR, split_size=split).files
    assert gap.source.count("GET blob") == 1
    assert gap.wrong("b.tar.sha256" if split else "b.tar") == []


@pytest.mark.parametrize("number", range(12))
def test_parts_appear_with_a_list_that_is_right_or_with_none(gap: Gap, monkeypatch: pytest.MonkeyPatch, number: int):
    gap.save(REDIS, split_size=8 << 10)
    replace, count = Path.replace, 0

    def killed(file: Path, target: Path) -> Path:
        nonlocal count
        count += 1
        if count > number:
            raise KeyboardInterrupt
        return replace(file, target)

    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(Path, "replace", killed)
        gap.save(REDIS, OPERATOR, split_size=8 << 10)
    if (gap.folder / "b.tar.sha256").exists():
        assert gap.wrong("b.tar.sha256") == []
    saved = gap.save(REDIS, OPERATOR, split_size=8 << 10)
    assert {path.name for path in gap.folder.iterdir()} == {file.name for file in saved.files}
    assert gap.wrong("b.tar.sha256") == []


@pytest.mark.parametrize(
    ("to", "split"), [("b.tar", None), ("b.tar", 8 << 10), ("b.tar.zst", 2 << 10), ("layout", None)]
)
def test_what_has_its_name_is_durable(gap: Gap, monkeypatch: pytest.MonkeyPatch, to: str, split: int | None):
    (gap.folder / "layout").mkdir()
    sync, replace = os.fsync, Path.replace
    synced: set[int] = set()
    named: list[Path] = []

    def note_sync(handle: int) -> None:
        synced.add(os.fstat(handle).st_ino)
        sync(handle)

    def note_name(file: Path, target: Path) -> Path:
        if target.suffix != ".frames":
            assert file.stat().st_ino in synced, target
            named.append(target)
            synced.discard(target.parent.stat().st_ino)
        return replace(file, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "replace", note_name)
    saved = gap.save(REDIS, OPERATOR, to=to, split_size=split)
    assert to == "layout" or set(saved.files) == set(named)
    assert named[-1].name == "index.json" or to != "layout"
    assert saved.files[0].parent.stat().st_ino in synced or to == "layout"


@pytest.mark.parametrize("to", ["b.tar", "b.tar.zst"])
def test_a_size_that_makes_too_many_parts_is_refused(gap: Gap, monkeypatch: pytest.MonkeyPatch, to: str):
    monkeypatch.setattr("homeport.mirror.bundle.output_archive._MOST_PARTS", 2)
    said = _tried(lambda: [image.error for image in gap.save(REDIS, to=to, split_size=1 << 10).images])
    assert "makes more than 2 parts" in said[0]
    assert not list(gap.folder.glob("*.sha256"))


def test_a_signed_bundle_without_its_table_is_refused(gap: Gap):
    class Key:
        name = "own.pub"

        def has_signed(self, body: bytes, signature: bytes) -> bool:
            return body == signature

    (gap.folder / "layout").mkdir()
    gap.save(OPERATOR, to="layout", sign=lambda body: body)
    open_layout([gap.folder / "layout"], [Key()]).close()
    (gap.folder / "layout/homeport-bundle.json").unlink()
    with pytest.raises(ContentError, match=r"is not signed; it is to be signed by own\.pub"):
        open_layout([gap.folder / "layout"], [Key()])


def test_parts_of_two_bundles_are_not_one(gap: Gap):
    files = [gap.save(name, to=f"{name[-3:-1]}.tar", split_size=8 << 10).files for name in (REDIS, OPERATOR)]
    with pytest.raises(UsageError, match="are two bundles"):
        open_layout([files[0][0], files[1][0]])


def test_a_blob_of_another_size_is_refused_before_anything_is_pushed(gap: Gap):
    (gap.folder / "layout").mkdir()
    gap.save(OPERATOR, to="layout")
    layer = gap.operator.blobs[2][0]
    os.truncate(gap.folder / "layout/blobs" / layer.digest.replace(":", "/"), 100)
    with pytest.raises(ContentError, match=f"of 100 bytes, not {layer.size}, in it"):
        gap.load("layout")
    assert not gap.target.calls


def test_two_runs_do_not_write_one_bundle(gap: Gap):
    caught: list[Exception] = []

    def meanwhile(call: Call) -> None:
        if call.verb == "GET blob" and not caught:
            caught.append(StoreError("none"))
            try:
                gap.save(OPERATOR)
            except StoreError as error:
                caught.append(error)

    gap.source.trouble = meanwhile
    assert gap.save(REDIS).files
    assert "being written by another run" in str(caught[1])


def test_the_disk_begins_before_all_is_written(gap: Gap, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("homeport.store.pieces.SEND_BYTES", 1)
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr("homeport.store.pieces.send_to_disk", lambda _, start, stop: sent.append((start, stop)))
    gap.save(OPERATOR)
    layer = gap.operator.blobs[2][0]
    _, start = gap.place("b.tar", layer.digest)
    assert (start, start + layer.size) in sent


def test_few_large_blobs_are_fetched_at_once(gap: Gap, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("homeport.mirror.bundle.save.LARGE_BLOB", 2000)
    images.put(images.image(*(images.layer(str(number), 4000) for number in range(8))), gap.source, "app", "1")
    threads = {True: set[str](), False: set[str]()}

    def note(call: Call) -> None:
        if call.verb == "GET blob":
            is_large = len(gap.source.blobs["app"][call.what]) > 2000
            threads[is_large].add(threading.current_thread().name)

    gap.source.trouble = note
    name = Reference.parse("source.example/app:1")
    concurrency = Concurrency(large_blobs=2)
    assert save([name], lambda _: gap.source, gap.folder / "b.tar", concurrency=concurrency).files
    assert threads[True] <= {"large-0", "large-1"}
    assert threads[False].isdisjoint(threads[True])


def test_a_blob_that_lies_is_in_no_bundle(gap: Gap):
    lying = gap.operator.blobs[1][0]
    gap.source.lies = {lying.digest: bytes(lying.size)}
    saved = gap.save(OPERATOR)
    assert saved.files == ()
    assert "not what its digest says" in saved.images[0].error


def test_parts_are_loaded_in_any_order(gap: Gap):
    saved = gap.save(REDIS, OPERATOR, split_size=8 << 10)
    parts = [file.name for file in saved.files if file.suffix != ".sha256"]
    assert len(parts) > 2
    assert {(gap.folder / part).stat().st_size for part in parts[:-1]} == {8 << 10}
    assert not gap.load(*reversed(parts)).failed
    assert gap.wrong("b.tar.sha256") == []


def test_a_shorter_bundle_leaves_no_part_of_a_longer_one(gap: Gap):
    gap.save(REDIS, OPERATOR, split_size=4 << 10)
    saved = gap.save(OPERATOR, split_size=4 << 10)
    assert sorted(gap.folder.glob("b.tar.*")) == sorted(saved.files)


def test_parts_of_two_bundles_are_told_apart(gap: Gap):
    one = gap.save(REDIS, to="one.tar", split_size=8 << 10).files
    two = gap.save(OPERATOR, to="two.tar").files
    assert bundles([one[1], *two, one[0]]) == [[one[1], one[0]], list(two)]


@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_a_damaged_part_is_named(gap: Gap, damage: str):
    saved = gap.save(REDIS, OPERATOR, split_size=8 << 10)
    part = saved.files[1]
    if damage == "gone":
        part.unlink()
    else:
        body = bytearray(part.read_bytes())
        body[4000] ^= 1
        part.write_bytes(body if damage == "flip" else body[:-1])
    try:
        wrong = gap.wrong(saved.files[0].name)
    except HomeportError as error:
        wrong = [error.message]
    assert part.name in wrong[0]


def test_every_flipped_byte_is_found(gap: Gap):
    gap.save(OPERATOR)
    whole = (gap.folder / "b.tar").read_bytes()
    last = len(whole.rstrip(b"\0"))
    for place in range(0, last, 97):
        if whole[place] == 0:
            continue  # between the files is nothing that counts
        (gap.folder / "b.tar").write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            wrong = gap.wrong("b.tar")
        except HomeportError as error:
            wrong = [error.message]
        assert "b.tar" in "".join(wrong), f"byte {place} of {last}"


@pytest.mark.parametrize("left", [0, 100, 5000, -2000])
def test_a_cut_file_is_refused_by_its_name(gap: Gap, left: int):
    gap.save(REDIS)
    file = gap.folder / "b.tar"
    file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(ContentError, match=r"b\.tar"):
        gap.load("b.tar")
    assert not gap.target.calls


def test_a_flipped_bit_in_a_layer_fails_that_image_alone(gap: Gap):
    gap.save(REDIS, OPERATOR)
    file, offset = gap.place("b.tar", gap.operator.blobs[2][0].digest)
    body = bytearray(file.read_bytes())
    body[offset + 700] ^= 1
    file.write_bytes(body)
    result = gap.load("b.tar")
    assert [str(image.wanted.source) for image in result.failed] == [OPERATOR]
    assert "b.tar" in result.failed[0].error
    assert "is damaged" in result.failed[0].error
    assert gap.target.tagged["mirror/redislabs/operator"] == {}


def test_a_delta_holds_what_the_other_side_lacks_and_mounts_the_rest(gap: Gap):
    gap.save(REDIS, to="first.tar")
    with open_layout([gap.folder / "first.tar"]) as layout:
        left_out = content_of(layout)
    gap.save(OPERATOR, to="second.tar", left_out=left_out)
    shared = gap.operator.blobs[1][0].digest
    with open_layout([gap.folder / "second.tar"]) as layout:
        assert not layout.holds(shared)

    alone = gap.load("second.tar")
    assert "second.tar does not hold" in alone.failed[0].error
    assert "load the bundle first" in alone.failed[0].hint

    assert not gap.load("first.tar").failed
    assert not gap.load("second.tar").failed
    assert gap.target.blobs["mirror/redislabs/operator"][shared]
    assert gap.wrong("second.tar") == []


def test_a_delta_is_loaded_where_nothing_is_mounted_and_all_is_there(gap: Gap):
    gap.target.mounts = False
    gap.save(OPERATOR, to="first.tar")
    gap.load("first.tar")
    with open_layout([gap.folder / "first.tar"]) as layout:
        gap.save(OPERATOR, to="again.tar", left_out=content_of(layout))
    gap.target.tagged["mirror/redislabs/operator"].clear()
    gap.target.manifests["mirror/redislabs/operator"].clear()
    assert not gap.load("again.tar").failed


def test_what_is_missing_at_the_target_is_named_before_anything_is_pushed(gap: Gap):
    images.put(images.image(images.layer("else")), gap.source, "team/else", "1")
    gap.save(REDIS, to="first.tar")
    with open_layout([gap.folder / "first.tar"]) as layout:
        left_out = content_of(layout)
    gap.save(REDIS, OPERATOR, "source.example/team/else:1", to="second.tar", left_out=left_out)

    told: list[tuple[str, str, int]] = []

    class Told(Observer):
        def image_finished(self, result: ImageResult) -> None:
            told.append((str(result.wanted.source), result.status, gap.target.count("PUT blob", "PUT manifest")))

    result = gap.load("second.tar", observer=Told())
    assert sorted(told[:2]) == [(OPERATOR, "failed", 0), (REDIS, "failed", 0)]
    assert told[2][1] == "copied"
    assert [image.status for image in result.images] == ["failed", "failed", "copied"]
    assert [repository for repository, held in gap.target.manifests.items() if held] == ["mirror/team/else"]
    assert f"has {REDIS}" in result.images[0].hint

    gap.load("first.tar")
    assert [image.status for image in gap.load("second.tar").images] == ["copied", "present", "present"]


def test_what_a_lock_says_is_there_is_left_out(gap: Gap):
    gap.load(gap.save(REDIS, to="first.tar").files[0].name)
    since = Lock({REDIS: gap.redis.digest, "source.example/gone:1": gap.operator.digest})
    saved = gap.save(REDIS, OPERATOR, to="second.tar", since=(since,))
    assert [note.partition(" cannot")[0] for note in saved.notes] == ["source.example/gone:1 of the lock"]
    with open_layout([gap.folder / "second.tar"]) as layout:
        held = {digest for digest in gap.redis.all_blobs | gap.operator.all_blobs if layout.holds(digest)}
    assert held == set(gap.operator.all_blobs) - set(gap.redis.all_blobs)
    assert not gap.load("second.tar").failed


def test_a_lock_of_some_platforms_leaves_out_these_alone(gap: Gap):
    """The other side got linux/amd64; now it wants everything, and nothing may be missing."""
    platforms = ("linux/amd64",)
    gap.load(gap.save(REDIS, to="first.tar", platforms=platforms).files[0].name)
    since = (Lock({REDIS: gap.redis.digest}, Portion.of(platforms)),)
    gap.save(REDIS, to="second.tar", since=since)
    amd, arm, about_amd, about_arm = gap.redis.children
    with open_layout([gap.folder / "second.tar"]) as layout:
        held = {digest for digest in gap.redis.all_blobs if layout.holds(digest)}
    assert held == {*arm.all_blobs, *about_arm.all_blobs} - {*amd.all_blobs, *about_amd.all_blobs}
    assert held
    assert not gap.load("second.tar").failed
    assert set(gap.redis.all_blobs) <= set(gap.target.blobs["mirror/redislabs/redis"])


def test_locks_of_several_platforms_are_each_taken_for_what_they_are(gap: Gap):
    since = tuple(Lock({REDIS: gap.redis.digest}, Portion.of([it])) for it in ("linux/amd64", "linux/arm64"))
    gap.save(REDIS, to="third.tar", since=since)
    with open_layout([gap.folder / "third.tar"]) as layout:
        assert not [digest for digest in gap.redis.all_blobs if layout.holds(digest)]


def test_the_lock_of_a_bundle_says_what_it_was_made_with(gap: Gap):
    gap.save(REDIS, platforms=("linux/arm64", "linux/amd64"))
    with open_layout([gap.folder / "b.tar"]) as layout:
        (file,) = write_riders(layout, gap.folder)
    assert Lock.read(file) == Lock({REDIS: gap.redis.digest}, Portion(("linux/amd64", "linux/arm64")))


def test_a_tag_that_moved_since_the_lock_makes_no_bundle(gap: Gap):
    locked = {REDIS: gap.redis.digest, OPERATOR: gap.operator.digest}
    assert gap.save(REDIS, OPERATOR, locked=locked).files
    (gap.folder / "b.tar").unlink()
    moved = images.image(images.layer("moved"))
    images.put(moved, gap.source, "redislabs/operator", "7.2.4-7")
    saved = gap.save(REDIS, OPERATOR, locked=locked)
    assert saved.files == ()
    assert gap.operator.digest in saved.images[1].error
    assert moved.digest in saved.images[1].error
    assert "the lock does not have" in gap.save(REDIS, locked={}).images[0].error


def test_a_pull_limit_is_waited_for(gap: Gap):
    refused: list[float] = []

    def trouble(call: Call) -> None:
        if call.verb == "GET manifest" and not refused:
            refused.append(0.0)
            raise RateLimitedError("the pull limit is used up", host="source.example", retry_after=0.0)

    gap.source.trouble = trouble
    assert gap.save(OPERATOR, patience=True).files
    assert refused


def test_only_the_chosen_platforms_travel(gap: Gap):
    gap.target.validates = False
    gap.save(REDIS, platforms=("linux/arm64",))
    result = gap.load("b.tar")
    assert not result.failed
    assert gap.wrong("b.tar") == []
    arm = gap.redis.children[1]
    assert set(arm.all_blobs) <= set(gap.target.blobs["mirror/redislabs/redis"])
    assert gap.redis.children[0].digest not in gap.target.manifests["mirror/redislabs/redis"]


def test_files_come_along(gap: Gap):
    gap.save(OPERATOR, riders={"scan.json": b"{}", "bundle.yaml": b"kind: List\n"})
    out = gap.folder / "out"
    out.mkdir()
    with open_layout([gap.folder / "b.tar"]) as layout:
        written = write_riders(layout, out)
    lock = Lock({OPERATOR: gap.operator.digest}).encode()
    assert {path.name: path.read_bytes() for path in written} == {
        "homeport.lock": lock,
        "scan.json": b"{}",
        "bundle.yaml": b"kind: List\n",
    }


def test_a_compressed_bundle_is_loaded_like_any_other(gap: Gap):
    gap.save(REDIS, OPERATOR, to="plain.tar")
    assert [path.name for path in gap.save(REDIS, OPERATOR, to="b.tar.zst").files] == ["b.tar.zst"]
    assert sorted(path.name for path in gap.folder.iterdir()) == ["b.tar.zst", "plain.tar"]
    assert zstd.decompress((gap.folder / "b.tar.zst").read_bytes()) == (gap.folder / "plain.tar").read_bytes()
    gap.save(OPERATOR, REDIS, to="again", packed=True)
    assert (gap.folder / "again").read_bytes() == (gap.folder / "b.tar.zst").read_bytes()
    assert gap.wrong("b.tar.zst") == []
    assert not gap.load("b.tar.zst").failed
    assert gap.target.blobs["mirror/redislabs/redis"] == gap.redis.all_blobs


def test_a_compressed_bundle_in_parts_names_the_damaged_one(gap: Gap):
    images.put(images.image(*(images.layer(str(number), 700_000) for number in range(4))), gap.source, "app", "1")
    files = gap.save("source.example/app:1", to="b.tar.zst", split_size=1 << 20).files
    parts, sums = files[:-1], files[-1]
    assert {part.stat().st_size for part in parts[:-1]} == {1 << 20}
    assert not gap.load(*(part.name for part in reversed(parts))).failed
    body = bytearray(parts[1].read_bytes())
    body[500_000] ^= 1
    parts[1].write_bytes(body)
    assert any(parts[1].name in line for line in _tried(lambda: gap.wrong(sums.name)))


def test_an_interrupted_compressed_save_goes_on(gap: Gap):
    missing = gap.redis.children[1].blobs[1][0].digest
    gap.source.trouble = _fail_at("GET blob", missing)
    assert gap.save(REDIS, to="b.tar.zst").files == ()
    gap.source.trouble = lambda _call: None
    gap.source.forget_calls()
    assert gap.save(REDIS, to="b.tar.zst").files
    assert [call.what for call in gap.source.calls if call.verb == "GET blob"] == [missing]
    assert sorted(path.name for path in gap.folder.iterdir()) == ["b.tar.zst"]


def test_files_of_folders_are_written_to_folders_and_never_out_of_them(gap: Gap):
    gap.save(OPERATOR, riders={"manifests/crds/rec.yaml": b"kind: CustomResourceDefinition\n", "away/x": b"x"})
    out, away = gap.folder / "out", gap.folder / "elsewhere"
    out.mkdir()
    away.mkdir()
    (out / "away").symlink_to(away)
    with open_layout([gap.folder / "b.tar"]) as layout, pytest.raises(ContentError, match="a link leads out of"):
        write_riders(layout, out)
    (out / "away").unlink()
    with open_layout([gap.folder / "b.tar"]) as layout:
        write_riders(layout, out)
    assert (out / "manifests/crds/rec.yaml").read_bytes() == b"kind: CustomResourceDefinition\n"
    assert list(away.iterdir()) == []


@pytest.mark.parametrize("name", ["riders/../../evil", "/evil", "riders//evil", "a/./b", "a\x1b[2J"])
def test_a_table_that_names_what_is_outside_is_refused(gap: Gap, name: str):
    (gap.folder / "layout").mkdir()
    contents = Contents(version=1, images={}, files={name: Part(4)})
    (gap.folder / "layout/homeport-bundle.json").write_bytes(contents.encode())
    (gap.folder / "layout/homeport-bundle.sha256").write_bytes(contents.sums())
    with pytest.raises(ContentError, match="which is outside of it"):
        gap.load("layout")


def test_a_folder_is_saved_to_and_loaded_from(gap: Gap):
    (gap.folder / "layout").mkdir()
    gap.save(REDIS, to="layout")
    gap.source.forget_calls()
    gap.save(REDIS, OPERATOR, to="layout")
    assert gap.source.count("GET blob") == len(set(gap.operator.all_blobs) - set(gap.redis.all_blobs))
    assert not gap.load("layout").failed
    assert gap.wrong("layout") == []
    blob = next((gap.folder / "layout/blobs/sha256").iterdir())
    blob.write_bytes(b"other")
    assert any(str(blob) in line for line in _tried(lambda: gap.wrong("layout")))


def _entry(
    name: str, body: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size, member.type, member.linkname = len(body), kind, link
    return member, body


def _contents(value: object) -> list[tuple[tarfile.TarInfo, bytes]]:
    contents = msgspec.convert(value, Contents)
    return [_entry("homeport-bundle.json", contents.encode()), _entry("homeport-bundle.sha256", contents.sums())]


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([_entry("../evil")], "outside"),
        ([_entry("/etc/passwd")], "outside"),
        ([_entry("blobs/../../evil")], "outside"),
        ([_entry("a", b"1"), _entry("./a", b"2")], "twice"),
        ([_entry("link", kind=tarfile.SYMTYPE, link="../../etc/passwd")], "outside"),
        ([_entry("device", kind=tarfile.CHRTYPE)], "no file, folder or link"),
        ([_entry("oci-layout", b"no json"), _entry("index.json", b"{}")], "cannot be read"),
        ([_entry("oci-layout", b'{"imageLayoutVersion":"\xe2("}'), _entry("index.json", b"{}")], "cannot be read"),
        ([_entry("oci-layout", b'{"x":' + b"[" * 100_000), _entry("index.json", b"{}")], "cannot be read"),
        ([_entry("index.json", b'{"manifests":[]}')], "oci-layout is missing"),
        ([_entry("other", b"1")], "holds no images"),
        ([_entry("manifest.json", b'[{"Config":"../c","Layers":[]}]')], "is missing"),
        (_contents({"version": 2, "images": {}, "files": {}}), "version 2"),
        (_contents({"version": 1, "images": {}, "files": {"x": {"size": 1}}}), "x is missing"),
        (_contents({"version": 1, "images": {}, "files": {}})[:1], "sha256 is missing"),
    ],
)
def test_a_hostile_archive_is_refused(gap: Gap, entries: list[tuple[tarfile.TarInfo, bytes]], words: str):
    with tarfile.open(gap.folder / "h.tar", "w") as archive:
        for member, body in entries:
            archive.addfile(member, io.BytesIO(body))
    with pytest.raises(ContentError, match=words) as caught:
        gap.load("h.tar")
    assert "h.tar" in caught.value.message


def test_a_header_that_claims_terabytes_is_refused(gap: Gap):
    member = tarfile.TarInfo("blobs/sha256/big")
    member.size = 1 << 42
    (gap.folder / "h.tar").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(ContentError, match="cut off within"):
        gap.load("h.tar")


def test_the_old_form_of_docker_save_is_loaded_with_its_links(gap: Gap):
    layer = images.layer("one")
    content = images.image(layer, layer, docker=True)
    config = content.blobs[0][1]
    listed = [{"Config": "c.json", "RepoTags": ["app:1", "team/app:2"], "Layers": ["a/layer.tar", "b/layer.tar"]}]
    with tarfile.open(gap.folder / "d.tar", "w") as archive:
        for member, body in (
            _entry("a/layer.tar", layer),
            _entry("b/layer.tar", kind=tarfile.SYMTYPE, link="../a/layer.tar"),
            _entry("c.json", config),
            _entry("manifest.json", msgspec.json.encode(listed)),
        ):
            archive.addfile(member, io.BytesIO(body))
    result = gap.load("d.tar")
    assert [str(image.wanted.target) for image in result.images if image.status == "copied"] == [
        "target.example/mirror/library/app:1",
        "target.example/mirror/team/app:2",
    ]
    assert set(gap.target.blobs["mirror/team/app"].values()) == {config, layer}


def test_a_haul_is_loaded_with_the_names_that_hauler_gives(gap: Gap):
    app, chart = images.multi_arch("app"), images.image(images.layer("chart"))
    names = [(app, "index.docker.io/team/app:1", "team/app:1"), (chart, "hauler/chart:2", "hauler/chart:2")]
    described = [
        content.descriptor(
            {
                "kind": "dev.cosignproject.cosign/image",
                "io.containerd.image.name": full,
                "org.opencontainers.image.ref.name": short,
            }
        )
        for content, full, short in names
    ]
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        index = msgspec.json.encode({"schemaVersion": 2, "manifests": described})
        parts = {part.digest: part.manifest.body for content, *_ in names for part in content.walk()}
        blobs = {**parts, **app.all_blobs, **chart.all_blobs}
        for member, body in (
            _entry("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'),
            _entry("index.json", index),
            *(_entry("blobs/" + digest.replace(":", "/"), body) for digest, body in blobs.items()),
        ):
            archive.addfile(member, io.BytesIO(body))
    (gap.folder / "haul.tar.zst").write_bytes(zstd.compress(held.getvalue()))
    result = gap.load("haul.tar.zst")
    assert {str(image.wanted.target): image.digest for image in result.images if image.status == "copied"} == {
        "target.example/mirror/team/app:1": app.digest,
        "target.example/mirror/hauler/chart:2": chart.digest,
    }


def test_long_names_of_both_kinds_are_read(gap: Gap):
    long = "/".join(["folder" * 10] * 4) + "/file"
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        with tarfile.open(gap.folder / "l.tar", "w", format=form) as archive:
            member, body = _entry(long, b"content")
            archive.addfile(member, io.BytesIO(body))
        found = Archive([gap.folder / "l.tar"])
        found.close()
        assert list(found.table) == [long]


def _fail_at(verb: str, what: str) -> Callable[[Call], None]:
    def trouble(call: Call) -> None:
        if (call.verb, call.what) == (verb, what):
            raise RegistryError("refused", host="source.example", status=500)

    return trouble


def _tried(work: Callable[[], list[str]]) -> list[str]:
    try:
        return work()
    except HomeportError as error:
        return [error.message]
