"""Values that remember where they stand in a text.

They are plain dicts, lists and strings to whoever reads them, so that one walker serves files and live objects alike.
A scalar keeps its raw text, whatever YAML would make of it: the tag ``1.10`` is no number here.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeGuard

NOWHERE: Final = -1
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE: Final = frozenset({"true", "True", "TRUE"})


class Scalar(str):
    """A scalar's text; `start` and `end` count the source's characters, properties and quotes included.

    `line` counts from 1, `column` from 0; `style` is the quote or block indicator, None for a plain scalar. An alias is a copy
    with the alias's line and the anchored scalar's place.
    """

    __slots__ = ("alias", "column", "end", "line", "start", "style")

    start: int
    end: int
    line: int
    column: int
    style: str | None
    alias: bool


class Map(dict[str, Any]):
    """A mapping; `keys_written` are its own keys in the order of the text, without those that merge keys bring in.

    `start` and `end` are its braces in flow style; `stop` is the end of the last token inside in block style.
    """

    __slots__ = ("column", "end", "flow", "keys_written", "line", "start", "stop")

    start: int
    end: int
    stop: int
    line: int
    column: int
    flow: bool
    keys_written: list[Scalar]


class Seq(list[Any]):
    """A sequence; its marks are those of `Map`."""

    __slots__ = ("column", "end", "flow", "line", "start", "stop")

    start: int
    end: int
    stop: int
    line: int
    column: int
    flow: bool


def line_of(value: object) -> int:
    """Return the line that a value begins in, NOWHERE for a live object's."""
    line: int = getattr(value, "line", NOWHERE)
    return line


def is_null(value: object) -> bool:
    """Tell whether a value is null: absent, or a plain scalar that YAML reads as null."""
    return value is None or (isinstance(value, Scalar) and value.style is None and value in _NULLS)


def is_true(value: object) -> bool:
    """Tell whether a value is the boolean true."""
    return value is True or (isinstance(value, Scalar) and value.style is None and value in _TRUE)


def is_map(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Tell whether a value is a mapping."""
    return isinstance(value, Mapping)


def is_list(value: object) -> TypeGuard[Sequence[Any]]:
    """Tell whether a value is a sequence, which a text is not."""
    return isinstance(value, list)


def text_of(value: object) -> str:
    """Return a scalar's text, empty for null and for what is no scalar."""
    if isinstance(value, str):
        return "" if is_null(value) else str(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return ""


def dig(value: object, path: Sequence[str | int]) -> Any:
    """Follow keys into mappings and indexes into lists; None where one is missing."""
    for step in path:
        if isinstance(step, str) and is_map(value):
            value = value.get(step)
        elif isinstance(step, int) and is_list(value) and step < len(value):
            value = value[step]
        else:
            return None
    return value


def write_path(steps: Sequence[str | int]) -> str:
    """Write a path as people do: ``spec.containers[0].image``; keys with other characters stand in brackets."""
    written = ""
    for step in steps:
        if isinstance(step, int):
            written += f"[{step}]"
        elif step and step.replace("-", "").replace("_", "").isalnum():
            written += f".{step}" if written else str(step)
        else:
            written += f"['{step}']"
    return written
