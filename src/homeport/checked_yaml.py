"""Configuration files in YAML, read into values and checked: every complaint names file, line and field."""

import difflib
import re
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from homeport.errors import ConfigError, UsageError

MAX_BYTES = 1 << 20
MAX_DEPTH = 32

T = TypeVar("T", bound=msgspec.Struct)


def read_config(path: Path, *, hint: str) -> bytes:
    """Read a small file; raises UsageError with the hint where there is none, ConfigError where it is no configuration."""
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint=hint) from None
    if len(content) > MAX_BYTES:
        raise ConfigError("larger than 1 MiB", file=str(path), hint="This is to be a configuration, not a manifest.")
    return content


def parse_yaml(content: bytes, file: str, kind: type[T], *, expected: str) -> tuple[T, yaml.MappingNode]:
    """Read a text as a value, with its nodes for later complaints; the value's field `file`, if any, is the file.

    Raises ConfigError: not YAML, a key unknown (the nearest one is named) or said twice, a value of another kind.
    """
    try:
        _check_depth(content, file)
        root = yaml.compose(content, Loader=yaml.CSafeLoader)
        data = yaml.load(content, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise ConfigError(f"not YAML: {error.problem}", file=file, line=line) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"not YAML: {error}", file=file) from None
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"a mapping with {expected} is expected", file=file, line=1)
    _refuse_unknown_keys(root, kind, file, "")
    if any(field.name == "file" for field in msgspec.structs.fields(kind)):
        data = {**data, "file": file}
    try:
        return msgspec.convert(data, kind), root
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at ")
        field = path.strip("`").removeprefix("$").removeprefix(".")
        raise ConfigError(reason, file=file, line=line_of(root, field), field=field) from None


def line_of(root: yaml.Node, field: str) -> int:
    """Return the line of a field, or of the nearest thing around it that is there."""
    node = root
    for step in re.findall(r"[^.\[\]]+", field):
        child = _child(node, step)
        if child is None:
            break
        node = child
    return int(node.start_mark.line) + 1


def _check_depth(content: bytes, file: str) -> None:
    """Refuse what would overflow the composer's stack: it is written in C and recursive."""
    depth = 0
    for event in yaml.parse(content, Loader=yaml.CSafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            line = event.start_mark.line + 1 if event.start_mark else None
            raise ConfigError(f"nested more than {MAX_DEPTH} deep", file=file, line=line)


def _refuse_unknown_keys(node: yaml.Node, annotation: Any, file: str, prefix: str) -> None:
    """Walk nodes and annotation side by side; what does not fit is left for the conversion to complain about."""
    arguments = typing.get_args(annotation)
    if isinstance(annotation, types.UnionType):
        for option in arguments:
            _refuse_unknown_keys(node, option, file, prefix)
    elif isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        if isinstance(node, yaml.MappingNode):
            _check_keys(node, annotation, file, prefix)
    elif typing.get_origin(annotation) is dict and isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            _refuse_unknown_keys(value, arguments[1], file, f"{prefix}{name.value}.")
    elif typing.get_origin(annotation) is tuple and isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _refuse_unknown_keys(value, arguments[0], file, f"{prefix.removesuffix('.')}[{index}].")


def _check_keys(node: yaml.MappingNode, kind: type[msgspec.Struct], file: str, prefix: str) -> None:
    known = {field.encode_name: field.type for field in msgspec.structs.fields(kind) if field.name != "file"}
    seen: set[str] = set()
    for key_node, value in node.value:
        key, line = str(key_node.value), key_node.start_mark.line + 1
        if key in seen:
            raise ConfigError("said twice", file=file, line=line, field=prefix + key)
        seen.add(key)
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"Did you mean {near[0]}?" if near else f"Known here: {', '.join(known)}."
            raise ConfigError("not a known key", file=file, line=line, field=prefix + key, hint=hint)
        _refuse_unknown_keys(value, known[key], file, f"{prefix}{key}.")


def _child(node: yaml.Node | None, key: str) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for name, value in node.value if name.value == key), None)
    if isinstance(node, yaml.SequenceNode) and key.isdigit() and int(key) < len(node.value):
        item: yaml.Node = node.value[int(key)]
        return item
    return None
