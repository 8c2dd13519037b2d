"""What becomes of a job when a source gives no pulls any more, and when it gives them again."""

import threading

import pytest

from homeport.errors import RateLimitedError
from homeport.mirror import Expected, Observer
from homeport.mirror.traffic import Meter, MeteredSource, Patience
from homeport.mirror.workers import StoppedError
from homeport.quota.experience import Standing
from homeport.quota.reading import Reading
from tests.kit import images
from tests.kit.memory import Call, MemoryRegistry
from tests.mirror.conftest import World


class Told(Observer):
    def __init__(self) -> None:
        self.pauses: list[float] = []

    def limit_reached(self, message: str, seconds: float) -> None:
        assert "used up" in message
        self.pauses.append(seconds)


def limit(source: MemoryRegistry, after: int, refusals: int, retry_after: float | None = 0.0) -> None:
    """Let a number of manifests through, refuse the next ones, and let all others through."""
    asked, lock = [0], threading.Lock()

    def trouble(call: Call) -> None:
        if call.verb == "GET manifest":
            with lock:
                asked[0] += 1
                number = asked[0]
            if after < number <= after + refusals:
                raise RateLimitedError("the pull limit is used up", host="source.example", retry_after=retry_after)

    source.trouble = trouble


def test_a_limit_that_passes_is_waited_for_and_all_is_brought(world: World):
    names = []
    for number in range(6):
        images.put(images.multi_arch(str(number)), world.source, "app", str(number))
        names.append(f"source.example/app:{number}")
    limit(world.source, after=4, refusals=20)
    told = Told()
    result = world.mirror(*names, observer=told, patience=True)
    assert not result.failed
    assert told.pauses


def test_without_patience_nothing_more_is_asked(world: World):
    for number in range(6):
        images.put(images.image(label=str(number)), world.source, "app", str(number))
    limit(world.source, after=0, refusals=1)
    told = Told()
    result = world.mirror("source.example/app:0", observer=told)
    assert "used up" in result.failed[0].error
    assert result.traffic.counted_pulls == 0
    assert told.pauses == []


def test_one_asks_again_while_the_others_wait(world: World):
    """A refused request may count; a crowd of them would keep the limit used up."""
    for number in range(8):
        images.put(images.image(label=str(number)), world.source, "app", str(number))
    limit(world.source, after=0, refusals=12)
    result = world.mirror(*(f"source.example/app:{number}" for number in range(8)), observer=Told(), patience=True)
    assert not result.failed
    assert world.source.counted_pulls == 8 + 12


@pytest.mark.parametrize(("stated", "waited"), [(None, 600), (30.0, 30), (1e9, 6 * 3600)])
def test_the_wait_is_what_the_registry_says_within_reason(stated: float | None, waited: float):
    assert Patience().seconds(RateLimitedError("used up", retry_after=stated)) == waited


def test_a_wait_ends_when_the_job_is_stopped():
    source, meter = MemoryRegistry(), Meter()
    limit(source, after=0, refusals=1, retry_after=None)

    class Stop(Observer):
        def limit_reached(self, message: str, seconds: float) -> None:
            meter.stop()

    with pytest.raises(StoppedError):
        MeteredSource(source, meter, Patience(Stop())).get_manifest("app", "1")


def test_what_is_to_be_counted_is_told_before_the_first_pull(world: World):
    told = []

    class Listen(Observer):
        def pulls_expected(self, expected: Expected) -> None:
            told.append((expected, world.source.counted_pulls))

    contents = [images.multi_arch(str(number)) for number in range(20)]
    for number, content in enumerate(contents):
        images.put(content, world.source, "app", str(number))
    names = [f"source.example/app:{number}" for number in range(20)]
    standing = Standing(Reading(100, 76, 21600))
    result = world.mirror(*names, "source.example/none:1", observer=Listen(), quotas=lambda _: standing)

    ((expected, counted),) = told
    assert (expected.registry, expected.standing, expected.likely, counted) == ("source.example", standing, None, 0)
    assert result.traffic.counted_pulls in expected.pulls
    assert expected.pulls.low == 20
    assert expected.pulls.high
    assert len(result.failed) == 1


def test_where_no_limit_is_known_nothing_is_told(world: World):
    class Listen(Observer):
        def pulls_expected(self, expected: Expected) -> None:
            raise AssertionError(expected)

    images.put(images.image(), world.source, "app", "1")
    assert not world.mirror("source.example/app:1", observer=Listen(), quotas=lambda _: None).failed
