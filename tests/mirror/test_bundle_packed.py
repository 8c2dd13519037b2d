"""Compressed bundles while they are written: one pass, nothing twice on the disk, and on from wherever a run ended."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from homeport.errors import RegistryError, StoreError
from homeport.mirror.bundle.output_packed import PackedOutput
from homeport.mirror.bundle.packed_blobs import is_blob
from homeport.mirror.bundle.save import Saved, Wishes, save
from homeport.mirror.job import Concurrency
from homeport.oci.digest import digest_of
from homeport.oci.manifest import Descriptor
from homeport.reference import Reference
from homeport.store.oci_layout import blob_path
from homeport.store.packed import pack
from homeport.store.pieces import Pieces
from homeport.store.tar import header
from homeport.store.unpack import zstd
from tests.kit import images
from tests.kit.memory import Call, MemoryRegistry

APP = "source.example/team/app:1"


class Desk:
    """A source, and what a clean save of its image writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "desk"
        self.folder.mkdir()
        self.source = MemoryRegistry("source.example")
        self.content = images.image(*(images.layer(f"layer {number}", 30_000) for number in range(5)), bytes(400_000))
        images.put(self.content, self.source, "team/app", "1")
        (folder / "clean").mkdir()
        self.clean = _joined(self.save(to=folder / "clean"))
        self.source.forget_calls()

    def save(self, *, split: int | None = None, to: Path | None = None, blobs: int = 32) -> Saved:
        return save(
            [Reference.parse(APP)],
            lambda _: self.source,
            (to or self.folder) / "b.tar.zst",
            wishes=Wishes(split_size=split),
            concurrency=Concurrency(blobs=blobs),
        )

    def fail_once(self, number: int) -> None:
        """Have the source refuse the blob that is asked for as number so and so."""
        asked: list[Call] = []

        def trouble(call: Call) -> None:
            if call.verb == "GET blob":
                asked.append(call)
                if len(asked) == number:
                    raise RegistryError("refused", host="source.example", status=500)

        self.source.trouble = trouble

    def fetched(self) -> int:
        return self.source.count("GET blob")

    def goes_on(self, *, split: int | None = None) -> int:
        """Save again, without trouble, to the same bytes and no leftovers; return how many blobs were fetched."""
        self.source.trouble = lambda _call: None
        self.source.forget_calls()
        saved = self.save(split=split)
        assert _joined(saved) == self.clean
        assert {path.name for path in self.folder.iterdir()} == {file.name for file in saved.files}
        return self.fetched()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.mark.parametrize("split", [None, 1 << 16])
@pytest.mark.parametrize("number", range(1, 7))
def test_it_goes_on_wherever_it_was_interrupted(desk: Desk, number: int, split: int | None):
    desk.fail_once(number)
    assert not desk.save(split=split, blobs=1).files
    assert desk.goes_on(split=split) == 1


def test_the_disk_never_holds_more_than_the_bundle_will_have(desk: Desk):
    tables = 7 * 100
    held: list[int] = []

    def look(call: Call) -> None:
        if call.verb == "READ blob":
            held.append(sum(path.stat().st_size for path in desk.folder.rglob("*") if path.is_file()))

    desk.source.trouble = look
    desk.save(blobs=1)
    assert held
    assert max(held) <= len(desk.clean) + tables


def test_it_goes_on_at_the_end(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object, **__: object) -> None:
        raise StoreError("no room")

    with monkeypatch.context() as patch:
        patch.setattr("homeport.mirror.bundle.output_packed.appear", full)
        with pytest.raises(StoreError):
            desk.save()
    assert desk.goes_on() == 0


