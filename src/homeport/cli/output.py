"""Write reports: one value as a table for people, as JSON or as YAML for machines."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

Form = Literal["table", "json", "yaml"]


def render(value: Any, form: Form, table: str) -> str:
    """Return a value in the form that was asked for, without a line end after it; `table` is it in words for people."""
    if form == "table":
        return table
    if form == "json":
        return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    import yaml  # a tenth of what a short command takes, and most are asked for a table

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    dumped: str = yaml.dump(msgspec.to_builtins(value), Dumper=dumper, sort_keys=False, allow_unicode=True)
    return dumped.removesuffix("\n")


def columns(rows: Iterable[Sequence[object]], indent: str = "", gap: str = "  ") -> list[str]:
    """Align rows of cells; the last column is as wide as it likes."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)] if cells else []
    return [
        (indent + gap.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))).rstrip()
        for row in cells
    ]


def count(number: int, noun: str) -> str:
    """Write a number with its noun: ``1 image``, ``2 images``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
