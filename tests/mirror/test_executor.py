"""What a mirror brings, what it asks for, and what it does when things go wrong."""

import threading

import pytest

from homeport.errors import (
    CollisionError,
    RateLimitedError,
    RegistryError,
    UnreachableError,
)
from homeport.mirror import Concurrency, ImageResult, Observer, Wanted
from homeport.mirror.platforms import MAX_DEPTH
from homeport.reference import Reference
from tests.kit import images
from tests.kit.memory import Call
from tests.mirror.conftest import World

REDIS = "source.example/redislabs/redis:7.2.4-64"


def test_brings_a_whole_index_under_the_same_tag_and_digest(world: World):
    content = images.multi_arch("redis")
    images.put(content, world.source, "redislabs/redis", "7.2.4-64")

    result = world.mirror(REDIS)

    (image,) = result.images
    assert (image.status, image.digest) == ("copied", content.digest)
    assert str(image.wanted.target) == "target.example/redislabs/redis:7.2.4-64"
    assert world.target.tagged == {"redislabs/redis": {"7.2.4-64": content.digest}}
    assert world.target.blobs["redislabs/redis"] == content.all_blobs
    assert world.target.manifests["redislabs/redis"] == {part.digest: part.manifest for part in content.walk()}


def test_first_copy_asks_no_more_than_it_must(world: World):
    content = images.multi_arch("redis", (images.AMD64, images.ARM64, images.S390X))
    images.put(content, world.source, "redislabs/redis", "7.2.4-64")
    children, blobs = len(content.children), len(content.all_blobs)

    result = world.mirror(REDIS)

    assert world.source.count() + world.target.count() <= 6 + 2 * children + 4 * blobs
    assert world.source.counted_pulls == result.traffic.counted_pulls == 1 + children
    assert world.source.count("GET blob") == world.target.count("PUT blob") == blobs
    assert (result.traffic.source, result.traffic.target) == (world.source.count(), world.target.count())
    assert result.traffic.bytes == content.size


def test_unchanged_images_cost_one_head_on_each_side(world: World):
    names = [f"source.example/app/part{number}:1" for number in range(25)]
    for number in range(25):
        images.put(images.multi_arch(f"part{number}", size=10), world.source, f"app/part{number}", "1")
    world.mirror(*names)

    result = world.mirror(*names)

    assert {image.status for image in result.images} == {"present"}
    assert world.source.count() == world.source.count("HEAD manifest") == 25
    assert world.target.count() == world.target.count("HEAD manifest") == 25
    assert result.traffic.counted_pulls == result.traffic.bytes == 0


def test_a_digest_that_the_target_has_asks_nothing_of_the_source(world: World):
    content = images.image(images.layer("a"))
    images.put(content, world.source, "app", "1")
    world.mirror("source.example/app:1")

    result = world.mirror(f"source.example/app@{content.digest}", f"source.example/app:1@{content.digest}")

    assert [image.status for image in result.images] == ["present", "present"]
    assert world.source.calls == []


def test_shared_layers_are_fetched_once_and_mounted(world: World):
    base = images.layer("base", 5000)
    for name in ("one", "two", "three"):
        images.put(images.image(base, label=name), world.source, name, "1")

    result = world.mirror("source.example/one:1", "source.example/two:1", "source.example/three:1")

    shared = images.digest_of(base)
    assert not result.failed
    assert len(world.calls(world.source, lambda call: call.startswith("GET blob") and call.endswith(shared))) == 1
    assert len(world.calls(world.target, lambda call: call.startswith("PUT blob") and call.endswith(shared))) == 1


def test_a_target_that_cannot_mount_gets_each_blob_in_full(world: World):
    world.target.mounts = False
    base = images.layer("base", 5000)
    for name in ("one", "two"):
        images.put(images.image(base, label=name), world.source, name, "1")

    result = world.mirror("source.example/one:1", "source.example/two:1")

    assert not result.failed
    assert world.target.blobs["one"].keys() & world.target.blobs["two"].keys() == {images.digest_of(base)}


