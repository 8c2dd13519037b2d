import io
from datetime import UTC, datetime

import pytest
from rich.console import Console
from rich.progress import Progress

from homeport.cli.progress import Bars, Lines, describe_limit, shown_bytes
from homeport.mirror import ImageResult, Wanted
from homeport.reference import Reference
from homeport.registry.retry import Wait

WANTED = Wanted(Reference.parse("docker.io/a/b:1"), Reference.parse("target.example/a/b:1"))
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
