"""What a job is expected to count: by the bounds, by what was seen, and by what is at hand."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport.mirror import Bound, Expected, Observer, Plan, expect, expect_all
from homeport.mirror.kept import KeptManifests
from homeport.quota.experience import Experience, Standing
from homeport.quota.reading import Reading
from tests.kit import images
from tests.mirror.conftest import World

APP = "source.example/app:1"
HUB = Reading(100, 76, 21600)
KNOWN = Experience(gets=100, counted=100, named=1, possible=2)
"""Each manifest costs one pull; indexes are half full."""


@pytest.fixture
def kept(tmp_path: Path) -> KeptManifests:
    return KeptManifests(tmp_path / "manifests")


def of(plan: Plan, experience: Experience = KNOWN, platforms: tuple[str, ...] = ()) -> Expected:
    return expect(plan, "source.example", Standing(HUB, experience), platforms)


def publish(world: World, name: str = "app", tag: str = "1") -> images.Content:
    content = images.multi_arch(f"{name}{tag}")
    images.put(content, world.source, name, tag)
    return content


def test_an_index_is_taken_for_as_full_as_indexes_were(world: World):
    publish(world)
    plan = world.forecast(APP)
    pulls = plan.cost.counted_pulls
    assert pulls.high is not None
    assert of(plan) == Expected("source.example", pulls, Standing(HUB, KNOWN), likely=1 + round((pulls.high - 1) / 2))


def test_what_a_manifest_costs_counts_for_what_is_known_exactly_too(world: World):
    images.put(images.image(), world.source, "one", "1")
    plan = world.forecast("source.example/one:1")
    assert plan.cost.counted_pulls == Bound.exactly(1)
    assert of(plan).likely == 1
    assert of(plan, Experience(gets=100, counted=20)).likely == 0


def test_too_little_seen_is_not_guessed_from(world: World):
    publish(world)
    plan = world.forecast(APP)
    assert of(plan, Experience()).likely is None
    assert of(plan, Experience(gets=7, counted=7, named=1, possible=2)).likely is None
    assert of(plan, Experience(gets=100, counted=100)).likely is None


def test_of_an_index_no_more_comes_than_the_wanted_platforms(world: World):
    publish(world)
    plan = world.forecast(APP, platforms=["linux/amd64"])
    full = Experience(gets=100, counted=100, named=1, possible=1)
    assert of(plan, full, ("linux/amd64",)).likely == 1 + 2
    assert of(plan, full).likely == plan.cost.counted_pulls.high


def test_each_signature_is_likely_a_pull(world: World):
    content = publish(world)
    for number in range(3):
        images.put(images.about(content, str(number)), world.source, "app")
    plan = world.forecast(APP, referrers=True)
    assert plan.cost.counted_pulls.high is None
    full = Experience(gets=100, counted=100, named=0, possible=1)
    assert of(plan, full).likely == 1 + 3


def test_only_registries_that_state_a_limit_are_told(world: World):
    publish(world)
    plan = world.forecast(APP)
    assert expect_all(plan, lambda _: None) == []
    (told,) = expect_all(plan, {"source.example": Standing(HUB)}.get)
    assert (told.registry, told.pulls) == ("source.example", plan.cost.counted_pulls)


def test_pulls_are_those_of_the_one_registry(world: World):
    publish(world)
    plan = world.forecast(APP)
    assert expect(plan, "other.example", Standing(HUB, KNOWN)).pulls == Bound()


def test_a_deep_plan_leaves_nothing_to_come(world: World, kept: KeptManifests):
    content = publish(world)
    plan = world.forecast(APP, kept=kept, deep=True)
    assert plan.cost.counted_pulls == Bound.exactly(1 + len(content.children))
    assert of(plan).pulls == Bound.exactly(0)
    assert of(plan).likely == 0
    again = world.forecast(APP, kept=kept, deep=True)
    assert again.cost.counted_pulls == Bound.exactly(0)
    assert world.source.counted_pulls == 0


def test_a_dry_run_knows_what_earlier_runs_kept(world: World, kept: KeptManifests):
    content = publish(world)
    world.forecast(APP, kept=kept, deep=True)
    plan = world.forecast(APP, kept=kept)
    assert plan.cost.counted_pulls == Bound.exactly(0)
    result = world.mirror(APP, kept=kept)
    assert result.traffic.counted_pulls == 0
    assert result.traffic.source in plan.cost.source
    assert result.traffic.target in plan.cost.target
    assert result.traffic.bytes == content.size


def test_an_index_that_is_kept_says_how_many_are_to_come(world: World, kept: KeptManifests):
    content = publish(world)
    kept.keep(content.manifest)
    plan = world.forecast(APP, kept=kept)
    assert plan.cost.counted_pulls == Bound(0, len(content.children))
    assert world.mirror(APP, kept=kept).traffic.counted_pulls == len(content.children)


def test_a_kept_index_counts_for_the_wanted_platforms(world: World, kept: KeptManifests):
    content = publish(world)
    kept.keep(content.manifest)
    plan = world.forecast(APP, kept=kept, platforms=["linux/amd64"])
    assert plan.cost.counted_pulls == Bound(0, 2)


def test_what_a_run_tells_before_its_first_pull_knows_it_too(world: World, kept: KeptManifests):
    publish(world)
    world.forecast(APP, kept=kept, deep=True)
    told = []

    class Listen(Observer):
        def pulls_expected(self, expected: Expected) -> None:
            told.append(expected.pulls)

    world.mirror(APP, kept=kept, observer=Listen(), quotas=lambda _: Standing(HUB))
    assert told == [Bound.exactly(0)]


def test_others_are_told_at_the_end_of_the_run_that_saw_them(world: World):
    told: list[object] = []

    class Listen(Observer):
        def quota_shared(self, registry: str, others: int) -> None:
            told.append((registry, others))

    publish(world)
    before, pulled = Experience(gets=10, counted=10, others=7), [0]

    def quotas(_registry: str) -> Standing:
        return Standing(
            HUB, Experience(gets=20, counted=20, others=pulled[0]) if world.source.counted_pulls else before
        )

    for others in (0, 5):
        pulled[0] = others
        world.target.manifests.clear()
        world.target.tagged.clear()
        world.mirror(APP, observer=Listen(), quotas=quotas)
    world.mirror(APP, observer=Listen(), quotas=lambda _: Standing(HUB, before))
    assert told == [("source.example", 5)]


@settings(max_examples=50)
@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=4),
    st.integers(0, 50),
    st.integers(0, 50),
    st.integers(0, 20),
    st.integers(0, 20),
)
def test_what_is_likely_is_never_more_than_the_bounds_allow(
    counts: list[int], gets: int, counted: int, named: int, possible: int
):
    world = World()
    for number, count in enumerate(counts):
        children = [images.image(label=f"{number}-{each}", platform=images.AMD64) for each in range(count)]
        images.put(images.index(*children), world.source, "app", str(number))
    plan = world.forecast(*(f"source.example/app:{number}" for number in range(len(counts))))
    expected = of(plan, Experience(gets, counted, 0, named, possible))
    assert expected.likely is None or expected.likely in Bound(0, expected.pulls.high)
    is_exact = expected.pulls.low == expected.pulls.high
    assert (expected.likely is None) == (gets < 8 or not (possible or is_exact))
