"""index.yaml of a classic chart repository: of many megabytes, the releases of one chart.

YAML is read event by event here, scalars as the text that they are: nothing that is not asked for is kept, and nesting cannot
overflow a stack. Pure.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import yaml

from homeport.errors import ContentError

_MOST_DEPTH: Final = 8
_MOST_PASSED: Final = 64
"""How deep nesting may be in what is passed over: the scanner's time grows with its square."""


class Release(msgspec.Struct, frozen=True):
    """A version of a chart: where its package is, and the sha256 of that, "" where the index does not say."""

    version: str
    url: str = ""
    digest: str = ""


def releases_of(index: bytes, name: str, shown: str) -> list[Release]:
    """Return what an index says of one chart, in its order; `shown` is for messages. Raises ContentError."""
    try:
        with _plain_errors():
            entries = _entries(_events(index), name)
    except ValueError as error:
        raise ContentError(
            f"{shown}: the index of the repository cannot be read: {error}",
            hint="Check the address: index.yaml is below it.",
        ) from None
    return [_release(entry) for entry in entries if isinstance(entry, dict)]


def read_text(body: bytes) -> Any:
    """Return a small YAML document as dicts, lists and text; raises ValueError."""
    with _plain_errors():
        events = _events(body)
        return next((_value(events, event, 0) for event in events if not _is_start(event)), None)


@contextmanager
def _plain_errors() -> Iterator[None]:
    try:
        yield
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    except StopIteration:
        raise ValueError("it is cut off") from None


def _events(body: bytes) -> Iterator[Any]:
    return iter(yaml.parse(body, Loader=yaml.CBaseLoader))


def _is_start(event: Any) -> bool:
    return isinstance(event, yaml.StreamStartEvent | yaml.DocumentStartEvent)


def _release(entry: dict[str, Any]) -> Release:
    urls, digest = entry.get("urls"), entry.get("digest")
    url = urls[0] if isinstance(urls, list) and urls and isinstance(urls[0], str) else ""
    plain = digest.removeprefix("sha256:").lower() if isinstance(digest, str) else ""
    return Release(str(entry.get("version", "")), url, plain)


def _entries(events: Iterator[Any], name: str) -> list[Any]:
    """Go to entries, and to the chart in it."""
    for wanted in ("entries", name):
        for event in events:
            if isinstance(event, yaml.MappingStartEvent):
                break
            if not _is_start(event):
                raise ValueError(f"{wanted} is not in it")  # one error for all that is wrong with a text
        if not _go_to(events, wanted):
            return []
    found = _value(events, next(events), 0)
    return found if isinstance(found, list) else []


def _go_to(events: Iterator[Any], wanted: str) -> bool:
    """Pass over what stands before a key of a mapping; tell whether there is one."""
    for event in events:
        if isinstance(event, yaml.MappingEndEvent):
            return False
        if isinstance(event, yaml.ScalarEvent) and event.value == wanted:
            return True
        _pass_over(events, event)
        _pass_over(events, next(events))
    return False


def _pass_over(events: Iterator[Any], event: Any) -> None:
    depth = 0
    while True:
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth == 0:
            return
        if depth > _MOST_PASSED:
            raise ValueError(f"it is nested more than {_MOST_PASSED} deep")
        event = next(events)


def _value(events: Iterator[Any], event: Any, depth: int) -> Any:
    if depth > _MOST_DEPTH:
        raise ValueError(f"it is nested more than {_MOST_DEPTH} deep")
    if isinstance(event, yaml.ScalarEvent):
        return event.value
    if isinstance(event, yaml.SequenceStartEvent):
        items = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(_value(events, event, depth + 1))
        return items
    if isinstance(event, yaml.MappingStartEvent):
        found = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            key = _value(events, event, depth + 1)
            found[str(key)] = _value(events, next(events), depth + 1)
        return found
    return None  # an alias: nothing that is looked for has one
