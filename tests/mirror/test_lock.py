from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from homeport.errors import InputError, StoreError, UsageError
from homeport.mirror.lock import Lock, Portion
from homeport.reference import Reference
from tests.kit import images
from tests.kit.memory import Call
from tests.mirror.conftest import World

DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64).map("sha256:".__add__)
PLATFORMS = st.sampled_from(["linux/amd64", "linux/arm64", "linux/arm/v7", "windows/amd64"])
NAMES = st.from_regex(r"[a-z]{1,9}(/[a-z]{1,9})?:[a-z0-9]{1,9}", fullmatch=True).map(lambda name: f"docker.io/{name}")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(NAMES, DIGESTS), st.lists(PLATFORMS), st.booleans())
def test_what_is_written_is_read(
    tmp_path: Path, digests: dict[str, str], platforms: list[str], rebuild_index: bool
):  # drawn
    lock = Lock(digests, Portion.of(platforms, rebuild_index=rebuild_index))
    lock.write(tmp_path / "homeport.lock")
    assert Lock.read(tmp_path / "homeport.lock") == lock


def test_the_same_lock_is_the_same_bytes_and_leaves_nothing_beside_it(tmp_path: Path):
    one, two = f"sha256:{64 * '1'}", f"sha256:{64 * '2'}"
    Lock({"docker.io/b/b:1": one, "docker.io/a/a:1": two}).write(tmp_path / "a")
    Lock({"docker.io/a/a:1": two, "docker.io/b/b:1": one}).write(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_text().startswith('{\n  "docker.io/a/a:1"')
    assert {file.name for file in tmp_path.iterdir()} == {"a", "b"}


def test_platforms_stand_before_the_images_in_an_order_of_their_own(tmp_path: Path):
    one = f"sha256:{64 * '1'}"
    for name, platforms in (
        ("a", ["linux/arm64", "linux/amd64"]),
        ("b", ["linux/amd64", "linux/arm64", "linux/amd64"]),
    ):
        Lock({"docker.io/a/a:1": one}, Portion.of(platforms)).write(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_text() == (
        f'{{\n  "platforms": [\n    "linux/amd64",\n    "linux/arm64"\n  ],\n  "docker.io/a/a:1": "{one}"\n}}\n'
    )


def test_a_lock_of_all_platforms_names_none(tmp_path: Path):
    Lock({"docker.io/a/a:1": f"sha256:{64 * '1'}"}).write(tmp_path / "a")
    assert "platforms" not in (tmp_path / "a").read_text()


@pytest.mark.parametrize(
    ("portion", "words"),
    [
        (Portion(), "all platforms"),
        (Portion(("linux/amd64", "linux/arm64")), "linux/amd64, linux/arm64 alone"),
        (Portion(("linux/amd64",), rebuild_index=True), "linux/amd64 alone and --rebuild-index"),
    ],
)
def test_another_portion_is_refused_by_what_it_was_made_with(portion: Portion, words: str):
    lock = Lock(portion=portion)
    lock.check(portion, Path("homeport.lock"), "")
    with pytest.raises(UsageError, match=f"homeport.lock was made with {words}, not with linux/s390x alone"):
        lock.check(Portion(("linux/s390x",)), Path("homeport.lock"), "")


def test_it_holds_what_a_mirror_brought(world: World):
    content = images.image(images.layer("a"))
    images.put(content, world.source, "app", "latest")

    lock = Lock.of(world.mirror("source.example/app", "source.example/missing:1"))

    assert lock.digests == {"source.example/app:latest": content.digest}
    assert lock.digest(Reference.parse("source.example/app")) == content.digest
    assert lock.digest(Reference.parse("source.example/other")) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"platforms": ["amd64"]}',
        '{"platforms": "linux/amd64"}',
        '{"rebuildIndex": 1}',
        '{"a/b:1": 1}',
        '{"a/b:1": "sha256:12"}',
        '{"A B": "sha256:12"}',
    ],
)
def test_what_is_no_lock_is_refused(tmp_path: Path, text: str):
    file = tmp_path / "homeport.lock"
    file.write_text(text)
    with pytest.raises(InputError, match=r"homeport\.lock: is no lock"):
        Lock.read(file)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path):
    with pytest.raises(StoreError, match=r"cannot write .*/none/homeport\.lock: No such file"):
        Lock().write(tmp_path / "none" / "homeport.lock")


def _world(world: World) -> tuple[images.Content, images.Content]:
    old, new = images.multi_arch("old"), images.multi_arch("new")
    images.put(old, world.source, "app", "1")
    world.mirror("source.example/app:1")
    return old, new


def test_a_locked_image_that_is_there_costs_one_head_and_the_source_nothing(world: World):
    old, _ = _world(world)
    result = world.mirror("source.example/app:1", locked={"source.example/app:1": old.digest})
    assert result.images[0].status == "present"
    assert (world.source.count(), world.target.count()) == (0, 1)


def test_a_locked_tag_that_moved_is_refused_with_both_digests(world: World):
    _, new = _world(world)
    old = images.multi_arch("older")
    images.put(new, world.source, "app", "1")
    result = world.mirror("source.example/app:1", locked={"source.example/app:1": old.digest})
    assert result.images[0].status == "failed"
    assert old.digest in result.images[0].error
    assert new.digest in result.images[0].error
    assert world.source.counted_pulls == 0


def test_a_locked_tag_is_moved_at_the_target_where_the_lock_says_so(world: World):
    _, new = _world(world)
    images.put(new, world.source, "app", "1")
    result = world.mirror("source.example/app:1", locked={"source.example/app:1": new.digest})
    assert result.images[0].status == "copied"
    assert world.target.tagged["app"]["1"] == new.digest


def test_a_tag_that_is_not_locked_is_refused_before_anything_is_done(world: World):
    with pytest.raises(UsageError, match="the lock does not have"):
        world.mirror("source.example/app:1", locked={})
    assert world.source.count() == world.target.count() == 0


def test_a_digest_needs_no_lock(world: World):
    old, _ = _world(world)
    assert not world.mirror(f"source.example/app@{old.digest}", locked={}).failed


def test_a_tag_that_moves_while_its_image_is_brought_is_noticed(world: World):
    old, new = images.multi_arch("old"), images.multi_arch("new")
    images.put(old, world.source, "app", "1")

    def move(call: Call) -> None:
        if call.verb == "GET blob":
            world.source.trouble = lambda _call: None
            images.put(new, world.source, "app", "1")

    world.source.trouble = move
    result = world.mirror("source.example/app:1")
    assert result.images[0].digest == old.digest == world.target.tagged["app"]["1"]
    assert f"moved meanwhile and is {new.digest} now" in result.images[0].note


def test_a_run_updates_the_lock_and_forgets_nothing_that_failed(world: World):
    old, _ = _world(world)
    before = Lock({"source.example/gone:1": old.digest, "source.example/other:1": old.digest})
    portion = Portion(("linux/amd64",))
    after = before.after(world.mirror("source.example/app:1", "source.example/gone:1"), portion)
    assert after.portion == portion
    assert after.digests == {"source.example/app:1": old.digest, "source.example/gone:1": old.digest}
