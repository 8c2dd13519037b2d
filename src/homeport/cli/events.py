"""What a job does while it runs, for programs: one JSON object a line, on stderr."""

import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from homeport.cli.progress import Watcher
from homeport.cli.quota_report import report_quota
from homeport.mirror.expected import Expected
from homeport.mirror.plan import Wanted
from homeport.mirror.result import ImageResult
from homeport.reference import Reference

if TYPE_CHECKING:
    from homeport.registry.retry import Wait

_SECONDS = 1.0
"""How often bytes are told at most."""


class Events(Watcher):
    """A line for everything that happens; bytes are told once a second."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._told = clock, clock()
        self._lock = threading.Lock()
        self._images = self._done = self._bytes = self._expected = 0

    def job_started(self, images: int) -> None:
        """Say how many images there are, all in all."""
        with self._lock:
            self._images += images
            self._say("started", images=self._images)

    def image_started(self, wanted: Wanted) -> None:
        """Say that an image is begun."""
        with self._lock:
            self._say("image_started", source=str(wanted.source), target=str(wanted.target))

    def image_finished(self, result: ImageResult) -> None:
        """Say what became of an image; bytes are told with it."""
        fields = {
            "source": str(result.wanted.source),
            "target": str(result.wanted.target),
            "digest": result.digest,
            "status": result.status,
            **{name: text for name in ("error", "hint", "note", "rebuilt") if (text := getattr(result, name))},
        }
        with self._lock:
            self._done += 1
            self._say("image_finished", **fields, done=self._done, images=self._images)
            self._tell_bytes()

    def bytes_expected(self, count: int, image: Reference) -> None:  # noqa: ARG002  # told for all
        """Count what is to be copied."""
        with self._lock:
            self._expected += count

    def bytes_copied(self, count: int, image: Reference) -> None:  # noqa: ARG002  # told for all
        """Count what was copied, and say so now and then."""
        with self._lock:
            self._bytes += count
            if self._clock() - self._told >= _SECONDS:
                self._tell_bytes()

    def pulls_expected(self, expected: Expected) -> None:
        """Say what a limited registry will count."""
        with self._lock:
            self._say("pulls_expected", **msgspec.structs.asdict(report_quota(expected)))

    def quota_shared(self, registry: str, others: int) -> None:
        """Say that somebody else uses the same quota."""
        with self._lock:
            self._say("quota_shared", registry=registry, others=others)

    def limit_reached(self, message: str, seconds: float) -> None:
        """Say until when no manifest is asked for."""
        until = datetime.now(UTC) + timedelta(seconds=seconds)
        with self._lock:
            self._say("limit_reached", message=message, seconds=seconds, until=until.isoformat(timespec="seconds"))

    def waits(self, wait: "Wait") -> None:
        """Say that a registry is given time."""
        with self._lock:
            self._say("waiting", host=wait.host, seconds=round(wait.seconds, 3), reason=wait.reason)

    def _tell_bytes(self) -> None:
        self._told = self._clock()
        self._say("progress", bytes=self._bytes, expected=self._expected)

    def _say(self, event: str, **fields: object) -> None:
        print(msgspec.json.encode({"event": event, **fields}).decode(), file=sys.stderr, flush=True)
