"""A mirror into one file: an OCI archive, or what `docker load` reads."""

import json
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from homeport.errors import ContentError, StoreError, UsageError
from homeport.mapping import Mapping
from homeport.mirror import MirrorResult, forecast, mirror
from homeport.mirror.bundle.archive_target import ArchiveTarget
from homeport.mirror.bundle.archives import open_layout
from homeport.mirror.bundle.docker_list import docker_name
from homeport.mirror.bundle.load import load, verify
from homeport.mirror.bundle.save import save
from homeport.oci.manifest import RawManifest
from homeport.oci.media_types import DOCKER_FOREIGN_LAYER, OCI_MANIFEST
from homeport.reference import Reference
from tests.kit import images
from tests.mirror.conftest import World

NAMES = Mapping.parse("localhost", keep_registry=True)
APP, TWO = "source.example/team/app:1", "source.example/two:2"


def target_of(file: Path, *references: str, is_docker: bool = False) -> ArchiveTarget:
    named = map(Reference.parse, references)
    return ArchiveTarget(file, {NAMES.relocate(each).repository: each.name for each in named}, is_docker=is_docker)


def into(world: World, target: ArchiveTarget, *references: str, **wishes: Any) -> MirrorResult:
    world.forget_calls()
    return mirror([Reference.parse(text) for text in references], NAMES, world.find, target, **wishes)


def bring(world: World, file: Path, *references: str, is_docker: bool = False, **wishes: Any) -> MirrorResult:
    with target_of(file, *references, is_docker=is_docker) as target:
        result = into(world, target, *references, one_platform=is_docker, **wishes)
        if not result.failed:
            target.finish()
    return result


def read(file: Path, name: str) -> Any:
    with tarfile.open(file) as archive:
        content = archive.extractfile(name)
        assert content
        return json.loads(content.read())


def fetched(world: World) -> list[str]:
    """Return the repositories that blobs were fetched from, sorted and each once."""
    return sorted({call.repository for call in world.source.calls if call.verb == "GET blob"})


@contextmanager
def stopped_before_finish(world: World, file: Path, *references: str) -> Iterator[MirrorResult]:
    with target_of(file, *references) as target:
        yield into(world, target, *references)


@pytest.fixture
def content(world: World) -> images.Content:
    content = images.multi_arch("app")
    images.put(content, world.source, "team/app", "1")
    images.put(images.image(images.layer("two")), world.source, "two", "2")
    return content


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a.tar"


def test_an_image_is_in_it_whole_under_its_full_name(world: World, content: images.Content, file: Path):
    assert not bring(world, file, APP).failed
    assert [each.name for each in file.parent.iterdir()] == ["a.tar"]
    with open_layout([file]) as layout:
        assert layout.references == (Reference.parse(APP),)
        assert verify(layout, [file]) == []
        assert all(layout.manifest(part.digest).body == part.manifest.body for part in content.walk())
        assert not load(layout, world.mapping, world.target).failed
    assert world.target.tagged["team/app"] == {"1": content.digest}


def test_the_second_time_nothing_is_done(world: World, content: images.Content, file: Path):
    bring(world, file, APP, referrers=True)
    before = file.stat()
    result = bring(world, file, APP, referrers=True)
    assert result.images[0].status == "present"
    assert result.traffic.counted_pulls == 0
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_what_is_in_it_stays_and_is_not_fetched_again(world: World, content: images.Content, file: Path):
    signature = images.about(content)
    images.put(signature, world.source, "team/app")
    bring(world, file, APP, referrers=True)
    result = bring(world, file, TWO, APP)
    assert [image.status for image in result.images] == ["copied", "present"]
    assert fetched(world) == ["two"]
    with open_layout([file]) as layout:
        assert {str(each) for each in layout.references} == {APP, TWO}
        assert [each.digest for each in layout.referrers[content.digest]] == [signature.digest]
        assert verify(layout, [file]) == []


def test_platforms_that_are_missing_are_brought_when_all_are_wanted(world: World, content: images.Content, file: Path):
    bring(world, file, APP, platforms=["linux/amd64"])
    assert bring(world, file, APP).images[0].status == "copied"
    with open_layout([file]) as layout:
        assert verify(layout, [file]) == []


def test_equal_images_make_equal_bytes(world: World, content: images.Content, tmp_path: Path):
    for file, order in (("a.tar", (APP, TWO)), ("b.tar", (TWO, APP))):  # images come in any order
        with target_of(tmp_path / file, APP, TWO) as target:
            for name in order:
                assert not into(world, target, name).failed
            target.finish()
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_what_a_tag_was_before_is_not_in_it_any_more(world: World, content: images.Content, file: Path):
    bring(world, file, APP)
    moved = images.image(images.layer("moved"))
    images.put(moved, world.source, "team/app", "1")
    bring(world, file, APP)
    with tarfile.open(file) as archive:
        blobs = {name for name in archive.getnames() if name.startswith("blobs/")}
    assert blobs == {"blobs/" + each.replace(":", "/") for each in (moved.digest, *moved.all_blobs)}