def test_two_tags_of_one_image_cost_one_pull(world: World):
    content = images.multi_arch("redis")
    for tag in ("7", "7.2", "latest"):
        images.put(content, world.source, "redis", tag)

    world.mirror("source.example/redis:7", "source.example/redis:7.2", "source.example/redis")

    assert world.source.counted_pulls == 1 + len(content.children)
    assert set(world.target.tagged["redis"]) == {"7", "7.2", "latest"}


def test_a_new_tag_for_what_the_target_has_costs_no_pull(world: World):
    content = images.multi_arch("redis")
    images.put(content, world.source, "redis", "7.2")
    world.mirror("source.example/redis:7.2")
    images.put(content, world.source, "redis", "latest")

    result = world.mirror("source.example/redis:latest")

    assert [image.status for image in result.images] == ["copied"]
    assert world.source.counted_pulls == 0
    assert world.target.tagged["redis"]["latest"] == content.digest


def test_a_look_at_the_target_ends_before_its_image_fails(world: World):
    """Otherwise a run could end, and count, while it still asks."""
    asked, go = threading.Event(), threading.Event()

    def hold(call: Call) -> None:
        asked.set()
        go.wait(30)

    world.target.trouble = hold
    run = threading.Thread(target=world.mirror, args=("source.example/none:1",))
    run.start()
    assert asked.wait(30)
    run.join(0.05)
    assert run.is_alive()
    go.set()
    run.join(30)
    assert not run.is_alive()


def test_indexes_that_are_nested_without_end_are_refused(world: World):
    content = images.image(images.layer("a"))
    for _ in range(MAX_DEPTH + 2):
        content = images.index(content)
    images.put(content, world.source, "app", "1")
    (image,) = world.mirror("source.example/app:1").images
    assert f"nested more than {MAX_DEPTH} deep" in image.error
    assert world.target.count("PUT manifest") == 0


def test_three_new_tags_for_what_the_target_has_read_it_once(world: World):
    content = images.multi_arch("redis")
    images.put(content, world.source, "redis", "7.2")
    world.mirror("source.example/redis:7.2")
    for tag in ("7", "8", "latest"):
        images.put(content, world.source, "redis", tag)

    world.mirror("source.example/redis:7", "source.example/redis:8", "source.example/redis:latest")

    assert world.target.count("GET manifest") == 1


def test_a_child_of_two_indexes_is_fetched_and_pushed_once(world: World):
    shared, one, two = (images.image(images.layer(name)) for name in ("shared", "one", "two"))
    images.put(images.index(shared, one), world.source, "app", "1")
    images.put(images.index(shared, two), world.source, "app", "2")

    world.mirror("source.example/app:1", "source.example/app:2")

    assert world.source.counted_pulls == 5
    assert world.target.count("PUT manifest") == 5


def test_children_at_the_target_are_not_fetched_again(world: World):
    kept, new = (images.image(images.layer(name)) for name in ("kept", "new"))
    images.put(kept, world.target, "app")
    images.put(images.index(kept, new), world.source, "app", "1")

    world.mirror("source.example/app:1")

    fetched = world.calls(world.source, lambda call: call.startswith("GET manifest"))
    assert not any(kept.digest in call for call in fetched)
    assert len(fetched) == 2


def test_nested_indexes_arrive_inside_out(world: World):
    inner = images.multi_arch("inner")
    content = images.index(inner, images.image(images.layer("beside")))
    images.put(content, world.source, "app", "1")

    assert not world.mirror("source.example/app:1").failed
    assert world.target.tagged["app"]["1"] == content.digest


@pytest.mark.parametrize("docker", [False, True])
def test_docker_and_oci_manifests_keep_their_type(world: World, docker: bool):
    content = images.index(images.image(images.layer("a"), docker=docker), docker=docker)
    images.put(content, world.source, "app", "1")

    world.mirror("source.example/app:1")

    assert world.target.get_manifest("app", "1") == content.manifest


def test_one_bad_image_does_not_stop_the_others(world: World):
    for name in ("first", "last"):
        images.put(images.image(images.layer(name)), world.source, name, "1")

    result = world.mirror("source.example/first:1", "source.example/missing:1", "source.example/last:1")

    assert [image.status for image in result.images] == ["copied", "failed", "copied"]
    assert result.images[1].error == "source.example/missing:1 is not there"


