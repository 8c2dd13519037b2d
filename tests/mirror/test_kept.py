"""No counted pull is paid twice: not by a plan and its mirror, not by a killed run and the next."""

import os
from pathlib import Path

import pytest

from homeport.errors import UnreachableError
from homeport.mirror import Plan, forecast
from homeport.mirror.kept import KeptManifests
from homeport.mirror.plan import Bound
from homeport.oci.manifest import RawManifest
from homeport.reference import Reference
from tests.kit import images
from tests.kit.memory import Call
from tests.mirror.conftest import World

APP = "source.example/app:1"


@pytest.fixture
def kept(tmp_path: Path) -> KeptManifests:
    return KeptManifests(tmp_path / "cache" / "manifests")


def deep(world: World, kept: KeptManifests, *references: str) -> Plan:
    world.forget_calls()
    wanted = map(Reference.parse, references)
    return forecast(wanted, world.mapping, world.find, world.target, kept=kept, deep=True)


def test_a_deep_plan_and_its_mirror_count_what_the_mirror_alone_counts(world: World, kept: KeptManifests):
    content = images.multi_arch("redis")
    images.put(content, world.source, "app", "1")

    plan = deep(world, kept, APP)
    counted_by_plan = world.source.counted_pulls
    result = world.mirror(APP, kept=kept)

    assert counted_by_plan == 1 + len(content.children)
    assert result.traffic.counted_pulls == world.source.counted_pulls == 0
    assert plan.cost.bytes.high == result.traffic.bytes == content.size
    assert result.traffic.source in plan.cost.source
    assert result.traffic.target in plan.cost.target


def test_a_deep_plan_asks_for_nothing_that_the_target_has(world: World, kept: KeptManifests):
    old, new = (images.image(images.layer(name), platform=images.AMD64) for name in ("old", "new"))
    shared = images.image(images.layer("shared"), platform=images.ARM64)
    images.put(images.index(old, shared), world.source, "app", "1")
    world.mirror(APP)
    images.put(images.index(new, shared), world.source, "app", "1")

    plan = deep(world, kept, APP)

    assert world.source.counted_pulls == 2
    assert plan.cost.counted_pulls == Bound.exactly(2)


def test_a_deep_plan_says_what_would_fail(world: World, kept: KeptManifests):
    content = images.multi_arch("redis")
    images.put(content, world.source, "app", "1")
    del world.source.manifests["app"][content.children[0].digest]
    plan = deep(world, kept, APP, "source.example/none:1")
    assert [image.status for image in plan.images] == ["failed", "failed"]


def test_a_run_that_was_cut_pays_for_no_manifest_again(world: World, kept: KeptManifests):
    content = images.multi_arch("redis")
    images.put(content, world.source, "app", "1")

    def cut(call: Call) -> None:
        if call.verb == "GET blob":
            raise UnreachableError("gone")

    world.source.trouble = cut
    assert world.mirror(APP, kept=kept).failed
    world.source.trouble = lambda _call: None
    assert world.mirror(APP, kept=kept).traffic.counted_pulls == 0
    assert world.target.tagged["app"]["1"] == content.digest


def test_a_tag_is_always_asked_for(world: World, kept: KeptManifests):
    images.put(images.multi_arch("old"), world.source, "app", "1")
    world.mirror(APP, kept=kept)
    new = images.multi_arch("new")
    images.put(new, world.source, "app", "1")
    assert world.mirror(APP, kept=kept).images[0].digest == new.digest


def test_what_was_changed_on_disk_is_fetched_again(world: World, kept: KeptManifests, tmp_path: Path):
    content = images.image(images.layer("one"))
    images.put(content, world.source, "app", "1")
    deep(world, kept, APP)
    file = next((tmp_path / "cache/manifests").iterdir())
    file.write_bytes(file.read_bytes().replace(b"layers", b"slayer"))
    assert world.mirror(APP, kept=kept).traffic.counted_pulls == 1


def test_a_folder_that_cannot_be_used_hinders_nothing(world: World, tmp_path: Path):
    (tmp_path / "file").write_text("")
    images.put(images.image(), world.source, "app", "1")
    assert not world.mirror(APP, kept=KeptManifests(tmp_path / "file" / "manifests")).failed


def test_it_stays_small_and_drops_what_was_not_used_for_long(tmp_path: Path):
    kept = KeptManifests(tmp_path, most=10_000)
    manifests = [images.image(label=str(number)).manifest for number in range(60)]
    for age, raw in enumerate(manifests):
        kept.keep(raw)
        file = tmp_path / raw.digest.replace(":", "-")
        os.utime(file, (age, age))
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 10_000 + 10_000 // 8 + len(manifests[0].body)
    assert kept.get(manifests[-1].digest) == manifests[-1]
    assert kept.get(manifests[0].digest) is None


def test_a_manifest_of_a_type_that_it_does_not_tell_is_not_kept(kept: KeptManifests):
    raw = RawManifest.of(b"{}", "application/vnd.other+json")
    kept.keep(raw)
    assert kept.get(raw.digest) is None
