"""What a job will count at the registries that limit pulls. Pure."""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from homeport.mirror.plan import Bound, ImagePlan, Plan, Step
from homeport.quota.experience import Experience, Standing
from homeport.quota.forecast import Forecast, forecast

Quotas = Callable[[str], Standing | None]
"""Says what limit a registry has stated, if any, and what was seen of it."""

_FOR_EACH_PLATFORM = 2
"""Manifests that come of an index for a platform that is wanted: its image, and what BuildKit states about it."""


class Expected(msgspec.Struct, frozen=True):
    """What is to come at one registry.

    `pulls` bounds the manifests that are asked for, each of which counts by the documentation. `likely` is what the registry will take off
    for them if it goes on as it was seen to; None where too little was seen, or nothing tells how many manifests there are.
    """

    registry: str
    pulls: Bound
    standing: Standing
    likely: int | None = None

    @property
    def forecast(self) -> Forecast:
        """Whether that fits, by the bounds."""
        return forecast(self.pulls.low, self.pulls.high, self.standing.reading)

    @property
    def others(self) -> int:
        """Pulls that were counted beside one's own in the last run."""
        return self.standing.experience.others


def expect(plan: Plan, registry: str, standing: Standing, platforms: Sequence[str] = ()) -> Expected:
    """Say what a plan for these platforms, or all, will count at one registry."""
    images = [image for image in plan.images if image.seen.wanted.source.registry == registry]
    pulls = sum((step.cost.counted_pulls for image in images for step in _to_come(image, plan)), Bound())
    price, most = standing.experience.price, _FOR_EACH_PLATFORM * len(platforms) or None
    gets = [_likely_gets(image, _to_come(image, plan), standing.experience, most) for image in images]
    known = [number for number in gets if number is not None]
    likely = round(price * sum(known)) if price is not None and len(known) == len(gets) else None
    return Expected(registry, pulls, standing, likely)


def expect_all(plan: Plan, quotas: Quotas, platforms: Sequence[str] = ()) -> list[Expected]:
    """Say what a plan will count at each registry that limits pulls, in the order of its images."""
    registries = dict.fromkeys(image.seen.wanted.source.registry for image in plan.images)
    return [expect(plan, name, standing, platforms) for name in registries if (standing := quotas(name))]


def _to_come(image: ImagePlan, plan: Plan) -> list[Step]:
    return [step for step in image.steps if step.action != "fetch" or step.digest not in plan.fetched]


def _likely_gets(image: ImagePlan, steps: Iterable[Step], experience: Experience, most: int | None) -> float | None:
    """Take an index for as full as indexes were, and `most` for all that comes of it; each companion for one manifest."""
    gets = 0.0
    for step in steps:
        pulls = step.cost.counted_pulls
        gets += pulls.low
        if pulls.high is None:
            if image.seen.beside.lists or not image.seen.companions:
                return None  # a list of them is unread, or not even its type is known
            gets += max(0, image.seen.companions - len(image.seen.beside.certain))
        elif step.action == "explore" and pulls.high > pulls.low:
            if experience.fill is None:
                return None
            named = experience.fill * (pulls.high - pulls.low)
            gets += named if most is None else min(named, most)
        else:
            gets += pulls.high - pulls.low
    return gets