def test_a_blob_that_lies_leaves_no_tag(world: World):
    content = images.multi_arch("redis")
    images.put(content, world.source, "redis", "1")
    digest, data = next(iter(content.all_blobs.items()))
    world.source.lies[digest] = data[:-1] + b"!"

    (image,) = world.mirror("source.example/redis:1").images

    assert image.status == "failed"
    assert digest in image.error
    assert world.target.tagged["redis"] == {}
    assert digest not in world.target.blobs["redis"]


def test_a_full_target_fails_with_what_it_said_and_the_next_run_goes_on(world: World):
    content = images.multi_arch("redis")
    images.put(content, world.source, "redis", "1")

    def full(call: Call) -> None:
        if call.verb == "PUT blob" and world.target.count("PUT blob") > 3:
            raise RegistryError("target.example: 507: no space left on device", status=507)

    world.target.trouble = full
    (image,) = world.mirror("source.example/redis:1").images
    assert image.status == "failed"
    assert "no space left" in image.error
    assert world.target.tagged["redis"] == {}

    world.target.trouble = lambda _call: None
    held = len(world.target.blobs["redis"])
    world.mirror("source.example/redis:1")
    assert held == 3
    assert world.source.count("GET blob") == len(content.all_blobs) - held
    assert world.target.tagged["redis"]["1"] == content.digest


def test_an_upload_that_is_sent_anew_counts_once(world: World):
    content = images.image(images.layer("a"))
    images.put(content, world.source, "app", "1")
    broken = []

    def breaks_once(call: Call) -> None:
        if call.verb == "KEEP blob" and not broken:
            broken.append(call)
            raise UnreachableError("target.example: connection reset")

    world.target.trouble = breaks_once

    result = world.mirror("source.example/app:1")

    assert broken
    assert not result.failed
    assert result.traffic.bytes == content.size


def test_a_reached_pull_limit_is_not_hammered(world: World):
    names = [f"source.example/app/part{number}:1" for number in range(40)]
    for number in range(40):
        images.put(images.image(images.layer(f"part{number}")), world.source, f"app/part{number}", "1")

    def limited(call: Call) -> None:
        if call.verb == "GET manifest":
            raise RateLimitedError("source.example: You have reached your pull rate limit")

    world.source.trouble = limited

    result = world.mirror(*names)

    assert len(result.failed) == 40
    assert world.source.counted_pulls <= 16


def test_a_tag_that_moves_meanwhile_is_copied_as_it_was_first_named(world: World):
    before, after = (images.image(images.layer(name)) for name in ("before", "after"))
    images.put(before, world.source, "app", "1")

    def moves(call: Call) -> None:
        if call.verb == "GET manifest":
            world.source.trouble = lambda _call: None
            images.put(after, world.source, "app", "1")

    world.source.trouble = moves

    (image,) = world.mirror("source.example/app:1").images

    assert image.digest == world.target.tagged["app"]["1"] == before.digest


def test_a_pinned_reference_brings_its_tag_when_the_source_agrees(world: World):
    content = images.image(images.layer("a"))
    images.put(content, world.source, "app", "1")

    (image,) = world.mirror(f"source.example/app:1@{content.digest}").images

    assert image.status == "copied"
    assert world.target.tagged["app"] == {"1": content.digest}


def test_a_pinned_reference_leaves_a_tag_that_moved_alone(world: World):
    old, new = (images.image(images.layer(name)) for name in ("old", "new"))
    images.put(old, world.source, "app", "1")
    images.put(new, world.source, "app", "1")

    pinned, tagged = world.mirror(f"source.example/app:1@{old.digest}", "source.example/app:1").images

    assert (pinned.status, tagged.status) == ("copied", "copied")
    assert f"its tag 1 is {new.digest} now" in pinned.note
    assert world.target.tagged["app"] == {"1": new.digest}
    assert old.digest in world.target.manifests["app"]


def test_a_digest_that_is_not_there_fails(world: World):
    missing = "sha256:" + 64 * "0"
    (image,) = world.mirror(f"source.example/app@{missing}").images
    assert (image.status, image.digest) == ("failed", missing)


