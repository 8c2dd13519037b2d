"""Changes of single fields of live objects: made, checked against what is there now, and taken back.

A path names the items of a list by their `name` (``[web]``), or as the texts that they are, which stays true when others add to the
list or sort it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeGuard

import msgspec

from homeport.discovery.tree import dig, is_list, write_path

Path = tuple[str | int, ...]
Operation = dict[str, Any]


class Change(msgspec.Struct, frozen=True):
    """A field before and after; null where it is not there."""

    path: Path
    old: Any
    new: Any

    @property
    def where(self) -> str:
        """The path for people: ``spec.template.spec.containers[web].image``."""
        steps = [step if is_item(step) else f".{write_path((step,))}" for step in self.path]
        return "".join(steps).replace(".[", "[").removeprefix(".")


State = Literal["old", "new", "other"]


def is_item(step: str | int) -> TypeGuard[str]:
    """Tell whether a step of a path names the item of a list."""
    return isinstance(step, str) and step.startswith("[")


def by_name(root: object, path: Sequence[str | int]) -> Path:
    """Name the items of lists on a path by their `name`, where they have one that no other item has."""
    named: list[str | int] = []
    value = root
    for step in path:
        shown = step
        if isinstance(step, int) and is_list(value):
            names = [dig(item, ("name",)) for item in value]
            if isinstance(names[step], str) and names.count(names[step]) == 1:
                shown = f"[{names[step]}]"
        named.append(shown)
        value = dig(value, (step,))
    return tuple(named)


def locate(root: object, path: Path) -> tuple[str | int, ...]:
    """Return a path with indexes, as far as it is there."""
    found: list[str | int] = []
    value = root
    for step in path:
        at: str | int | None = step
        if is_item(step):
            items = value if is_list(value) else ()
            at = next((index for index, item in enumerate(items) if step[1:-1] in (item, dig(item, ("name",)))), None)
        if at is None or (value := dig(value, (at,))) is None:
            break
        found.append(at)
    return tuple(found)


def value_at(root: object, path: Path) -> Any:
    """Return the value at a path, None where there is none."""
    found = locate(root, path)
    return dig(root, found) if len(found) == len(path) else None


def state_of(root: object, change: Change) -> State:
    """Tell whether a field is as before a change, as after it, or as somebody else made it."""
    now = value_at(root, change.path)
    if now == change.new:
        return "new"
    return "old" if now == change.old else "other"


def adding(root: object, path: Path, value: object) -> Change:
    """Return the change that adds a value which is not there; taken back, whatever is added around it goes as well."""
    there = len(locate(root, path))
    return Change(path[: there + 1], None, _wrapped(path[there + 1 :], value))


def operations(root: Mapping[str, Any], changes: Iterable[Change], *, undo: bool = False) -> list[Operation]:
    """Return a JSON patch that makes changes, or takes them back; it fails as a whole where the object has changed meanwhile.

    A pull secret that is added to a list is a change of the item ``[NAME]``.
    """
    written: list[Operation] = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": root["metadata"]["resourceVersion"]}
    ]
    for change in changes:
        before, after = (change.new, change.old) if undo else (change.old, change.new)
        found = locate(root, change.path)
        if before is None:
            written.append(_addition(change.path, found, after))
        elif after is None:
            written.append({"op": "remove", "path": _pointer(_whole_list(root, found))})
        else:
            written.append({"op": "replace", "path": _pointer(found), "value": after})
    return written


def configuration(value: Mapping[str, Any], fields: Mapping[Path, Any]) -> dict[str, Any]:
    """Return what server-side apply is to own of an object; items of lists are told by their name."""
    metadata = {name: value["metadata"][name] for name in ("namespace", "name")}
    wanted: dict[str, Any] = {"apiVersion": value["apiVersion"], "kind": value["kind"], "metadata": metadata}
    for path, field in fields.items():
        _put(wanted, path, field)
    return wanted


def _addition(path: Path, found: tuple[str | int, ...], value: object) -> Operation:
    """Add a value with whatever around it is missing too."""
    step = path[len(found)]
    added = _wrapped(path[len(found) + 1 :], value)
    return {"op": "add", "path": _pointer((*found, "-" if is_item(step) else step)), "value": added}


def _wrapped(path: Path, value: object) -> object:
    for step in reversed(path):
        value = [value] if is_item(step) else {step: value}
    return value


def _whole_list(root: object, path: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Return the list itself where an item is its last one: an empty list and none mean the same, and none was there before."""
    items = dig(root, path[:-1])
    return path[:-1] if isinstance(path[-1], int) and is_list(items) and len(items) == 1 else path


def _put(root: dict[str, Any], path: Path, value: object) -> None:
    here: Any = root
    for step, after in zip(path, (*path[1:], None), strict=True):
        if is_item(step):
            name = step[1:-1]
            item = next((it for it in here if it["name"] == name), None)
            if item is None:
                item = {"name": name}
                here.append(item)
            here = item
        elif after is None:
            here[step] = value
        else:
            here = here.setdefault(step, [] if isinstance(after, str) and is_item(after) else {})


def _pointer(path: Sequence[str | int]) -> str:
    """Write a JSON pointer (RFC 6901)."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def differences(
    before: object, after: object, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], Any, Any]]:
    """Yield path, old and new of what differs; lists have to be equally long. What is only in `after` has no old value."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in after.items():
            if key in before:
                yield from differences(before[key], value, (*path, key))
            else:
                yield (*path, key), None, value
    elif isinstance(before, list) and isinstance(after, list):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from differences(old, new, (*path, index))
    elif before != after:
        yield path, before, after


def owned_fields(value: Mapping[str, Any], manager: str) -> dict[Path, Any]:
    """Return the fields that a manager owns by server-side apply, with their values of now.

    What it owns and does not name in its next apply would be removed (Kubernetes, Server-Side Apply, "Field management").
    """
    found: dict[Path, Any] = {}
    for entry in value["metadata"].get("managedFields") or ():
        if (entry.get("manager"), entry.get("operation"), entry.get("subresource", "")) == (manager, "Apply", ""):
            for path in _field_paths(entry.get("fieldsV1") or {}):
                now = value_at(value, path)
                if now is not None:
                    found[path] = now
    return found


def _field_paths(fields: Mapping[str, Any], path: Path = ()) -> Iterator[Path]:
    """Yield the leaves of a set of fields (structured-merge-diff, fieldpath/serialize-pe.go)."""
    for key, inner in fields.items():
        kind, _, name = key.partition(":")
        if kind == "f" and not inner:
            yield (*path, name)
        elif kind == "f":
            yield from _field_paths(inner, (*path, name))
        elif kind == "k" and set(named := json.loads(name)) == {"name"}:
            yield from _field_paths(inner, (*path, f"[{named['name']}]"))
