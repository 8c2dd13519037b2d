import io
import json
from datetime import UTC, datetime

import pytest
from rich.console import Console
from rich.progress import Progress

from homeport.cli.events import Events
from homeport.cli.progress import Bars, Lines, describe_limit, shown_bytes
from homeport.cli.quota_report import quota_lines, report_quota
from homeport.mirror import Bound, Expected, ImageResult, Wanted
from homeport.quota.experience import Experience, Standing
from homeport.quota.reading import Reading
from homeport.reference import Reference
from homeport.registry.retry import Wait

WANTED = Wanted(Reference.parse("docker.io/a/b:1"), Reference.parse("target.example/a/b:1"))
HUB = Reading(100, 76, 21600)
WAIT = Wait("docker.io", 12.4, 1, "429: too many requests")


def test_lines_count_images_on_stderr(capsys: pytest.CaptureFixture[str]):
    lines = Lines()
    lines.job_started(2)
    lines.image_finished(ImageResult(WANTED, "copied"))
    lines.waits(WAIT)
    lines.image_finished(ImageResult(WANTED, "failed", error="gone"))

    assert capsys.readouterr().err.splitlines() == [
        "[1/2] copied docker.io/a/b:1",
        "waiting 12 s for docker.io: 429: too many requests",
        "[2/2] failed docker.io/a/b:1",
    ]


def test_bars_follow_the_bytes_and_name_what_failed():
    written = io.StringIO()
    with Progress(console=Console(file=written, width=100), auto_refresh=False) as progress:
        bars = Bars(progress)
        bars.job_started(1)
        bars.bytes_expected(300)
        bars.bytes_expected(-100)
        bars.bytes_copied(150)
        (task,) = progress.tasks
        assert (task.completed, task.total) == (150, 200)
        bars.waits(WAIT)
        bars.image_finished(ImageResult(WANTED, "failed", error="gone"))
        assert task.description == "1/1 images"
    assert "failed docker.io/a/b:1" in written.getvalue()
    assert "waiting 12 s for docker.io: 429" in written.getvalue()


def test_events_are_one_json_object_a_line(capsys: pytest.CaptureFixture[str]):
    now = [0.0]
    events = Events(lambda: now[0])
    events.job_started(2)
    events.image_started(WANTED)
    events.pulls_expected(
        Expected("docker.io", Bound(3, None), Standing(Reading(100, 76, 21600), Experience(others=9)))
    )
    events.quota_shared("docker.io", 9)
    events.bytes_expected(300)
    events.bytes_copied(100)
    now[0] = 1.5
    events.bytes_copied(50)
    events.waits(WAIT)
    events.limit_reached("used up", 600)
    events.image_finished(ImageResult(WANTED, "failed", error="gone"))

    said = [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    names = {"source": "docker.io/a/b:1", "target": "target.example/a/b:1"}
    pulls = {"low": 3, "high": None}
    assert datetime.fromisoformat(said[6].pop("until")) > datetime.now(UTC)
    assert said == [
        {"event": "started", "images": 2},
        {"event": "image_started", **names},
        {
            "event": "pulls_expected",
            "registry": "docker.io",
            "counted_pulls": pulls,
            "remaining": 76,
            "limit": 100,
            "window_seconds": 21600,
            "likely": None,
            "fits": None,
            "wait_seconds": None,
            "others": 9,
        },
        {"event": "quota_shared", "registry": "docker.io", "others": 9},
        {"event": "progress", "bytes": 150, "expected": 300},
        {"event": "waiting", "host": "docker.io", "seconds": 12.4, "reason": "429: too many requests"},
        {"event": "limit_reached", "message": "used up", "seconds": 600},
        {
            "event": "image_finished",
            **names,
            "digest": None,
            "status": "failed",
            "error": "gone",
            "done": 1,
            "images": 2,
        },
        {"event": "progress", "bytes": 150, "expected": 300},
    ]


@pytest.mark.parametrize(
    ("pulls", "words"),
    [
        (Bound(3, 12), "docker.io: 3 to 12 counted pulls to come, 76 of 100 pulls per 6 h left: that fits"),
        (Bound(1, 1), "docker.io: 1 counted pull to come, 76 of 100 pulls per 6 h left: that fits"),
        (Bound(3, 80), "left: that may not fit; all is through after 6 h at the latest"),
        (Bound(80, None), "at least 80 counted pulls to come, 76 of 100 pulls per 6 h left: that does not fit"),
    ],
)
def test_what_a_limited_registry_will_count(pulls: Bound, words: str):
    (said,) = quota_lines(report_quota(Expected("docker.io", pulls, Standing(HUB))))
    assert words in said


@pytest.mark.parametrize(
    ("pulls", "likely", "words"),
    [
        (Bound(3, 12), 5, "3 to 12 counted pulls to come, likely 5, 76 of 100 pulls per 6 h left: that fits"),
        (Bound(3, 80), 76, "3 to 80 counted pulls to come, likely 76, 76 of 100 pulls per 6 h left: that likely fits"),
        (
            Bound(3, 80),
            77,
            "likely 77, 76 of 100 pulls per 6 h left: that likely does not fit; all is through after 6 h",
        ),
        (Bound(77, 80), 40, "likely 40, 76 of 100 pulls per 6 h left: that does not fit"),
        (Bound(5, 5), 5, "5 counted pulls to come, 76 of 100"),
        (Bound(5, 5), 3, "5 counted pulls to come, likely 3, 76 of 100"),
    ],
)
def test_what_is_likely_is_said_beside_the_bounds(pulls: Bound, likely: int, words: str):
    (said,) = quota_lines(report_quota(Expected("docker.io", pulls, Standing(HUB), likely)))
    assert words in said


def test_others_at_the_same_quota_are_a_warning(capsys: pytest.CaptureFixture[str]):
    expected = Expected("docker.io", Bound(1, 1), Standing(HUB, Experience(others=12)))
    lines, words = (
        Lines(),
        "warning: docker.io: others use this quota too: the last run saw 12 pulls counted beside its own",
    )
    lines.pulls_expected(expected)
    lines.quota_shared("docker.io", 12)
    assert capsys.readouterr().err.splitlines()[1:] == [words, words]
    written = io.StringIO()
    with Progress(console=Console(file=written, width=200), auto_refresh=False) as progress:
        Bars(progress).pulls_expected(expected)
        Bars(progress).quota_shared("docker.io", 12)
    assert written.getvalue().count(words) == 2


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (12_345_678, "12.3 MB"),
        (999_960_000, "1.0 GB"),
        (2 * 10**15, "2.0 PB"),
    ],
)
def test_bytes_are_written_for_people(count: int, text: str):
    assert shown_bytes(count) == text


def test_a_limit_that_is_waited_for_says_until_when():
    now = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
    assert describe_limit("docker.io: used up", 600, now) == "docker.io: used up; asking again at 08:40:00"
