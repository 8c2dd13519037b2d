"""Show a job while it runs: bars on a terminal, plain lines or events elsewhere, all on stderr."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from homeport.cli.quota_report import describe_others, quota_lines, report_quota
from homeport.mirror.expected import Expected
from homeport.mirror.observer import Observer
from homeport.mirror.result import ImageResult

if TYPE_CHECKING:
    from homeport.registry.retry import Wait

_UNITS = ("kB", "MB", "GB", "TB", "PB")


class Watcher(Observer):
    """An observer that also hears of pauses which a registry asked for."""

    def waits(self, wait: "Wait") -> None:
        """A request is tried again after a pause."""


class Lines(Watcher):
    """A line for each image that is done, and for each pause."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._images = 0
        self._done = 0

    def job_started(self, images: int) -> None:
        """Remember how many there are."""
        self._images += images

    def image_finished(self, result: ImageResult) -> None:
        """Print what became of an image."""
        with self._lock:
            self._done += 1
            counter = f"[{self._done}/{self._images}]"
            print(f"{counter} {result.status} {result.wanted.source}", file=sys.stderr, flush=True)

    def pulls_expected(self, expected: Expected) -> None:
        """Print what a limited registry will count."""
        print(*quota_lines(report_quota(expected)), sep="\n", file=sys.stderr, flush=True)

    def quota_shared(self, registry: str, others: int) -> None:
        """Print that somebody else uses the same quota."""
        print(f"warning: {describe_others(registry, others)}", file=sys.stderr, flush=True)

    def limit_reached(self, message: str, seconds: float) -> None:
        """Print until when nothing is asked."""
        print(describe_limit(message, seconds, datetime.now().astimezone()), file=sys.stderr, flush=True)

    def waits(self, wait: "Wait") -> None:
        """Print a pause."""
        print(describe_wait(wait), file=sys.stderr, flush=True)


@contextmanager
def watching(form: str = "table") -> Iterator[Watcher]:
    """Show what happens until the end of the with statement; to a program that wants its report in JSON, in JSON too."""
    if not sys.stderr.isatty():
        yield _events() if form == "json" else Lines()
        return
    from homeport.cli.bars import bars_on

    with bars_on(sys.stderr) as bars:
        yield bars or Lines()


def tell(event: str, message: str, form: str = "table") -> None:
    """Print a message, or a warning if the event is one; to a program that wants its report in JSON, as an event."""
    if form == "json" and not sys.stderr.isatty():
        said = msgspec.json.encode({"event": event, "message": message}).decode()
    else:
        said = f"warning: {message}" if event == "warning" else message
    print(said, file=sys.stderr, flush=True)


def _events() -> Watcher:
    from homeport.cli.events import Events

    return Events()


def describe_wait(wait: "Wait") -> str:
    """Say that a registry is given time."""
    return f"waiting {wait.seconds:.0f} s for {wait.host}: {wait.reason}"


def describe_limit(message: str, seconds: float, now: datetime) -> str:
    """Say that a limit is waited for, and until when."""
    return f"{message}; asking again at {now + timedelta(seconds=seconds):%H:%M:%S}"


def shown_bytes(count: int) -> str:
    """Write a number of bytes for people: ``999 B``, ``12.3 MB``."""
    if count < 1000:
        return f"{count} B"
    scaled = float(count)
    for unit in _UNITS:  # noqa: B007 - used below
        scaled /= 1000
        if scaled < 999.95:
            break
    return f"{scaled:.1f} {unit}"
