"""Blobs that the target has in other repositories are mounted, whoever brought them there and when."""

from pathlib import Path

import pytest

from homeport.mirror import homes as homes_module
from homeport.mirror.homes import TargetHomes
from homeport.mirror.kept import KeptManifests
from homeport.mirror.plan import LARGE_BLOB
from tests.kit import images
from tests.mirror.conftest import World

BASE = images.layer("base", 5000)
ONE, TWO = "source.example/one:1", "source.example/two:1"


@pytest.fixture
def kept(tmp_path: Path) -> KeptManifests:
    return KeptManifests(tmp_path / "cache")


def publish(world: World) -> None:
    for name in ("one", "two"):
        images.put(images.image(BASE, label=name), world.source, name, "1")


def sent(world: World) -> list[str]:
    return [
        call.repository
        for call in world.target.calls
        if call.verb == "PUT blob" and call.what == images.digest_of(BASE)
    ]


def test_what_an_earlier_run_brought_is_mounted(world: World, kept: KeptManifests):
    publish(world)
    world.mirror(ONE, kept=kept)
    assert sent(world) == ["one"]

    result = world.mirror(TWO, kept=kept)

    assert not result.failed
    assert sent(world) == []
    assert world.source.count("GET blob") == 1, "its own config"


def test_what_images_of_the_job_have_that_are_there_is_mounted(world: World, kept: KeptManifests, tmp_path: Path):
    """Somebody else brought the one, its manifest came by here, and nobody said where its blobs are."""
    publish(world)
    world.mirror(ONE)
    kept.keep(world.source.get_manifest("one", "1"))

    world.mirror(ONE, TWO, kept=kept)

    assert sent(world) == []


def test_what_is_gone_is_sent_again(world: World, kept: KeptManifests):
    publish(world)
    world.mirror(ONE, kept=kept)
    world.target.blobs["one"].clear()

    assert not world.mirror(TWO, kept=kept).failed
    assert sent(world) == ["two"]


@pytest.mark.parametrize("mounts", [True, False])
def test_a_target_that_has_mounted_once_is_not_asked_for_large_blobs_by_later_runs(
    world: World, kept: KeptManifests, mounts: bool
):
    world.target.mounts = mounts
    publish(world)
    world.mirror(ONE, kept=kept)
    world.mirror(TWO, kept=kept)
    for name in ("three", "four"):
        images.put(images.image(images.layer(f"large {name}", LARGE_BLOB)), world.source, name, "1")
        assert not world.mirror(f"source.example/{name}:1", kept=kept).failed
        assert world.target.count("HEAD blob") == (0 if mounts else 1)


def test_registries_are_not_mixed_up(kept: KeptManifests):
    homes = TargetHomes({}, kept, "a.example:5000")
    homes.bring("app", "sha256:1")
    homes.keep()
    assert TargetHomes({}, kept, "a.example:5000").of("sha256:1") == ("app",)
    assert TargetHomes({}, kept, "a.example").of("sha256:1") == ()


def test_who_starts_the_job_knows_best(kept: KeptManifests):
    homes = TargetHomes({"sha256:1": ("said", "too")}, kept, "a.example")
    homes.bring("brought", "sha256:1")
    assert homes.of("sha256:1") == ("said", "too")
    assert homes.is_given("sha256:1")


def test_only_the_latest_are_remembered(kept: KeptManifests, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(homes_module, "MOST_KEPT", 3)
    for brought in (("a", "b", "c"), ("a",), ("d",)):
        homes = TargetHomes({}, kept, "a.example")
        for name in brought:
            homes.bring("app", f"sha256:{name}")
        homes.keep()
    homes = TargetHomes({}, kept, "a.example")
    assert [name for name in "abcd" if homes.of(f"sha256:{name}")] == ["a", "c", "d"]


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"sha256:1": 7}', b"\xff", b'{"x":' + b"[" * 100_000, b'{"\xff": ""}']
)
def test_a_file_that_was_spoilt_is_none(kept: KeptManifests, content: bytes):
    kept.write("homes-a.example", content)
    homes = TargetHomes({}, kept, "a.example")
    assert homes.of("sha256:1") == ()
    homes.bring("app", "sha256:2")
    homes.keep()
    assert TargetHomes({}, kept, "a.example").of("sha256:2") == ("app",)
