"""Blobs that the target has in other repositories are mounted, whoever brought them there and when."""

from pathlib import Path

import pytest

from homeport.mirror import homes as homes_module
from homeport.mirror.homes import TargetHomes
from homeport.mirror.kept import KeptManifests
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
    for run in range(3):
        homes = TargetHomes({}, kept, "a.example")
        for number in range(2):
            homes.bring("app", f"sha256:{run}{number}")
        homes.bring("app", "sha256:00")
        homes.keep()
    homes = TargetHomes({}, kept, "a.example")
    assert [digest for digest in ("sha256:00", "sha256:10", "sha256:20", "sha256:21") if homes.of(digest)] == [
        "sha256:00",
        "sha256:20",
        "sha256:21",
    ]


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
