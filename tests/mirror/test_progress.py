import io
import json
import os
import pty
import re
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from rich.console import Console

from homeport.cli.bars import Bars
from homeport.cli.events import Events
from homeport.cli.progress import Lines, describe_limit, shown_bytes, tell, watching
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


def terminal(width: int = 100, height: int = 24) -> Console:
    return Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)


def image(number: int) -> Reference:
    return Reference.parse(f"docker.io/team/app-{number}:1")


def drawn(bars: Bars) -> list[str]:
    """Return the lines that are on the terminal."""
    console = bars.progress.console
    with console.capture() as captured:
        console.print(bars.progress.get_renderable())
    return captured.get().splitlines()


def said(console: Console) -> str:
    written = console.file
    assert isinstance(written, io.StringIO)
    return written.getvalue()


def test_bars_follow_the_bytes_and_name_what_failed():
    console = terminal()
    bars = Bars(console, refreshes=False)
    bars.job_started(1)
    bars.bytes_expected(300, WANTED.source)
    bars.bytes_expected(-100, WANTED.source)
    bars.bytes_copied(150, WANTED.source)
    total, own = drawn(bars)
    assert "0/1 images" in total
    assert "150/200 bytes" in total
    assert "docker.io/a/b:1" in own
    assert "150/200 bytes" in own
    bars.waits(WAIT)
    bars.image_finished(ImageResult(WANTED, "failed", error="gone"))
    assert "failed docker.io/a/b:1\n" in said(console)
    assert "waiting 12 s for docker.io: 429: too many requests\n" in said(console)
    (total,) = drawn(bars)
    assert "1/1 images" in total


def test_images_that_have_nothing_to_copy_or_are_done_have_no_bar():
    bars = Bars(terminal(), refreshes=False)
    bars.job_started(3)
    for number in range(2):
        bars.bytes_expected(100, image(number))
    bars.image_started(WANTED)
    bars.bytes_copied(100, image(0))
    assert [line.split()[0] for line in drawn(bars)] == ["0/3", "docker.io/team/app-1:1"]
    bars.bytes_copied(-100, image(0))  # it broke off, and is brought anew
    assert [line.split()[0] for line in drawn(bars)] == ["0/3", "docker.io/team/app-1:1", "docker.io/team/app-0:1"]


@pytest.mark.parametrize(("height", "lines"), [(24, 14), (10, 8), (5, 3), (4, 1), (1, 1)])
def test_no_more_bars_are_drawn_than_fit(height: int, lines: int):
    bars = Bars(terminal(height=height), refreshes=False)
    bars.job_started(40)
    for number in range(40):
        bars.bytes_expected(100, image(number))
    shown = drawn(bars)
    assert len(shown) == lines
    assert lines == 1 or shown[-1] == f"and {42 - lines} more on their way"


@pytest.mark.parametrize("width", [60, 79, 80, 200])
def test_no_line_is_broken(width: int):
    bars = Bars(terminal(width=width), refreshes=False)
    bars.job_started(2)
    name = Reference.parse("registry.example.com/a/path/with/many/parts/" + 10 * "long" + "/redis:7.2.4-64")
    bars.bytes_expected(9_999_999_999, name)
    bars.bytes_copied(1_234_567_890, name)
    shown = drawn(bars)
    assert all(len(line) <= width for line in shown)
    assert len(shown) == (2 if width >= 80 else 1)
    assert width < 80 or shown[1].split()[0].endswith("redis:7.2.4-64")
    assert "1.2/10.0 GB" in shown[0]


def test_warnings_stand_above_the_bars_in_lines_of_their_own(monkeypatch: pytest.MonkeyPatch):
    outer, inner = pty.openpty()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "24")
    warning = "a [red]long[/red] warning, " + 20 * "with many words "
    written = bytearray()
    reading = threading.Thread(target=_read_all, args=(outer, written))
    reading.start()
    with os.fdopen(inner, "w") as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        with watching() as watcher:
            watcher.job_started(1)
            watcher.bytes_expected(100, WANTED.source)
            watcher.waits(WAIT)
            tell("warning", warning)
    reading.join()
    os.close(outer)
    wiped = (line.rpartition("\x1b[2K")[2] for line in written.decode().split("\n"))
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", line) for line in wiped]
    assert "waiting 12 s for docker.io: 429: too many requests" in lines
    assert f"warning: {warning}".strip() in " ".join(" ".join(lines).split())


def _read_all(terminal: int, into: bytearray) -> None:
    with suppress(OSError):  # that is how a terminal ends
        while more := os.read(terminal, 1 << 16):
            into += more


@pytest.mark.parametrize(("kind", "width"), [("dumb", 100), ("xterm", 59)])
def test_a_terminal_that_cannot_gets_lines(kind: str, width: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TERM", kind)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(sys, "stderr", _Terminal())
    with watching() as watcher:
        watcher.job_started(1)
        watcher.image_finished(ImageResult(WANTED, "copied"))
    assert sys.stderr.getvalue() == "[1/1] copied docker.io/a/b:1\n"  # type: ignore[attr-defined]  # it is a _Terminal


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_events_are_one_json_object_a_line(capsys: pytest.CaptureFixture[str]):
    now = [0.0]
    events = Events(lambda: now[0])
    events.job_started(2)
    events.image_started(WANTED)
    events.pulls_expected(
        Expected("docker.io", Bound(3, None), Standing(Reading(100, 76, 21600), Experience(others=9)))
    )
    events.quota_shared("docker.io", 9)
    events.bytes_expected(300, WANTED.source)
    events.bytes_copied(100, WANTED.source)
    now[0] = 1.5
    events.bytes_copied(50, WANTED.source)
    events.waits(WAIT)
    events.limit_reached("used up", 600)
    events.image_finished(ImageResult(WANTED, "failed", error="gone"))

    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    names = {"source": "docker.io/a/b:1", "target": "target.example/a/b:1"}
    pulls = {"low": 3, "high": None}
    assert datetime.fromisoformat(told[6].pop("until")) > datetime.now(UTC)
    assert told == [
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
    (line,) = quota_lines(report_quota(Expected("docker.io", pulls, Standing(HUB), likely)))
    assert words in line


def test_others_at_the_same_quota_are_a_warning(capsys: pytest.CaptureFixture[str]):
    expected = Expected("docker.io", Bound(1, 1), Standing(HUB, Experience(others=12)))
    lines, words = (
        Lines(),
        "warning: docker.io: others use this quota too: the last run saw 12 pulls counted beside its own",
    )
    lines.pulls_expected(expected)
    lines.quota_shared("docker.io", 12)
    assert capsys.readouterr().err.splitlines()[1:] == [words, words]
    bars = Bars(console := terminal(width=200), refreshes=False)
    bars.pulls_expected(expected)
    bars.quota_shared("docker.io", 12)
    assert said(console).count(words) == 2


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
