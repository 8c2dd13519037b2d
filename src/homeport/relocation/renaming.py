"""Distribute a new name over the fields that spell the old one. Tags and digests are never among what changes."""

from collections.abc import Sequence
from typing import Final

from homeport.discovery.findings import Part
from homeport.reference import Reference

_NAMING: Final = frozenset({"reference", "registry", "repository", "name"})


def rename(parts: Sequence[Part], target: Reference) -> list[tuple[Part, str]] | None:
    """Return the parts that spell registry and path, each with its new value; None where the new name has too few pieces for them.

    A whole name takes the new one before its tag and digest. Of split fields the last ones stay as they are where the new name ends
    alike, and what is new goes into the first, which many images may share. Of a pair, the registry's field gets the registry alone;
    of three fields the repository keeps its number of parts, for only by it readers tell an organisation from a whole repository.
    """
    naming = [part for part in parts if part.role in _NAMING]
    if not naming:
        return []
    first, *rest = naming
    path = target.name
    renamed: list[tuple[Part, str]] = []
    if first.role == "registry" and "/" not in first.value and len(rest) == 1:
        renamed.append((first, target.registry))
        path = target.repository
        first, *rest = rest
    taken: list[tuple[Part, str]] = []
    for part in reversed(rest):
        value, suffix = _cut(part.value)
        pieces = path.split("/")
        if not path.endswith(f"/{value}"):
            value = "/".join(pieces[-1 - value.count("/") :])
        path = path[: -len(value)].rstrip("/")
        taken.append((part, value + suffix))
    if not path:
        return None
    return [*renamed, (first, path + _cut(first.value)[1]), *reversed(taken)]


def _cut(value: str) -> tuple[str, str]:
    """Cut a value before its tag or digest, where it holds one."""
    name, at, digest = value.partition("@")
    tag = name.find(":", name.rfind("/") + 1) if "/" in name or name.count(":") == 1 else -1
    cut = len(name) if tag < 0 else tag
    return name[:cut], name[cut:] + at + digest
