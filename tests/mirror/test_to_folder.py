"""A mirror into an OCI layout in a folder."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from homeport.errors import ContentError, UsageError
from homeport.mapping import Mapping
from homeport.mirror import MirrorResult, forecast, mirror
from homeport.mirror.bundle.archives import open_layout
from homeport.mirror.bundle.load import load, verify
from homeport.mirror.bundle.save import save
from homeport.mirror.ports import Upload
from homeport.oci.digest import digest_of
from homeport.oci.manifest import Descriptor
from homeport.reference import Reference
from homeport.store.layout_target import LayoutTarget
from tests.kit import images
from tests.mirror.conftest import World

NAMES = Mapping.parse("localhost", keep_registry=True)
APP = "source.example/team/app:1"


def target_of(folder: Path, *references: str) -> LayoutTarget:
    named = map(Reference.parse, references)
    return LayoutTarget(folder, {NAMES.relocate(each).repository: each.name for each in named})


def bring(world: World, folder: Path, *references: str, **wishes: Any) -> MirrorResult:
    world.forget_calls()
    named = [Reference.parse(text) for text in references]
    return mirror(named, NAMES, world.find, target_of(folder, *references), **wishes)


@pytest.fixture
def content(world: World) -> images.Content:
    content = images.multi_arch("app")
    images.put(content, world.source, "team/app", "1")
    return content


def test_an_image_is_there_whole_under_its_full_name(world: World, content: images.Content, tmp_path: Path):
    folder = tmp_path / "new" / "layout"
    assert not bring(world, folder, APP).failed
    with open_layout([folder]) as layout:
        assert layout.references == (Reference.parse(APP),)
        assert verify(layout, [folder]) == []
        assert all(layout.manifest(part.digest).body == part.manifest.body for part in content.walk())
        assert not load(layout, world.mapping, world.target).failed
    assert world.target.tagged["team/app"] == {"1": content.digest}


def test_the_second_time_nothing_is_done(world: World, content: images.Content, tmp_path: Path):
    bring(world, tmp_path, APP, referrers=True)
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")}
    result = bring(world, tmp_path, APP, referrers=True)
    assert result.images[0].status == "present"
    assert result.traffic.counted_pulls == 0
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")} == before


def test_platforms_that_are_missing_are_brought_when_all_are_wanted(
    world: World, content: images.Content, tmp_path: Path
):
    bring(world, tmp_path, APP, platforms=["linux/amd64"])
    assert bring(world, tmp_path, APP, platforms=["linux/amd64"]).images[0].status == "present"
    assert bring(world, tmp_path, APP).images[0].status == "copied"
    with open_layout([tmp_path]) as layout:
        assert verify(layout, [tmp_path]) == []
    assert bring(world, tmp_path, APP).images[0].status == "present"


def test_a_dry_run_makes_no_folder(world: World, content: images.Content, tmp_path: Path):
    plan = forecast([Reference.parse(APP)], NAMES, world.find, target_of(tmp_path / "none", APP))
    assert plan.images[0].status == "pending"
    assert not (tmp_path / "none").exists()


def test_more_images_are_added_and_a_tag_that_moved_is_replaced(world: World, content: images.Content, tmp_path: Path):
    bring(world, tmp_path, APP)
    foreign = {"mediaType": "text/plain", "digest": "sha256:" + 64 * "a", "size": 1, "annotations": {"own": "kept"}}
    index = json.loads((tmp_path / "index.json").read_text())
    (tmp_path / "index.json").write_text(json.dumps({**index, "manifests": [foreign, *index["manifests"]]}))
    moved = images.image(images.layer("moved"))
    images.put(moved, world.source, "team/app", "1")
    images.put(images.image(images.layer("other")), world.source, "team/app", "2")
    bring(world, tmp_path, APP, "source.example/team/app:2")
    manifests = json.loads((tmp_path / "index.json").read_text())["manifests"]
    assert manifests[0] == foreign
    assert [each["digest"] for each in manifests].count(content.digest) == 0
    assert moved.digest in [each["digest"] for each in manifests]
    assert len(manifests) == 3


def test_signatures_come_along_and_are_found_when_it_is_read(world: World, content: images.Content, tmp_path: Path):
    signature = images.about(content)
    images.put(signature, world.source, "team/app")
    bring(world, tmp_path, APP, referrers=True)
    with open_layout([tmp_path]) as layout:
        assert [each.digest for each in layout.referrers[content.digest]] == [signature.digest]
        assert layout.references == (Reference.parse(APP),)
    later = images.about(content, "later")
    images.put(later, world.source, "team/app")
    assert bring(world, tmp_path, APP, referrers=True).traffic.counted_pulls == 1


def test_an_image_that_is_known_by_digest_keeps_that_name(world: World, content: images.Content, tmp_path: Path):
    name = f"source.example/team/app@{content.digest}"
    bring(world, tmp_path, name, keep_tags=True)
    with open_layout([tmp_path]) as layout:
        assert layout.references == (Reference.parse(name),)
    assert bring(world, tmp_path, name, keep_tags=True).images[0].status == "present"


def test_two_that_write_at_once_lose_nothing(world: World, tmp_path: Path):
    """skopeo loses entries of the index so (skopeo 2184)."""
    names = [f"source.example/app:{number}" for number in range(16)]
    for number in range(16):
        images.put(images.image(label=str(number)), world.source, "app", str(number))
    halves = [threading.Thread(target=bring, args=(world, tmp_path, *half)) for half in (names[::2], names[1::2])]
    for half in halves:
        half.start()
    for half in halves:
        half.join()
    with open_layout([tmp_path]) as layout:
        assert {str(each) for each in layout.references} == set(names)


def test_content_that_is_named_by_sha512_has_its_place(tmp_path: Path):
    data = b"some layer"
    blob, target = Descriptor("text/plain", digest_of(data, "sha512"), len(data)), target_of(tmp_path)
    target.put_blob("app", blob, images.BytesReader(data), Upload(blob.digest))
    assert (tmp_path / "blobs" / "sha512" / blob.digest.partition(":")[2]).read_bytes() == data


def test_a_damaged_manifest_is_said(world: World, content: images.Content, tmp_path: Path):
    bring(world, tmp_path, APP)
    (tmp_path / "blobs" / "sha256" / content.digest.partition(":")[2]).write_bytes(b"{}")
    (image,) = bring(world, tmp_path, APP).images
    assert "is damaged in it" in image.error


def test_folders_that_are_something_else_are_refused(world: World, content: images.Content, tmp_path: Path):
    (tmp_path / "bundle").mkdir()
    save([Reference.parse(APP)], world.find, tmp_path / "bundle")
    with pytest.raises(UsageError, match="holds a bundle"):
        target_of(tmp_path / "bundle")
    (tmp_path / "index.json").write_text("[]")
    with pytest.raises(ContentError, match=r"index\.json in it cannot be read"):
        target_of(tmp_path)
