"""What reports of changes to a live cluster have in common, and how people read it."""

import sys
from collections.abc import Iterator

import msgspec

from homeport.cli.output import count


class Changed(msgspec.Struct, frozen=True):
    """What is to change in a cluster, what was done, and what was left with the reason. Secrets are named, never shown."""

    context: str
    secrets: list[str] = []
    changes: dict[str, list[str]] = {}
    restarts: tuple[str, ...] = ()
    left: list[str] = []
    done: tuple[str, ...] = ()
    failed: str | None = None
    errors: tuple[str, ...] = ()


def what_changes(report: Changed) -> Iterator[str]:
    """Yield the cluster, its secrets, and each object with its changes."""
    yield f"cluster {report.context}:"
    yield from (f"  {secret}" for secret in report.secrets)
    for name, changes in report.changes.items():
        yield f"  {name}"
        yield from (f"    {change}" for change in changes)


def who_restarts(report: Changed, *, dry_run: bool) -> Iterator[str]:
    """Yield the pods that are replaced, in their order."""
    if report.restarts:
        verb = "would be replaced" if dry_run else "to be replaced" if report.failed else "were replaced"
        yield f"{count(len(report.restarts), 'pod')} {verb}, in this order:"
        yield from (f"  {pod}" for pod in report.restarts)


def what_is_left(report: Changed) -> Iterator[str]:
    """Yield what was left alone, what could not be read, and what ended it."""
    yield from (f"left: {left}" for left in report.left)
    yield from (f"error: {error}" for error in report.errors)
    if report.failed:
        yield f"stopped: {report.failed}"


def say(line: str) -> None:
    """Tell of progress."""
    print(line, file=sys.stderr)
