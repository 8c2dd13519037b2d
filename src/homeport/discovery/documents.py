"""Read YAML (and JSON, which is YAML) into values with their places.

The values are built from libyaml's events, in one pass: a third of the time of PyYAML's composer, and no recursion, which
crashes that composer at 30,000 levels. Schemas in CustomResourceDefinitions name no image; they are read past.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
import yaml
from yaml._yaml import CParser

from homeport.discovery.inputs import Source
from homeport.discovery.tree import Map, Scalar, Seq, dig
from homeport.errors import InputError

MAX_DEPTH: Final = 1_000
MAX_MERGED: Final = 1_000_000
SCHEMA_KIND: Final = "CustomResourceDefinition"
_SURROGATES: Final = re.compile(r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_MERGE: Final = "<<"
_UNFINISHED: Final = -2


class Document(msgspec.Struct, frozen=True, eq=False):
    """One document. `root` is None where it is empty or a schema.

    `aliases` tells for each anchored scalar that is used again (by its start) the lines of those uses; `repeated` are keys that
    stand twice in one mapping.
    """

    root: Any
    aliases: dict[int, list[int]]
    repeated: list[Scalar]


def parse_documents(source: Source) -> list[Document]:
    """Read all documents of a text; raises InputError with line and column."""
    try:
        return list(_Builder(source.name).build(CParser(source.text)))
    except yaml.YAMLError as error:
        # JSON spells characters beyond 16 bits as two escapes (RFC 8259 section 7), which YAML refuses. Places stay what they
        # are, because as many characters take their place.
        text, pairs = _SURROGATES.subn(_one_escape, source.text)
        if not pairs:
            raise _explain(error, source) from error
    try:
        return list(_Builder(source.name).build(CParser(text)))
    except yaml.YAMLError as error:
        raise _explain(error, source) from error


def root_of_text(text: object) -> Any:
    """Return the root of a text that is one document; None where it is something else."""
    if not isinstance(text, str):
        return None
    try:
        documents = parse_documents(Source("", str(text)))
    except InputError:
        return None
    return documents[0].root if len(documents) == 1 else None


def dig_inside(value: object, path: Sequence[str | int], inside: int) -> Any:
    """Follow a path of which the first `inside` steps lead to a text, and the others into the document that it is."""
    return dig(root_of_text(dig(value, path[:inside])), path[inside:]) if inside else dig(value, path)


def _one_escape(pair: re.Match[str]) -> str:
    character = bytes.fromhex(pair[1] + pair[2]).decode("utf-16-be")
    return f"\\U{ord(character):08x}  "


class _Builder:
    """Builds values from events, with a stack of its own."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.merged = 0

    def build(self, parser: Any) -> Iterator[Document]:
        event = parser.get_event()
        while not isinstance(event, yaml.StreamEndEvent):
            if isinstance(event, yaml.DocumentStartEvent):
                yield self._document(parser)
            event = parser.get_event()

    def _document(self, parser: Any) -> Document:
        """Build one document, up to its end event."""
        self.root: Any = None
        self.open: list[Map | Seq] = []
        self.keys: list[Scalar | None] = []
        self.anchors: dict[str, Any] = {}
        self.aliases: dict[int, list[int]] = {}
        self.repeated: list[Scalar] = []
        self.last = 0
        skipping = False
        depth = 0
        next_event = parser.get_event
        while True:
            event = next_event()
            kind = type(event)
            if kind is yaml.ScalarEvent:
                if not skipping:
                    self._add(self._scalar(event), event.anchor)
                    skipping = self._in_schema()
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                depth += 1
                if depth > MAX_DEPTH:
                    raise self._error(f"nested deeper than {MAX_DEPTH:,} levels", event.start_mark)
                if not skipping:
                    self._begin(event, Map() if kind is yaml.MappingStartEvent else Seq())
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                depth -= 1
                if not skipping:
                    self._finish(event)
            elif kind is yaml.AliasEvent:
                if not skipping:
                    self._alias(event)
            else:
                return Document(None if skipping else self.root, self.aliases, self.repeated)

    def _in_schema(self) -> bool:
        root = self.open[0] if len(self.open) == 1 else None
        return isinstance(root, Map) and self.keys[0] is None and root.get("kind") == SCHEMA_KIND

    def _scalar(self, event: Any) -> Scalar:
        node = Scalar(event.value)
        mark = event.start_mark
        node.start, node.line, node.column = mark.index, mark.line + 1, mark.column
        node.end = self.last = event.end_mark.index
        # An explicit tag makes even an empty plain scalar a string.
        node.style = event.style or (None if event.implicit[0] else "!")
        node.alias = False
        return node

    def _begin(self, event: Any, node: Map | Seq) -> None:
        mark = event.start_mark
        node.start, node.line, node.column = mark.index, mark.line + 1, mark.column
        node.flow = event.flow_style
        node.end = node.stop = _UNFINISHED
        if isinstance(node, Map):
            node.keys_written = []
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        self.open.append(node)
        self.keys.append(None)

    def _finish(self, event: Any) -> None:
        node = self.open.pop()
        self.keys.pop()
        node.stop = self.last
        node.end = event.end_mark.index
        if node.flow:
            self.last = node.end
        if isinstance(node, Map) and any(key == _MERGE and key.style is None for key in node.keys_written):
            self._merge(node)
        self._add(node, None)

    def _alias(self, event: Any) -> None:
        node = self.anchors.get(event.anchor)
        mark = event.start_mark
        if node is None:
            raise self._error(f"the alias *{event.anchor} has no anchor before it", mark)
        if isinstance(node, Map | Seq) and node.end == _UNFINISHED:
            raise self._error(f"the alias *{event.anchor} stands inside its own anchor", mark)
        self.last = event.end_mark.index
        if isinstance(node, Scalar):
            copy = Scalar(node)
            copy.start, copy.end, copy.style, copy.alias = node.start, node.end, node.style, True
            copy.line, copy.column = mark.line + 1, mark.column
            self.aliases.setdefault(node.start, []).append(copy.line)
            node = copy
        self._add(node, None)

    def _add(self, node: Any, anchor: str | None) -> None:
        """Put a finished value where it belongs: the document, a sequence, or a mapping, there as key or value."""
        if anchor is not None:
            self.anchors[anchor] = node
        if not self.open:
            self.root = node
            return
        parent = self.open[-1]
        if isinstance(parent, Seq):
            parent.append(node)
        elif (key := self.keys[-1]) is None:
            self.keys[-1] = node if isinstance(node, Scalar) else _unnamed(node)
        else:
            if key in parent:
                self.repeated.append(key)
            parent.keys_written.append(key)
            parent[key] = node
            self.keys[-1] = None

    def _merge(self, node: Map) -> None:
        """Take over the entries of merged mappings (yaml.org/type/merge.html): own entries win, then earlier ones."""
        merged = node.pop(_MERGE)
        for other in merged if isinstance(merged, Seq) else [merged]:
            if isinstance(other, Map):
                self.merged += len(other)
                if self.merged > MAX_MERGED:
                    raise InputError(
                        f"merge keys expand to more than {MAX_MERGED:,} entries", file=self.file, line=node.line
                    )
                for key, value in other.items():
                    node.setdefault(key, value)

    def _error(self, message: str, mark: Any) -> InputError:
        return InputError(message, file=self.file, line=mark.line + 1, column=mark.column + 1)