@pytest.mark.parametrize("is_brief", [False, True])
@pytest.mark.parametrize("number", range(10))
def test_a_full_disk_costs_nothing_that_was_written(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, number: int, is_brief: bool
):
    write, count = os.write, 0

    def full(handle: int, data: bytes) -> int:
        nonlocal count
        count += 1
        if count == number + 1:
            return write(handle, data[: len(data) // 2])
        if count == number + 2 or (count > number and not is_brief):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(handle, data)

    monkeypatch.setattr("homeport.mirror.bundle.packed_row.os.write", full)
    try:
        failed = [image.error for image in desk.save(blobs=1).images]
    except StoreError as error:
        failed = [error.message]
    monkeypatch.undo()
    assert "No space left on device" in failed[0]
    assert desk.goes_on() == (0 if number else 7)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda body: b"", id="emptied"),
        pytest.param(lambda body: body[:-1], id="cut"),
        pytest.param(lambda body: body[: len(body) // 2] + b"\xff" + body[len(body) // 2 + 1 :], id="flipped"),
        pytest.param(lambda body: bytes(len(body)), id="zeroed"),
        pytest.param(lambda body: body + bytes(1 << 20), id="longer"),
        pytest.param(lambda body: b"[[99999999999,1],[1,99999999999]]", id="numbers"),
        pytest.param(lambda body: b"[" * 5000, id="nested"),
        pytest.param(lambda body: b"[[-5,10],[0,0]]", id="negative"),
    ],
)
@pytest.mark.parametrize("which", ["row", "blobs", "tables"])
def test_what_was_left_is_proven_before_it_is_used(desk: Desk, which: str, damage: Callable[[bytes], bytes]):
    desk.fail_once(4)
    desk.save(blobs=1)
    folder = desk.folder / "b.tar.zst.blobs.partial"
    files = {
        "row": [desk.folder / "b.tar.zst.partial"],
        "blobs": [path for path in folder.iterdir() if path.suffix != ".frames" and path.name != "lock"],
        "tables": [path for path in folder.iterdir() if path.suffix == ".frames"],
    }
    for file in files[which]:
        file.write_bytes(damage(file.read_bytes()))
    assert desk.goes_on() <= 7


def test_a_row_of_parts_of_another_size_is_begun_anew(desk: Desk):
    desk.fail_once(6)
    desk.save(split=1 << 16, blobs=1)
    desk.goes_on(split=(1 << 16) + 512)


def test_parts_of_no_use_leave_their_room(desk: Desk):
    desk.fail_once(6)
    desk.save(split=1 << 16, blobs=1)
    assert len(list(desk.folder.glob("*.partial"))) > 2
    desk.fail_once(1)
    desk.save(split=1 << 20, blobs=1)
    names = {path.name for path in desk.folder.iterdir()}
    assert names == {"b.tar.zst.001.partial", "b.tar.zst.blobs.partial"}


@pytest.mark.parametrize("place", [100, 512 + 300])
def test_a_blob_in_another_frame_is_another(tmp_path: Path, place: int):
    body = bytes(range(200))
    blob = Descriptor("x", digest_of(body), len(body))
    plain = bytearray(header(blob_path(blob.digest), 200) + body + bytes(312))
    for right in (True, False):
        frame = pack(plain)
        (tmp_path / "frame").write_bytes(frame)
        with Pieces.open([tmp_path / "frame"]) as pieces:
            assert is_blob(pieces, 0, [(len(frame), 1024)], blob) == right
        plain[place] ^= 1


def test_the_rest_of_another_bundle_does_not_get_into_this_one(desk: Desk):
    other = images.image(*(images.layer(f"other {number}", 20_000) for number in range(5)))
    images.put(other, desk.source, "team/app", "1")
    desk.fail_once(5)
    desk.save(blobs=1)
    images.put(desk.content, desk.source, "team/app", "1")
    desk.fail_once(7)
    desk.save(blobs=1)
    left = {path.name for path in (desk.folder / "b.tar.zst.blobs.partial").iterdir()}
    own = {digest.replace(":", "-") for digest in desk.content.all_blobs}
    assert left <= {"lock", *own, *(f"{name}.frames" for name in own)}
    assert desk.goes_on() == 1


def test_two_runs_do_not_write_one_bundle(desk: Desk):
    caught: list[StoreError] = []

    def meanwhile(call: Call) -> None:
        if call.verb == "GET blob" and not caught:
            caught.append(StoreError("none"))
            try:
                desk.save()
            except StoreError as error:
                caught.append(error)

    desk.source.trouble = meanwhile
    assert _joined(desk.save(blobs=1)) == desk.clean
    assert "being written by another run" in str(caught[1])


def test_a_blob_that_lies_is_in_no_bundle(desk: Desk):
    lying = desk.content.blobs[1][0]
    desk.source.lies = {lying.digest: bytes(lying.size)}
    assert not desk.save().files
    desk.source.lies = {}
    assert desk.goes_on() == 1


def test_frames_are_of_one_blob_each_and_of_no_other_size(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("homeport.mirror.bundle.packed_blobs.FRAME", 10_000)
    again = _joined(desk.save())
    assert again != desk.clean
    assert zstd.decompress(again) == zstd.decompress(desk.clean)


def test_a_run_that_ended_lets_go_of_its_files(tmp_path: Path):
    output = PackedOutput(tmp_path / "b.tar.zst", None)
    output.begin({"index.json": b"{}"}, [])
    output.close()
    again = PackedOutput(tmp_path / "b.tar.zst", None)
    again.begin({"index.json": b"{}"}, [])
    assert again.finish() == (tmp_path / "b.tar.zst",)
    again.close()
    assert [path.name for path in tmp_path.iterdir()] == ["b.tar.zst"]


def _joined(saved: Saved) -> bytes:
    return b"".join(file.read_bytes() for file in saved.files if file.suffix != ".sha256")