def test_what_an_interrupted_run_has_brought_is_not_fetched_again(world: World, content: images.Content, file: Path):
    with stopped_before_finish(world, file, APP):
        pass
    assert not file.exists()
    bring(world, file, APP)
    assert fetched(world) == []
    with open_layout([file]) as layout:
        assert verify(layout, [file]) == []
    assert not (file.parent / "a.tar.unfinished").exists()


def test_images_of_an_interrupted_run_are_in_it_only_if_they_are_wanted(
    world: World, content: images.Content, file: Path
):
    with stopped_before_finish(world, file, APP):
        pass
    bring(world, file, TWO)
    with open_layout([file]) as layout:
        assert {str(each) for each in layout.references} == {TWO}
        assert not layout.holds(content.digest)


def test_the_old_file_stays_until_the_new_one_is_whole(
    world: World, content: images.Content, file: Path, monkeypatch: pytest.MonkeyPatch
):
    bring(world, file, APP)
    before = file.read_bytes()

    def full(*_: object) -> int:
        raise OSError(28, os.strerror(28))

    with target_of(file, APP, TWO) as target:
        assert not into(world, target, APP, TWO).failed
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", full)
            with pytest.raises(StoreError, match="No space left"):
                target.finish()
        assert file.read_bytes() == before
        target.finish()
    with open_layout([file]) as layout:
        assert {str(each) for each in layout.references} == {APP, TWO}


def test_two_at_once_do_not_lose_what_the_other_wrote(world: World, content: images.Content, file: Path):
    with target_of(file, APP) as first, target_of(file, TWO) as second, target_of(file, TWO) as third:
        assert not into(world, first, APP).failed
        (image,) = into(world, second, TWO).images
        assert "is being written by another run" in image.error
        first.finish()
        first.close()
        # It has read the file before that was written.
        (image,) = into(world, third, TWO).images
        assert "is being written by another run" in image.error
    assert bring(world, file, TWO).images[0].status == "copied"
    with open_layout([file]) as layout:
        assert {str(each) for each in layout.references} == {APP, TWO}


def test_a_thread_that_comes_late_writes_nothing(file: Path):
    with target_of(file, APP) as target:
        pass
    with pytest.raises(StoreError, match="is not written any more"):
        images.put(images.image(label="late"), target, "a", "1")
    assert list(file.parent.iterdir()) == []


def test_a_dry_run_looks_into_it_and_writes_nothing(world: World, content: images.Content, file: Path):
    with target_of(file, APP) as target:
        assert forecast([Reference.parse(APP)], NAMES, world.find, target).images[0].status == "pending"
    assert list(file.parent.iterdir()) == []
    bring(world, file, APP)
    with target_of(file, APP) as target:
        assert forecast([Reference.parse(APP)], NAMES, world.find, target).images[0].status == "present"


@pytest.mark.parametrize("is_docker", [False, True])
def test_files_that_are_something_else_are_left_as_they_are(
    world: World, content: images.Content, tmp_path: Path, *, is_docker: bool
):
    save([Reference.parse(APP)], world.find, tmp_path / "bundle.tar")
    bring(world, tmp_path / "other.tar", TWO, is_docker=not is_docker)
    (tmp_path / "text").write_text("a list of things\n" * 100)
    with tarfile.open(tmp_path / "plain.tar", "w") as archive:
        archive.add(tmp_path / "text", "text")
    for name, reason in {
        "bundle.tar": "is a bundle",
        "other.tar": "is an archive that docker load reads" if not is_docker else "is an OCI archive",
        "text": "is no archive",
        "plain.tar": "holds no OCI layout",
    }.items():
        before = (tmp_path / name).read_bytes()
        with pytest.raises(UsageError, match=reason):
            target_of(tmp_path / name, is_docker=is_docker)
        assert (tmp_path / name).read_bytes() == before
    with pytest.raises(UsageError, match="there is no folder"):
        target_of(tmp_path / "none" / "a.tar")


def test_an_empty_file_is_a_place_for_it(world: World, content: images.Content, file: Path):
    file.touch()
    assert not bring(world, file, APP).failed
    with open_layout([file]) as layout:
        assert layout.references == (Reference.parse(APP),)


