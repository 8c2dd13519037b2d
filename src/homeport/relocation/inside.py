"""Insert lines into a text that stands in a literal block scalar: its lines are the file's own, indented."""

import re
from itertools import pairwise
from typing import Final

from homeport.discovery.tree import Scalar
from homeport.relocation.splice import Splice

_LINE: Final = re.compile(r"[^\n]*(?:\n|$)")


class Inside:
    """The text of a literal block scalar in a file; `is_literal` tells whether a scalar is one that can be followed."""

    def __init__(self, outer: str, scalar: Scalar) -> None:
        self.inner = str(scalar)
        self.line_end = "\r\n" if "\r\n" in outer else "\n"
        header = outer.index("\n", scalar.start) + 1
        lines = [match.end() for match in _LINE.finditer(outer, header, scalar.end)]
        self.starts = [header, *lines]
        raw = [outer[start:end] for start, end in pairwise(self.starts)]
        first = next(number for number, line in enumerate(self.inner.split("\n")) if line.strip())
        self.indentation = _margin(raw[first]) - _margin(self.inner.split("\n")[first])

    @staticmethod
    def is_literal(scalar: Scalar) -> bool:
        """Tell whether a scalar is a literal block with something in it, written where it stands."""
        return scalar.style == "|" and not scalar.alias and bool(scalar.strip())

    def lift(self, change: Splice) -> Splice:
        """Return an insertion into the inner text as one into the file."""
        start = self._place(change.start)
        column = change.start - (self.inner.rfind("\n", 0, change.start) + 1)
        first, *rest = change.text.split("\n")
        margin = " " * self.indentation
        lines = [margin + first if first and not column else first, *(margin + it if it else "" for it in rest)]
        end = start if change.start == change.end else self._place(change.end)
        return Splice(start, end, self.line_end.join(lines))

    def _place(self, offset: int) -> int:
        line = self.inner.count("\n", 0, offset)
        column = offset - (self.inner.rfind("\n", 0, offset) + 1)
        return self.starts[line] + (self.indentation + column if column else 0)


def _margin(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
