"""The plan is pure, and what a run then costs lies within it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport.mirror import Bound, Cost, MirrorResult
from homeport.mirror.plan import Known, plan
from homeport.oci.digest import is_digest
from homeport.oci.manifest import parse_manifest
from tests.kit import images
from tests.kit.memory import MemoryRegistry
from tests.mirror.conftest import World

REDIS = "source.example/redis:1"
LAYERS = [f"layer {name}".encode() for name in "abcd"]
PLATFORMS = [images.AMD64, images.ARM64, images.S390X]

single = st.builds(
    lambda layers, on, label, docker: images.image(*layers, platform=on, label=label, docker=docker),
    st.lists(st.sampled_from(LAYERS), max_size=3, unique=True),
    st.sampled_from(PLATFORMS),
    st.sampled_from("xyz"),
    st.booleans(),
)
content = st.one_of(
    single,
    st.builds(
        lambda children, attested: images.index(
            *{child.digest: child for child in children}.values(), attested=attested
        ),
        st.lists(single, max_size=3),
        st.booleans(),
    ),
)
published = st.dictionaries(
    st.tuples(st.sampled_from(["app", "base/app"]), st.sampled_from(["1", "2", "latest"])), content, min_size=1
)


def known_of(source: MemoryRegistry, target: MemoryRegistry) -> Known:
    """Everything there is to know, as after a look at every manifest and blob."""
    manifests = {raw.digest: raw for held in source.manifests.values() for raw in held.values()}
    named = {digest: parse_manifest(raw) for digest, raw in manifests.items()}
    blobs = {blob.digest for manifest in named.values() for blob in manifest.blobs}
    there = {
        (repository, digest): digest in target.manifests[repository] or digest in target.blobs[repository]
        for repository in list(source.manifests)
        for digest in {*manifests, *blobs}
    }
    return Known(named, there)


def assert_within(result: MirrorResult, cost: Cost) -> None:
    traffic = result.traffic
    assert traffic.source in cost.source
    assert traffic.target in cost.target
    assert traffic.bytes in cost.bytes
    assert traffic.counted_pulls in cost.counted_pulls


@settings(max_examples=100, deadline=None)
@given(published, st.booleans(), st.booleans(), st.sets(st.integers(0, 5)), st.sets(st.integers(0, 5)))
def test_a_run_costs_what_was_planned(
    images_by_name: dict[tuple[str, str], images.Content],
    mounts: bool,
    knows_names: bool,
    first: set[int],
    then: set[int],
):
    world = World()
    world.target.mounts, world.target.knows_names = mounts, knows_names
    for (repository, tag), each in images_by_name.items():
        images.put(each, world.source, repository, tag)
    names = [f"source.example/{repository}:{tag}" for repository, tag in images_by_name]
    world.mirror(*(name for number, name in enumerate(names) if number in first))
    wanted = [name for number, name in enumerate(names) if number in then]

    forecast = world.forecast(*wanted)
    knowing = plan([image.seen for image in forecast.images], known_of(world.source, world.target))
    result = world.mirror(*wanted)

    assert not result.failed
    assert_within(result, forecast.cost)
    assert_within(result, knowing.cost)
    assert knowing.cost.counted_pulls == Bound.exactly(result.traffic.counted_pulls)
    if not first and len(wanted) == 1:
        assert knowing.cost == Cost(*map(Bound.exactly, _numbers(result)))


def _numbers(result: MirrorResult) -> tuple[int, int, int, int]:
    traffic = result.traffic
    return traffic.source, traffic.target, traffic.bytes, traffic.counted_pulls


def test_a_forecast_asks_the_source_by_head_alone(world: World):
    images.put(images.multi_arch("redis"), world.source, "redis", "1")

    forecast = world.forecast(REDIS)

    assert world.source.count() == world.source.count("HEAD manifest") == 1
    assert world.target.count() == world.target.count("HEAD manifest", "GET manifest")
    assert forecast.images[0].status == "pending"
    assert world.target.manifests["redis"] == {}


@pytest.mark.parametrize("knows_names", [True, False])
def test_a_look_at_all_manifests_knows_what_a_first_copy_takes(world: World, knows_names: bool):
    """Of a repository that is new nothing is asked, neither by the look nor by the run."""
    world.target.knows_names = knows_names
    content = images.index(images.image(images.layer("large", 1 << 20)), images.image(LAYERS[0], platform=images.ARM64))
    images.put(content, world.source, "redis", "1")

    planned = world.forecast(REDIS, deep=True)
    children = 0 if knows_names else len(content.children)
    assert (world.target.count("HEAD manifest"), world.target.count("HEAD blob")) == (1 + children, 0)
    result = world.mirror(REDIS)

    assert_within(result, planned.cost)
    if knows_names:  # but for blobs that the target may have elsewhere
        assert (planned.cost.source.high, planned.cost.target.high) == (result.traffic.source, result.traffic.target)


def test_an_index_bounds_its_pulls_by_its_size(world: World):
    content = images.multi_arch("redis", PLATFORMS)
    images.put(content, world.source, "redis", "1")

    pulls = world.forecast(REDIS).cost.counted_pulls

    assert pulls.low == 1
    assert pulls.high is not None
    assert 1 + len(content.children) <= pulls.high <= 1 + 2 * len(content.children)


def test_an_image_of_one_platform_is_one_pull(world: World):
    images.put(images.image(LAYERS[0]), world.source, "redis", "1")
    assert world.forecast(REDIS).cost.counted_pulls == Bound(1, 1)


def test_what_is_there_is_known_to_cost_two_heads(world: World):
    images.put(images.multi_arch("redis"), world.source, "redis", "1")
    world.mirror(REDIS)

    forecast = world.forecast(REDIS)

    assert forecast.images[0].status == "present"
    assert forecast.cost == Cost(source=Bound(1, 1), target=Bound(1, 1))


def test_what_is_missing_says_so_and_the_rest_is_planned(world: World):
    images.put(images.image(LAYERS[0]), world.source, "redis", "1")

    pending, missing, pinned = world.forecast(
        REDIS, "source.example/none:1", f"source.example/none@sha256:{64 * '0'}"
    ).images

    assert (pending.status, missing.status, pinned.status) == ("pending", "failed", "failed")
    assert missing.seen.error == "source.example/none:1 is not there"
    assert missing.cost == Cost(source=Bound(1, 1), target=Bound(1, 1))


def test_a_pinned_image_is_planned_like_its_tag(world: World):
    content = images.multi_arch("redis")
    images.put(content, world.source, "redis", "1")
    (image,) = world.forecast(f"source.example/redis@{content.digest}").images
    assert image.cost.counted_pulls.low == 1
    assert image.seen.head is not None


def test_steps_push_children_before_their_index(world: World):
    content = images.multi_arch("redis")
    images.put(content, world.source, "redis", "1")
    (image,) = plan([world.forecast(REDIS).images[0].seen], known_of(world.source, world.target)).images

    pushed = [step.digest for step in image.steps if step.action == "push"]

    assert pushed == [*(child.digest for child in content.children), content.digest]
    assert all(step.digest and is_digest(step.digest) for step in image.steps)


@pytest.mark.parametrize(
    ("bound", "text"), [(Bound(3, 3), "3"), (Bound(1, 9), "1 to 9"), (Bound(2, None), "at least 2")]
)
def test_bounds_are_written_for_people(bound: Bound, text: str):
    assert str(bound) == text


@given(st.tuples(st.integers(0, 9), st.integers(0, 9)), st.tuples(st.integers(0, 9), st.none() | st.integers(0, 9)))
def test_the_sum_of_two_bounds_contains_the_sum_of_what_they_contain(
    one: tuple[int, int], other: tuple[int, int | None]
):
    first, second = Bound(one[0], sum(one)), Bound(other[0], None if other[1] is None else other[0] + other[1])
    assert one[0] + other[0] in first + second
    if second.high is None:
        assert (first + second).high is None
    else:
        assert sum(one) + second.high in first + second
        assert sum(one) + second.high + 1 not in first + second
