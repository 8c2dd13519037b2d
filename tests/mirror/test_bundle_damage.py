"""Bundles that were damaged or tampered with on the way: refused with the part's name, or loaded as they were."""

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from homeport.errors import HomeportError
from homeport.mapping import Mapping, Target
from homeport.mirror.bundle.archives import open_layout
from homeport.mirror.bundle.load import load, verify
from homeport.mirror.bundle.save import Wishes, save
from homeport.reference import Reference
from tests.kit import images
from tests.kit.memory import MemoryRegistry

APP, OTHER = "source.example/team/app:1", "source.example/team/other:1"


class Parts:
    """The files of a bundle in parts, and of another one with parts of the same size."""

    def __init__(self, folder: Path, files: tuple[Path, ...], other: tuple[Path, ...], content: images.Content) -> None:
        self.folder, self.files, self.other, self.content = folder, files, other, content

    def loaded(self, *paths: Path) -> tuple[list[str], MemoryRegistry]:
        """Load it; return what was said, and the target."""
        target = MemoryRegistry("target.example")
        try:
            with open_layout(paths or self.files[:1]) as layout:
                result = load(layout, Mapping(Target.parse("target.example")), target)
                return [image.error for image in result.failed], target
        except HomeportError as error:
            return [error.message], target

    def verified(self) -> list[str]:
        """Verify it; return what was said."""
        try:
            with open_layout(self.files[:1]) as layout:
                return verify(layout, self.files[:1])
        except HomeportError as error:
            return [error.message]


@pytest.fixture(params=["plain", "zstd"])
def parts(tmp_path: Path, request: pytest.FixtureRequest) -> Parts:
    source = MemoryRegistry("source.example")
    content = images.multi_arch("app", size=3000)
    images.put(content, source, "team/app", "1")
    images.put(images.multi_arch("other", size=3000), source, "team/other", "1")
    found = []
    for folder, name in (("one", APP), ("two", OTHER)):
        (tmp_path / folder).mkdir()
        packed = request.param == "zstd"
        wishes = Wishes(split_size=3 << 10 if packed else 6 << 10, packed=packed)
        saved = save([Reference.parse(name)], lambda _: source, tmp_path / folder / "b.tar", wishes=wishes)
        found.append(saved.files)
    assert len(found[0]) > 3
    return Parts(tmp_path, *found, content)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(number=st.integers(0, 9), place=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_any_flipped_byte_is_refused_with_its_part_or_of_no_account(parts: Parts, number: int, place: int, flip: int):
    *files, _ = parts.files
    part = files[number % len(files)]
    whole = part.read_bytes()
    place %= len(whole)
    part.write_bytes(whole[:place] + bytes([whole[place] ^ flip]) + whole[place + 1 :])
    try:
        said, target = parts.loaded()
        verified = parts.verified()
    finally:
        part.write_bytes(whole)
    assert any(part.name in line for line in verified)
    if said:
        assert target.tagged["team/app"] == {}
    else:
        assert target.tagged["team/app"] == {"1": parts.content.digest}
        assert target.blobs["team/app"] == parts.content.all_blobs


@pytest.mark.parametrize("number", [0, 1, -1])
def test_a_part_of_another_bundle_is_refused_by_its_name(parts: Parts, number: int):
    ours, theirs = parts.files[:-1][number], parts.other[:-1][number]
    shutil.copy(theirs, ours)
    said, target = parts.loaded()
    assert any(ours.name in line for line in said)
    assert target.tagged["team/app"] == {}
    assert any(ours.name in line for line in parts.verified())


def test_parts_that_were_exchanged_are_refused(parts: Parts):
    one, two = parts.files[:2]
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    said, target = parts.loaded()
    assert one.name in said[0]
    assert not target.tagged["team/app"]


def test_a_list_in_another_order_is_refused(parts: Parts):
    sums = parts.files[-1]
    sums.write_text("".join(reversed(sums.read_text().splitlines(keepends=True))))
    said, target = parts.loaded()
    assert "b.tar" in said[0]
    assert not target.tagged["team/app"]


@pytest.mark.parametrize("cut", [1, 1000, 6 << 10])
def test_a_truncated_part_is_refused_by_its_name(parts: Parts, cut: int):
    for part in parts.files[:-2]:
        whole = part.read_bytes()
        part.write_bytes(whole[:-cut] if cut < len(whole) else b"")
        said, target = parts.loaded()
        part.write_bytes(whole)
        assert part.name in said[0]
        assert not target.tagged["team/app"]


def test_a_missing_part_and_a_missing_list_are_named(parts: Parts):
    kept = parts.files[1].rename(parts.folder / "away")
    assert parts.loaded()[0][0].startswith(f"{parts.files[1].name}: this part of the bundle is missing")
    kept.rename(parts.files[1])
    parts.files[-1].unlink()
    assert "its list b.tar.sha256 is not beside it" in parts.loaded()[0][0]


def test_a_part_that_is_named_elsewhere_is_found_there(parts: Parts):
    away = parts.folder / "away"
    away.mkdir()
    moved = parts.files[1].rename(away / parts.files[1].name)
    said, target = parts.loaded(moved, parts.files[-1], parts.files[0])
    assert said == []
    assert target.tagged["team/app"] == {"1": parts.content.digest}
