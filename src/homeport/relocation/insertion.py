"""Add entries to mappings and items to lists in the file's own style.

Block mappings take new lines with their indentation and the file's line ends; flow mappings (and JSON) take entries in flow form.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from homeport.discovery.documents import root_of_text
from homeport.discovery.tree import Map, Scalar, Seq, is_null
from homeport.errors import UnprovenError
from homeport.relocation.inside import Inside
from homeport.relocation.splice import Splice

_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_WORDS: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9._/-]*(?::[A-Za-z0-9][A-Za-z0-9._/-]*)*|\d+\.\d+\.\d+[A-Za-z0-9._-]*")
_EDGES: Final = ("initContainers", "containers", "ephemeralContainers")

Value = str | Mapping[str, "Value"] | Sequence["Value"]


class Style(msgspec.Struct, frozen=True):
    """How a document is written: the indentation of a mapping in a mapping and of a list's dashes, line ends, and JSON or not."""

    step: int = 2
    dash: int = 0
    line_end: str = "\n"
    json: bool = False


def style_of(text: str, root: object) -> Style:
    """Read a document's style from its first mapping and its first list in block style."""
    step = dash = None
    pending: list[object] = [root]
    seen: set[int] = set()
    for node in pending:
        if id(node) in seen or not isinstance(node, Map | Seq):
            continue
        seen.add(id(node))
        if isinstance(node, Map):
            for key in () if node.flow else node.keys_written:
                child = node.get(key)
                if isinstance(child, Map) and not child.flow and child.line > key.line and step is None:
                    step = child.column - node.column
                if isinstance(child, Seq) and not child.flow and child.line > key.line and dash is None:
                    dash = child.column - node.column
        if step is not None and dash is not None:
            break
        pending += node.values() if isinstance(node, Map) else node
    line_end = _LINE_END.search(text)
    json = isinstance(root, Map) and root.flow and text[root.start : root.end].lstrip("{ \t\r\n").startswith('"')
    return Style(max(step or 2, 1), max(dash or 0, 0), line_end.group() if line_end else "\n", json)


