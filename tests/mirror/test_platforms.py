"""A mirror of some platforms: the index as it is, of its children only those."""

from pathlib import Path

import msgspec
import pytest

from homeport.errors import ContentError
from homeport.mirror.kept import KeptManifests
from homeport.mirror.platforms import wanted_children
from homeport.oci.manifest import Descriptor, Manifest, Platform
from homeport.oci.media_types import OCI_INDEX, OCI_MANIFEST
from tests.kit import images
from tests.mirror.conftest import World

REDIS = "source.example/redislabs/redis:7.2.4-64"
THREE = (images.AMD64, images.ARM64, images.S390X)


@pytest.fixture
def content(world: World) -> images.Content:
    world.target.validates = False
    content = images.multi_arch("redis", THREE, attested=True)
    images.put(content, world.source, "redislabs/redis", "7.2.4-64")
    return content


def test_only_the_wanted_platforms_are_fetched_and_the_index_keeps_its_digest(world: World, content: images.Content):
    result = world.mirror(REDIS, platforms=["linux/amd64"])

    amd64, attestation = content.children[0], content.children[3]
    assert result.images[0].status == "copied"
    assert world.target.tagged == {"redislabs/redis": {"7.2.4-64": content.digest}}
    assert set(world.target.manifests["redislabs/redis"]) == {content.digest, amd64.digest, attestation.digest}
    assert set(world.target.blobs["redislabs/redis"]) == {*amd64.all_blobs, *attestation.all_blobs}
    assert result.traffic.counted_pulls == 3


def test_doing_it_again_costs_no_pull(world: World, content: images.Content):
    world.mirror(REDIS, platforms=["linux/amd64"])

    result = world.mirror(REDIS, platforms=["linux/amd64"])

    assert result.images[0].status == "present"
    assert world.source.count() == world.source.count("HEAD manifest") == 1
    assert world.target.count("PUT manifest", "POST blob") == 0


def test_a_platform_that_is_wanted_later_is_brought_then(world: World, content: images.Content):
    world.mirror(REDIS, platforms=["linux/amd64"])

    planned = world.forecast(REDIS, platforms=["linux/amd64", "linux/arm64"])
    result = world.mirror(REDIS, platforms=["linux/amd64", "linux/arm64"])

    assert planned.images[0].status == "pending"
    assert result.images[0].status == "copied"
    assert result.traffic.counted_pulls == 2
    assert result.traffic.counted_pulls in planned.cost.counted_pulls
    assert result.traffic.bytes in planned.cost.bytes
    assert content.children[1].digest in world.target.manifests["redislabs/redis"]


def test_a_platform_that_an_image_lacks_is_named_with_those_it_has(world: World, content: images.Content):
    result = world.mirror(REDIS, platforms=["linux/riscv64"])

    assert result.images[0].status == "failed"
    assert "no image for linux/riscv64; there is linux/amd64, linux/arm64, linux/s390x" in result.images[0].error
    assert not world.target.tagged["redislabs/redis"]


def test_an_image_of_one_platform_is_brought_whatever_is_wanted(world: World):
    images.put(images.image(images.layer("one")), world.source, "redislabs/redis", "7.2.4-64")

    assert world.mirror(REDIS, platforms=["linux/arm64"]).images[0].status == "copied"


def test_a_target_that_wants_all_platforms_says_what_to_do(world: World, content: images.Content):
    world.target.validates = True

    (image,) = world.mirror(REDIS, platforms=["linux/amd64"]).images

    assert image.status == "failed"
    assert "it takes no index that lacks platforms: target.example: manifest names unknown" in image.error
    assert "without --platform" in image.hint
    assert "--rebuild-index" in image.hint
    assert not world.target.tagged["redislabs/redis"]


