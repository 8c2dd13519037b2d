"""Progress on a terminal: a bar for all bytes, and one for each image that is on its way, as far as there is room."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import IO, TYPE_CHECKING, Final

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from homeport.cli.progress import Watcher, describe_limit, describe_wait
from homeport.cli.quota_report import describe_others, quota_lines, report_quota
from homeport.mirror.expected import Expected
from homeport.mirror.result import ImageResult
from homeport.reference import Reference

if TYPE_CHECKING:
    from homeport.registry.retry import Wait

_NARROW: Final = 60
"""Columns below which a bar with its numbers has no room."""
_WIDE: Final = 80
"""Columns from which there is room for names."""
_NUMBERS: Final = 54
_MOST_LINES: Final = 12
_SPARE_LINES: Final = 4


class Bars(Watcher):
    """Follows the bytes of all images and of each; what is to be read stands above."""

    def __init__(self, console: Console, *, refreshes: bool = True) -> None:
        self.progress = _Fitted(console, refreshes=refreshes)
        self._lock = threading.Lock()
        self._images = self._done = 0
        self._total = self.progress.add_task("looking", total=None)
        self._bytes = [0, 0]
        self._of: dict[Reference, list[int]] = {}
        self._lines: dict[Reference, TaskID] = {}

    def job_started(self, images: int) -> None:
        """Show how many images there are."""
        self._images += images
        self._describe()

    def bytes_expected(self, count: int, image: Reference) -> None:
        """Lengthen or shorten the bars."""
        self._change(image, count, 0)

    def bytes_copied(self, count: int, image: Reference) -> None:
        """Fill the bars."""
        self._change(image, 0, count)

    def image_finished(self, result: ImageResult) -> None:
        """Count an image; one that failed is named at once."""
        with self._lock:
            self._done += 1
            self._of.pop(result.wanted.source, None)
            if (line := self._lines.pop(result.wanted.source, None)) is not None:
                self.progress.remove_task(line)
        self._describe()
        if result.status == "failed":
            self._print(f"failed {result.wanted.source}")

    def pulls_expected(self, expected: Expected) -> None:
        """Print what a limited registry will count."""
        self._print("\n".join(quota_lines(report_quota(expected))))

    def quota_shared(self, registry: str, others: int) -> None:
        """Print that somebody else uses the same quota."""
        self._print(f"warning: {describe_others(registry, others)}")

    def limit_reached(self, message: str, seconds: float) -> None:
        """Print until when nothing is asked."""
        self._print(describe_limit(message, seconds, datetime.now().astimezone()))

    def waits(self, wait: "Wait") -> None:
        """Print a pause."""
        self._print(describe_wait(wait))

    def _change(self, image: Reference, expected: int, copied: int) -> None:
        with self._lock:
            own = self._of.setdefault(image, [0, 0])
            for pair in (self._bytes, own):
                pair[0] += expected
                pair[1] += copied
            self.progress.update(self._total, total=self._bytes[0], completed=self._bytes[1])
            line = self._lines.get(image)
            if own[1] >= own[0]:
                if line is not None:
                    self.progress.remove_task(self._lines.pop(image))
            elif line is None:
                self._lines[image] = self.progress.add_task(str(image), total=own[0], completed=own[1])
            else:
                self.progress.update(line, total=own[0], completed=own[1])

    def _describe(self) -> None:
        self.progress.update(self._total, description=f"{self._done}/{self._images} images")

    def _print(self, line: str) -> None:
        self.progress.console.print(line, markup=False, highlight=False, soft_wrap=True)


class _Fitted(Progress):
    """Bars that fit the terminal: the first one always, of the others those that there is room for."""

    def __init__(self, console: Console, *, refreshes: bool) -> None:
        columns = (
            _Name(console),
            BarColumn(bar_width=None),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        self._terminal = console
        super().__init__(*columns, console=console, transient=True, expand=True, auto_refresh=refreshes)

    def get_renderables(self) -> Iterable[RenderableType]:
        """Return what is drawn."""
        total, images = self.tasks[:1], self.tasks[1:]
        room = min(_MOST_LINES, self._terminal.height - _SPARE_LINES) if self._terminal.width >= _WIDE else 0
        shown = images[: max(0, room)]
        yield self.make_tasks_table([*total, *shown])
        if shown and len(images) > len(shown):
            yield Text(f"and {len(images) - len(shown)} more on their way", no_wrap=True)


class _Name(ProgressColumn):
    """What a bar is about; of a long name the end, where the tag is."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def render(self, task: Task) -> Text:
        """Return what is drawn."""
        room = max(min(self._console.width - _NUMBERS, self._console.width * 2 // 5), 12)
        name = task.description
        return Text(name if len(name) <= room else f"…{name[1 - room :]}", no_wrap=True)


@contextmanager
def bars_on(terminal: IO[str]) -> Iterator[Bars | None]:
    """Draw bars until the end of the with statement; None where the terminal cannot, or is too narrow."""
    console = Console(file=terminal)
    if console.is_dumb_terminal or console.width < _NARROW:
        yield None
        return
    bars = Bars(console)
    with bars.progress:
        yield bars
