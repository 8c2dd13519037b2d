"""What a job counts at a registry that limits pulls: for a report, and in words."""

from collections.abc import Iterable

import msgspec

from homeport.mirror.expected import Expected
from homeport.mirror.plan import Bound
from homeport.quota.reading import Reading


class Quota(msgspec.Struct, frozen=True):
    """A pull limit, what a job is to count there, and whether it fits now; null where that cannot be told without a counted pull.

    `counted_pulls` bounds the manifests that are asked for; `likely` is what the registry will take off if it goes on as it was seen to,
    null while too little was seen. `wait_seconds` is the longest until all is through. `others` are pulls that were counted beside one's own
    in the last run.
    """

    registry: str
    limit: int
    remaining: int
    window_seconds: int
    counted_pulls: Bound
    likely: int | None
    fits: bool | None
    wait_seconds: float | None
    others: int = 0


def report_quota(expected: Expected) -> Quota:
    """Report what is to come at one registry."""
    reading, outlook = expected.standing.reading, expected.forecast
    return Quota(
        registry=expected.registry,
        limit=reading.limit,
        remaining=reading.remaining,
        window_seconds=reading.window,
        counted_pulls=expected.pulls,
        likely=expected.likely,
        fits=outlook.fits,
        wait_seconds=outlook.seconds,
        others=expected.others,
    )


def report_quotas(expected: Iterable[Expected]) -> list[Quota]:
    """Report what is to come at each registry."""
    return [report_quota(each) for each in expected]


def quota_lines(quota: Quota) -> list[str]:
    """Say what will be counted, whether that fits, and who else counts there."""
    pulls, reading = quota.counted_pulls, Reading(quota.limit, quota.remaining, quota.window_seconds)
    noun = "counted pull" if pulls == Bound.exactly(1) else "counted pulls"
    latest = f"; all is through after {quota.wait_seconds / 3600:g} h at the latest" if quota.wait_seconds else ""
    said = f"{quota.registry}: {pulls} {noun} to come{likely_words(pulls, quota.likely)}, {reading}: {_fits(quota)}{latest}"
    return [said, *([f"warning: {describe_others(quota.registry, quota.others)}"] if quota.others else [])]


def likely_words(pulls: Bound, likely: int | None) -> str:
    """Say how many pulls are likely, where that says more than the bounds."""
    return "" if likely is None or pulls == Bound.exactly(likely) else f", likely {likely}"


def describe_others(registry: str, others: int) -> str:
    """Say that somebody else uses the same quota."""
    more = "1 pull" if others == 1 else f"{others} pulls"
    return f"{registry}: others use this quota too: the last run saw {more} counted beside its own"


def _fits(quota: Quota) -> str:
    if quota.fits is not None:
        return "that fits" if quota.fits else "that does not fit"
    if quota.likely is None:
        return "that may not fit"
    return "that likely fits" if quota.likely <= quota.remaining else "that likely does not fit"