def test_an_index_can_be_made_anew_for_a_target_that_wants_all_platforms(world: World, content: images.Content):
    world.target.validates = True
    images.put(images.about(content), world.source, "redislabs/redis")
    of_platform = images.about(content.children[1])
    images.put(of_platform, world.source, "redislabs/redis")
    arm64, attestation = content.children[1], content.children[4]

    wishes = {"platforms": ["linux/arm64"], "rebuild_index": True, "referrers": True}
    (image,) = world.mirror(REDIS, **wishes).images

    made = world.target.manifests["redislabs/redis"][image.rebuilt]
    before, after = (msgspec.json.decode(raw.body) for raw in (content.manifest, made))
    assert image.digest == content.digest != image.rebuilt
    assert image.rebuilt in image.note
    assert content.digest in image.note
    assert world.target.tagged == {"redislabs/redis": {"7.2.4-64": image.rebuilt}}
    assert [child["digest"] for child in after["manifests"]] == [arm64.digest, attestation.digest]
    assert [child for child in before["manifests"] if child in after["manifests"]] == after["manifests"]
    assert world.target.manifests["redislabs/redis"].keys() == {
        image.rebuilt,
        arm64.digest,
        attestation.digest,
        of_platform.digest,
    }


def test_an_index_that_was_made_anew_is_there_the_next_time(world: World, content: images.Content, tmp_path: Path):
    kept = KeptManifests(tmp_path)
    wishes = {"platforms": ["linux/arm64"], "rebuild_index": True, "kept": kept}
    (first,) = world.mirror(REDIS, **wishes).images
    planned = world.forecast(REDIS, **wishes).images[0].status
    result = world.mirror(REDIS, **wishes)
    assert planned == result.images[0].status == "present"
    assert result.images[0].rebuilt == first.rebuilt
    assert result.traffic.counted_pulls == world.target.count("PUT manifest") == 0
    (more,) = world.mirror(REDIS, **{**wishes, "platforms": ["linux/arm64", "linux/amd64"]}).images
    assert more.status == "copied"
    assert more.rebuilt not in (first.rebuilt, content.digest)


def test_an_index_is_made_anew_of_the_one_that_the_target_has_under_another_tag(world: World, content: images.Content):
    world.mirror(REDIS)
    images.put(content, world.source, "redislabs/redis", "new")
    name = "source.example/redislabs/redis:new"
    result = world.mirror(name, platforms=["linux/arm64"], rebuild_index=True)
    assert result.images[0].rebuilt == world.target.tagged["redislabs/redis"]["new"]
    assert result.traffic.counted_pulls == 0


def test_what_has_no_more_platforms_keeps_its_digest(world: World, content: images.Content):
    images.put(images.image(images.layer("one")), world.source, "redislabs/redis", "single")
    every = ["linux/amd64", "linux/arm64", "linux/s390x"]
    for name, wanted in ((REDIS, every), ("source.example/redislabs/redis:single", ["linux/arm64"])):
        (image,) = world.mirror(name, platforms=wanted, rebuild_index=True).images
        assert (image.status, image.rebuilt, image.note) == ("copied", "", "")


def test_a_name_with_a_digest_cannot_be_kept_by_an_index_made_anew(world: World, content: images.Content):
    name = f"source.example/redislabs/redis@{content.digest}"
    (image,) = world.mirror(name, platforms=["linux/amd64"], rebuild_index=True).images
    assert "is named by its digest" in image.error
    assert not world.target.manifests["redislabs/redis"]


def test_an_index_of_indexes_is_not_made_anew(world: World):
    nested = images.index(images.multi_arch("a"), images.image(), images.image(platform=images.S390X))
    images.put(nested, world.source, "redislabs/redis", "7.2.4-64")
    (image,) = world.mirror(REDIS, platforms=["linux/amd64"], rebuild_index=True).images
    assert "names an index in turn" in image.error


@pytest.mark.parametrize(
    ("platform", "wanted", "is_brought"),
    [
        (Platform(os="linux", architecture="arm64"), "linux/arm64/v8", True),
        (Platform(os="linux", architecture="arm64", variant="v8"), "linux/arm64", True),
        (Platform(os="linux", architecture="arm", variant="v7"), "linux/arm", True),
        (Platform(os="linux", architecture="arm", variant="v7"), "linux/arm/v6", False),
        (Platform(os="windows", architecture="amd64"), "linux/amd64", False),
    ],
)
def test_variants_count_where_they_are_asked_for(platform: Platform, wanted: str, is_brought: bool):
    index = Manifest(OCI_INDEX, (Descriptor(OCI_MANIFEST, "sha256:" + 64 * "a", 1, platform),))
    if is_brought:
        assert wanted_children(index, [wanted]) == index.children
    else:
        with pytest.raises(ContentError, match="there is no image for"):
            wanted_children(index, [wanted])