class Additions:
    """What is to be added to one document; each mapping or list gets its additions in one piece."""

    def __init__(self, text: str, root: object) -> None:
        self.text, self.root = text, root
        self.style = Style()
        self._entries: dict[int, tuple[Map | Scalar, dict[str, Any]]] = {}
        self._items: dict[int, tuple[Seq, list[Any]]] = {}
        self._inside: dict[int, tuple[Inside, Additions]] = {}

    def add(self, root: object, path: Sequence[str | int], value: Value) -> Map | Seq | Scalar | None:
        """Put a value under a path: a new entry, or items before those of a list; return where, None where it cannot be."""
        node = root
        for depth, step in enumerate(path):
            child = node[step] if isinstance(node, Seq) and isinstance(step, int) else None
            if isinstance(node, Map) and isinstance(step, str):
                child = node.get(step)
                if child is None:
                    return self._enter(node, path[depth:], value)
            if isinstance(child, Scalar) and (is_null(child) or not child) and not child.alias:
                return self._enter(child, path[depth + 1 :], value)
            if isinstance(child, Scalar) and depth + 1 < len(path):
                return self._add_inside(child, path[depth + 1 :], value)
            node = child
        if isinstance(node, Seq) and isinstance(value, list):
            items = self._items.setdefault(id(node), (node, []))[1]
            items += [item for item in value if item not in items]
            return node
        if isinstance(node, Map) and isinstance(value, dict):
            added = [self.add(node, (key,), entry) for key, entry in value.items()]
            return None if None in added else node
        return None

    def _add_inside(self, text: Scalar, path: Sequence[str | int], value: Value) -> Map | Seq | Scalar | None:
        """Put a value into the document that a text is; None where the text cannot be followed."""
        if not Inside.is_literal(text):
            return None
        if text.start not in self._inside:
            self._inside[text.start] = (Inside(self.text, text), Additions(str(text), root_of_text(text)))
        additions = self._inside[text.start][1]
        return text if additions.add(additions.root, path, value) is not None else None

    def _enter(self, node: Map | Scalar, path: Sequence[str | int], value: Value) -> Map | Scalar | None:
        if not all(isinstance(step, str) for step in path):
            return None
        entries = self._entries.setdefault(id(node), (node, {}))[1]
        if not path:
            entries.setdefault("", value)
            return node
        *outer, last = map(str, path)
        for step in outer:
            entries = entries.setdefault(step, {})
        entries[last] = value
        return node

    def splices(self) -> list[Splice]:
        """Return the text's changes; raises UnprovenError where a place allows no safe one."""
        if self._entries or self._items:
            self.style = style_of(self.text, self.root)
        # Where two mappings end at one place, the inner one's entries come first.
        innermost = sorted(self._entries.values(), key=lambda addition: -addition[0].column)
        changes = [self._new_entries(node, entries) for node, entries in innermost]
        changes += [self._new_items(node, items) for node, items in self._items.values()]
        return changes + [place.lift(change) for place, inner in self._inside.values() for change in inner.splices()]

    def _new_entries(self, node: Map | Scalar, entries: dict[str, Any]) -> Splice:
        if isinstance(node, Scalar):
            blank = " " if node.start == node.end else ""
            return Splice(node.start, node.end, blank + _flow(entries.get("", entries), quoted=self.style.json))
        if node.flow:
            return self._into_flow_map(node, entries)
        if (before := _edge(node)) is not None:
            return self._above(node, before, entries)
        line_end = _LINE_END.search(self.text, node.stop)
        if self.text[node.stop - 1] in "\r\n":
            at = node.stop  # the last value is a block scalar, which ends where the next line begins
        elif line_end is not None:
            at = line_end.end()
        else:
            # No line end at the end of the file: a block scalar's value would change if one were added.
            return self._above(node, node.keys_written[0], entries)
        return Splice(at, at, "".join(line + self.style.line_end for line in self._lines(entries, node.column)))

    def _above(self, node: Map, key: Scalar, entries: dict[str, Any]) -> Splice:
        """Insert above a key and the comments that belong to it."""
        start = key.start - key.column
        if key.column and not self.text[start : key.start].isspace():
            return Splice(key.start, key.start, self._ahead(entries, key.column))
        earlier = node.keys_written[: node.keys_written.index(key)]
        floor = max((max(other.end, _stop(node[other])) for other in earlier), default=0)
        margin = " " * key.column
        while (line := self.text.rfind("\n", 0, max(start - 1, 0)) + 1) < start and line >= floor:
            if not self.text.startswith(f"{margin}#", line):
                break
            start = line
        return Splice(start, start, "".join(line + self.style.line_end for line in self._lines(entries, key.column)))

    def _ahead(self, value: Any, column: int) -> str:
        """Write lines before something that shares its line with a dash: its indentation follows the new lines."""
        written = "".join(line + self.style.line_end for line in self._lines(value, column))
        return written.lstrip(" ") + " " * column

    def _into_flow_map(self, node: Map, entries: dict[str, Any]) -> Splice:
        first = next((key for key in node.keys_written if not key.alias), None)
        quoted = self.style.json or (first is not None and self.text[first.start] == '"')
        inner = _flow(entries, quoted=quoted)[1:-1]
        if first is None:
            return Splice(node.end - 1, node.end - 1, inner)
        return Splice(first.start, first.start, inner + self._separator(first.start, first.column))

    def _new_items(self, node: Seq, items: list[Any]) -> Splice:
        inner = _flow(items, quoted=self.style.json)[1:-1]
        if node.flow and not node:
            return Splice(node.end - 1, node.end - 1, inner)
        first = node[0] if node.flow else node
        if not node.start <= first.start < node.end or (not node.flow and self.text[node.start] != "-"):
            raise UnprovenError(
                f"line {node.line}: nothing can be added to a list that begins with an anchor or an alias"
            )
        if node.flow:
            return Splice(first.start, first.start, inner + self._separator(first.start, first.column))
        return Splice(node.start, node.start, self._ahead(items, node.column))

    def _separator(self, start: int, column: int) -> str:
        """Return what stands between two flow entries: a new line where the one at `start` has a line of its own."""
        margin = self.text[start - column : start]
        return "," + (self.style.line_end + margin if column and margin.isspace() else " ")

    def _lines(self, value: Any, column: int) -> list[str]:
        """Write a value in block style, each line with its indentation."""
        margin = " " * column
        lines: list[str] = []
        if isinstance(value, dict):
            for key, entry in value.items():
                if isinstance(entry, str):
                    lines.append(f"{margin}{key}: {_word(entry, quoted=False)}")
                else:
                    deeper = self.style.step if isinstance(entry, dict) else self.style.dash
                    lines += [f"{margin}{key}:", *self._lines(entry, column + deeper)]
        else:
            for item in value:
                first, *rest = [_word(item, quoted=False)] if isinstance(item, str) else self._lines(item, column + 2)
                lines += [f"{margin}- {first.lstrip()}", *rest]
        return lines


def _edge(node: Map) -> Scalar | None:
    """Return the key that pull secrets stand above in a pod specification: its first list of containers."""
    return next((key for key in node.keys_written if key in _EDGES and not key.alias), None)


def _stop(value: Map | Seq | Scalar) -> int:
    return value.end if isinstance(value, Scalar) or value.flow else value.stop


def _flow(value: Any, *, quoted: bool) -> str:
    if isinstance(value, dict):
        entries = (f"{_word(key, quoted=quoted)}: {_flow(entry, quoted=quoted)}" for key, entry in value.items())
        return "{" + ", ".join(entries) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(item, quoted=quoted) for item in value) + "]"
    return _word(value, quoted=quoted)


def _word(text: str, *, quoted: bool) -> str:
    """Write a scalar: plain where every YAML reader takes it for a string, else in double quotes."""
    plain = not quoted and _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    return text if plain else f'"{text}"'