def _unnamed(node: Map | Seq) -> Scalar:
    """Stand in for a key that is no scalar; no field of Kubernetes has one."""
    key = Scalar(f"?{node.start}")
    key.start = key.end = node.start
    key.line, key.column, key.style, key.alias = node.line, node.column, "?", True
    return key


def _explain(error: yaml.YAMLError, source: Source) -> InputError:
    """Turn libyaml's words into file, line, column and a sentence."""
    hint = "It looks like a template; render it first (helm template)." if "{{" in source.text else ""
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        problem = error.problem or error.context or "not YAML"
        if mark is not None and source.text[mark.index : mark.index + 1] == "\t":
            problem, hint = "a tab stands where YAML wants blanks", "Indent with blanks."
        elif error.context and error.context_mark:
            problem += f" ({error.context} that began in line {error.context_mark.line + 1})"
        if mark is not None:
            return InputError(problem, file=source.name, line=mark.line + 1, column=mark.column + 1, hint=hint)
        return InputError(problem, file=source.name, hint=hint)
    if isinstance(error, yaml.reader.ReaderError):
        before = source.text.encode()[: error.position].decode(errors="ignore")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        return InputError(f"{error.reason}: #x{error.character:04x}", file=source.name, line=line, column=column)
    return InputError(str(error), file=source.name)