def test_damaged_content_in_it_is_not_taken_along(world: World, content: images.Content, file: Path):
    bring(world, file, APP)
    layer = content.children[0].blobs[1][1]
    packed = file.read_bytes()
    file.write_bytes(packed.replace(layer, layer[:-1] + b"!"))
    with target_of(file, TWO) as target:
        into(world, target, TWO)
        with pytest.raises(ContentError, match="is damaged"):
            target.finish()


def test_docker_finds_config_layers_and_name_of_each_image(world: World, file: Path):
    app = images.image(images.layer("base"), images.layer("base"), images.layer("app"))
    images.put(app, world.source, "team/app", "1")
    bring(world, file, APP, is_docker=True)
    config, *_ = app.blobs
    layers = [blob.digest for blob in json.loads(app.manifest.body, object_hook=_descriptor)["layers"]]
    path = "blobs/{}".format
    assert read(file, "manifest.json") == [
        {
            "Config": path(config[0].digest.replace(":", "/")),
            "RepoTags": [APP],
            "Layers": [path(each.replace(":", "/")) for each in layers],
        }
    ]
    assert len(layers) == 3


def _descriptor(fields: dict[str, Any]) -> Any:
    from homeport.oci.manifest import Descriptor

    return Descriptor(fields["mediaType"], fields["digest"], fields["size"]) if "digest" in fields else fields


def test_docker_takes_one_platform_and_the_others_are_not_fetched(world: World, content: images.Content, file: Path):
    (image,) = bring(world, file, APP, is_docker=True).images
    assert "is for several platforms, and docker load takes one: linux/amd64, linux/arm64" in image.error
    assert "--platform" in image.hint
    assert fetched(world) == []
    assert not file.exists()

    assert not bring(world, file, APP, is_docker=True, platforms=["linux/arm64"]).failed
    arm = content.children[1]
    (listed,) = read(file, "manifest.json")
    assert listed["Config"].endswith(arm.blobs[0][0].digest.partition(":")[2])
    with open_layout([file]) as layout:
        assert layout.manifest(content.digest).body == content.manifest.body
        assert not layout.holds(content.children[0].digest)
    again = bring(world, file, APP, is_docker=True, platforms=["linux/arm64"])
    assert again.images[0].status == "present"
    (image,) = bring(world, file, APP, is_docker=True, platforms=["linux/amd64"]).images
    assert "is for several platforms" in image.error


def test_an_index_of_one_platform_and_its_attestation_needs_no_choice(world: World, file: Path):
    images.put(images.index(images.image(images.layer("a")), attested=True), world.source, "team/app", "1")
    assert not bring(world, file, APP, is_docker=True).failed
    assert read(file, "manifest.json")[0]["RepoTags"] == [APP]


def test_what_docker_does_not_run_is_refused(world: World, file: Path):
    chart = images.about(images.image())
    body = json.loads(chart.manifest.body)
    del body["subject"]
    raw = RawManifest.of(json.dumps(body).encode(), OCI_MANIFEST)
    images.put(images.Content(raw, chart.blobs), world.source, "team/app", "1")
    (image,) = bring(world, file, APP, is_docker=True).images
    assert "is no image that Docker runs" in image.error


def test_layers_that_stay_elsewhere_are_refused_for_docker(world: World, file: Path):
    app = images.image(images.layer("a"))
    body = json.loads(app.manifest.body)
    body["layers"][0]["mediaType"] = DOCKER_FOREIGN_LAYER
    raw = RawManifest.of(json.dumps(body).encode(), OCI_MANIFEST)
    images.put(images.Content(raw, app.blobs), world.source, "team/app", "1")
    (image,) = bring(world, file, APP, is_docker=True).images
    assert "docker load wants them all" in image.error


def test_an_image_that_is_known_by_digest_has_no_tag_for_docker(world: World, file: Path):
    app = images.image(images.layer("a"))
    images.put(app, world.source, "team/app")
    name = f"source.example/team/app@{app.digest}"
    bring(world, file, name, is_docker=True, keep_tags=True)
    assert read(file, "manifest.json")[0]["RepoTags"] == []
    with open_layout([file]) as layout:
        assert layout.references == (Reference.parse(name),)


@pytest.mark.parametrize(
    ("full", "shown"),
    [
        ("docker.io/library/redis:7", "redis:7"),
        ("docker.io/redislabs/redis:7", "redislabs/redis:7"),
        ("docker.io/library/a/b:1", "library/a/b:1"),
        ("quay.io/library/app:1", "quay.io/library/app:1"),
        ("localhost:5000/app:1", "localhost:5000/app:1"),
    ],
)
def test_names_are_as_docker_shows_them(full: str, shown: str):
    assert docker_name(full) == shown
