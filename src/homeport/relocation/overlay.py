"""A kustomize overlay instead of rewritten files: the originals as resources, an images transformer, and patches for the rest.

Kustomize's transformer knows containers and init containers; everything else that changed becomes a JSON patch (RFC 6902) of its
object. Both come from comparing the original with the proved result, so that the overlay says what the rewrite does.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
import yaml

from homeport.discovery.documents import parse_documents
from homeport.discovery.findings import ObjectKey
from homeport.discovery.inputs import Source
from homeport.discovery.kinds import pod_spec_path
from homeport.discovery.packaging.transformer import cut_name
from homeport.discovery.walk import objects_of
from homeport.errors import InputError, UnprovenError

_FOLDER: Final = "resources"
_LISTS: Final = frozenset({"containers", "initContainers"})
_STDIN: Final = "stdin.yaml"

Path = tuple[str | int, ...]


class Change(msgspec.Struct, frozen=True):
    """One operation on an object: `add` or `replace` at a path."""

    operation: str
    path: Path
    value: Any
    old: str = ""


class _Changed(msgspec.Struct, frozen=True):
    source: str
    line: int
    key: ObjectKey
    changes: tuple[Change, ...]


def overlay(files: Iterable[tuple[Source, str]]) -> dict[str, str]:
    """Return an overlay's files by their names, from texts and what they became.

    Raises InputError for what kustomize cannot take or address: a document that is no object with a name.
    """
    written: dict[str, str] = {}
    changed: list[_Changed] = []
    named: dict[tuple[str, str, str], set[str]] = {}
    for source, text in files:
        name = f"{_FOLDER}/{source.relative if source.path or source.relative != '-' else _STDIN}"
        if name in written:
            raise InputError("another file has the same name below its folder", file=source.name)
        written[name] = source.text
        for one in _compare(source, text):
            spaces = named.setdefault((one.key.api_version, one.key.kind, one.key.name), set())
            if "" in spaces | {one.key.namespace} and spaces - {one.key.namespace}:
                raise InputError(
                    f"{one.key} is there more than once, and kustomize cannot tell which is meant", file=one.source
                )
            spaces.add(one.key.namespace)
            changed.append(one)
    images: dict[str, str] = {}
    patches = []
    for one in changed:
        rest = [change for change in one.changes if not _is_transformed(one.key, change, images)]
        if rest:
            patches.append(
                {"target": _target(one.key), "patch": dump_kustomization([_operation(change) for change in rest])}
            )
    content: dict[str, Any] = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": list(written),
        "images": [{"name": name, "newName": new} for name, new in sorted(images.items())],
        "patches": patches,
    }
    return {
        **written,
        "kustomization.yaml": dump_kustomization({key: value for key, value in content.items() if value}),
    }


def changes_between(before: object, after: object, path: Path = ()) -> Iterator[Change]:
    """Yield the operations that make one value the other; values only change or are added, lists grow at their front."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key, value in after.items():
            if key in before:
                yield from changes_between(before[key], value, (*path, key))
            else:
                yield Change("add", (*path, key), _plain(value))
    elif isinstance(before, list) and isinstance(after, list):
        added = len(after) - len(before)
        for index in range(added):
            yield Change("add", (*path, index), _plain(after[index]))
        for index, (old, new) in enumerate(zip(before, after[added:], strict=True)):
            yield from changes_between(old, new, (*path, index + added))
    elif before != after:
        yield Change("replace", path, _plain(after), str(before))


def _compare(source: Source, text: str) -> Iterator[_Changed]:
    after = parse_documents(msgspec.structs.replace(source, text=text))
    for old, new in zip(parse_documents(source), after, strict=True):
        objects = list(zip(objects_of(old.root), objects_of(new.root), strict=True))
        if old.root is not None and not objects:
            continue
        for (before, _, key), (result, _, _) in objects:
            line = getattr(before, "line", 1)
            if not key.kind or not key.name:
                what = "a kustomization" if key.kind == "Kustomization" else "no object with a kind and a name"
                raise InputError(
                    f"this is {what}, which kustomize cannot take as a resource",
                    file=source.name,
                    line=line,
                    hint="For a kustomization: kustomize build DIR | homeport relocate --kustomize OUT ... -",
                )
            changes = tuple(changes_between(before, result))
            if _apply(before, changes) != _plain(result):
                raise UnprovenError(f"{source.name}:{line}: the patches of {key} do not give what was proved")
            if changes:
                yield _Changed(source.name, line, key, changes)


def _is_transformed(key: ObjectKey, change: Change, images: dict[str, str]) -> bool:
    """Tell whether kustomize's images transformer makes this change, and note its entry."""
    spec = pod_spec_path(key)
    below = change.path[len(spec) :] if spec is not None and change.path[: len(spec)] == spec else ()
    if change.operation != "replace" or len(below) != 3 or below[0] not in _LISTS or below[2] != "image":
        return False
    old, new = cut_name(change.old)[0], cut_name(str(change.value))[0]
    return images.setdefault(old, new) == new


def _target(key: ObjectKey) -> dict[str, str]:
    group, _, version = key.api_version.rpartition("/")
    fields = {"group": group, "version": version, "kind": key.kind, "name": key.name, "namespace": key.namespace}
    return {name: value for name, value in fields.items() if value}


def _operation(change: Change) -> dict[str, Any]:
    pointer = "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in change.path)
    return {"op": change.operation, "path": pointer, "value": change.value}


def _apply(value: object, changes: Sequence[Change]) -> Any:
    """Do what the patches will do."""
    root = _plain(value)
    for change in changes:
        holder = root
        for step in change.path[:-1]:
            holder = holder[step]
        last: Any = change.path[-1]
        if change.operation == "add" and isinstance(holder, list):
            holder.insert(last, change.value)
        else:
            holder[last] = change.value
    return root


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, str) else value


def dump_kustomization(value: object) -> str:
    """Write a kustomization, or what holds parts of one."""
    written: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000_000)
    return written


class _Dumper(yaml.SafeDumper):
    """Writes patches as block scalars, and other texts of several lines in quotes.

    Kustomize trims a patch, which would take the last line end of a block scalar in it.
    """


def _write_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = None if "\n" not in text else "|" if text.startswith("- op: ") else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _write_text)