def test_sources_that_share_a_target_tag_are_refused_before_anything_is_asked(world: World):
    digest = images.image().digest
    with pytest.raises(CollisionError, match=r"source\.example/app.*other\.example/app"):
        world.mirror("source.example/app:1", f"other.example/app:1@{digest}")
    assert world.source.calls == world.target.calls == []


def test_a_source_on_the_target_mounts_from_itself(world: World):
    content = images.image(images.layer("a"))
    images.put(content, world.target, "app", "1")
    world.mapping = world.mapping.__class__(world.mapping.target.parse("target.example/mirror"))

    result = world.mirror("target.example/app:1")

    assert not result.failed
    assert result.traffic.bytes == world.target.count("GET blob") == 0
    assert world.target.tagged["mirror/app"]["1"] == content.digest


def test_a_large_blob_is_looked_for_where_mounts_are_unknown(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("homeport.mirror.blobs.LARGE_BLOB", 1000)
    world.target.mounts = False
    content = images.image(images.layer("large", 5000))
    images.put(content, world.source, "app", "1")
    for blob, data in content.blobs:
        world.target.blobs["app"][blob.digest] = data

    result = world.mirror("source.example/app:1")

    config = content.blobs[0][0]
    assert result.traffic.bytes == config.size


def test_an_interrupt_ends_at_once_and_leaves_nothing_half_visible(world: World):
    for name in ("redis", "other"):
        images.put(images.multi_arch(name), world.source, name, "1")
    uploading, hang = threading.Event(), threading.Event()

    class Impatient(Observer):
        def image_started(self, wanted: Wanted) -> None:
            if wanted.source.repository == "other":
                assert uploading.wait(30)
                raise KeyboardInterrupt

    def hangs(call: Call) -> None:
        if call.verb == "PUT blob":
            uploading.set()
            assert hang.wait(30)

    world.target.trouble = hangs
    with pytest.raises(KeyboardInterrupt):
        world.mirror("source.example/other:1", "source.example/redis:1", observer=Impatient())
    hang.set()
    for thread in threading.enumerate():
        if thread.name.startswith(("image-", "manifest-", "blob-")):
            thread.join(30)
            assert not thread.is_alive()

    assert world.target.blobs["redis"] == {}
    assert world.target.manifests["redis"] == {}
    assert world.target.tagged["redis"] == {}


def test_bytes_expected_and_copied_agree_in_the_end(world: World):
    base = images.layer("base", 5000)
    for name in ("one", "two"):
        images.put(images.image(base, label=name), world.source, name, "1")
    sums = {"expected": 0, "copied": 0}
    lock = threading.Lock()

    class Adding(Observer):
        def bytes_expected(self, count: int, image: Reference) -> None:
            with lock:
                sums["expected"] += count

        def bytes_copied(self, count: int, image: Reference) -> None:
            with lock:
                sums["copied"] += count

    result = world.mirror("source.example/one:1", "source.example/two:1", observer=Adding())

    assert sums["expected"] == sums["copied"] == result.traffic.bytes


def test_with_fail_fast_nothing_is_begun_after_a_failure_and_what_runs_ends(world: World):
    images.put(images.image(images.layer("slow")), world.source, "slow", "1")
    images.put(images.image(images.layer("later")), world.source, "later", "1")
    failed = threading.Event()

    class Wait(Observer):
        def image_finished(self, result: ImageResult) -> None:
            if "none" in str(result.wanted.source):
                failed.set()

    def hold(call: Call) -> None:
        if (call.verb, call.repository) == ("GET blob", "slow"):
            assert failed.wait(10)

    world.source.trouble = hold
    names = [f"source.example/{name}:1" for name in ("slow", "none", "later")]
    result = world.mirror(*names, fail_fast=True, observer=Wait(), concurrency=Concurrency(images=2))

    assert [image.status for image in result.images] == ["failed", "failed", "failed"]
    assert "is not there" in result.images[1].error
    for number in (0, 2):
        assert f"{names[number]} was not brought, as {names[1]} failed before" in result.images[number].error
    assert not any(world.target.tagged.values())
    assert "later" not in {call.repository for call in world.source.calls if call.verb.startswith("GET")}
    assert [image.status for image in world.mirror(*names).images] == ["copied", "failed", "copied"]
