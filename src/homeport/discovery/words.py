"""What a key says about its value: the words of its name, and the part of an image name that they speak of."""

import re
from functools import lru_cache
from typing import Final, Literal

import msgspec

KeyRole = Literal["", "image", "registry", "namespace", "repository", "name", "tag", "version", "digest"]

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_IMAGE: Final = frozenset({"image", "images"})
_FILLING: Final = frozenset({"image", "images", "container", "docker", "oci", "default"})
_NO_IMAGE: Final = frozenset(
    [
        "age",
        "alt",
        "arch",
        "architecture",
        "auth",
        "automation",
        "boot",
        "cache",
        "cleanup",
        "cloud",
        "count",
        "credential",
        "credentials",
        "digests",
        "disable",
        "disabled",
        "disk",
        "enable",
        "enabled",
        "expiration",
        "features",
        "file",
        "filter",
        "fingerprint",
        "format",
        "gc",
        "garbage",
        "gcp",
        "height",
        "icon",
        "id",
        "interval",
        "iso",
        "kernel",
        "key",
        "label",
        "labels",
        "limit",
        "logo",
        "machine",
        "max",
        "min",
        "mirror",
        "mirrors",
        "openstack",
        "os",
        "path",
        "pattern",
        "patterns",
        "platform",
        "platforms",
        "policies",
        "policy",
        "port",
        "prefix",
        "prune",
        "pull",
        "qcow",
        "raw",
        "rbd",
        "regex",
        "repositories",
        "rootdisk",
        "scan",
        "scanner",
        "schedule",
        "secret",
        "secrets",
        "signature",
        "size",
        "stream",
        "streams",
        "suffix",
        "threshold",
        "timeout",
        "title",
        "type",
        "types",
        "updater",
        "user",
        "verification",
        "verify",
        "vhd",
        "vm",
        "vmi",
        "vsphere",
        "warm",
        "width",
    ]
)
_LAST: Final[dict[str, KeyRole]] = {
    "tag": "tag",
    "version": "version",
    "release": "version",
    "digest": "digest",
    "sha": "digest",
    "sha256": "digest",
    "repository": "repository",
    "repo": "repository",
    "registry": "registry",
    "hub": "registry",
    "name": "name",
}


MAX_KEY: Final = 200
"""The longest name that means something."""


class Meaning(msgspec.Struct, frozen=True):
    """What a key means: its role, the words that tell it from its neighbours, and whether its name speaks of images at all."""

    role: KeyRole
    stem: tuple[str, ...]
    speaks_of_image: bool
    last: str


_NOTHING: Final = Meaning("", (), speaks_of_image=False, last="")


def words_of(key: str) -> tuple[str, ...]:
    """Split a name into lower-case words, however it is written: camelCase, kebab-case, SNAKE_CASE."""
    return tuple(word.lower() for word in _WORD.findall(key))


def meaning_of(key: str) -> Meaning:
    """Read a key; `image` also where it is one of several words (``natsImage``, ``RELATED_IMAGE_X``, ``images``)."""
    return _meaning(key) if len(key) <= MAX_KEY else _NOTHING


@lru_cache(maxsize=1 << 14)
def _meaning(key: str) -> Meaning:
    words = list(words_of(key))
    if words[-2:] == ["sha", "256"]:
        words[-2:] = ["sha256"]
    last = words[-1] if words else ""
    speaks = any(word in _IMAGE for word in words) or last in {"containerimage", "baseimage", "dockerimage"}
    role = _LAST.get(last, "")
    cut = 1
    if words[-2:] in (["digest", "hash"], ["repo", "url"], ["repository", "url"], ["registry", "url"]):
        role, cut = ("digest" if last == "hash" else _LAST[words[-2]]), 2
    elif words[-2:] in (["version", "tag"], ["tag", "version"]):
        cut = 2
    elif speaks and last in {"namespace", "organization", "org"}:
        role = "namespace"
    elif role == "name" and speaks:
        role = "image"
    elif not role and speaks:
        role = "" if _NO_IMAGE.intersection(words) else "image"
    if role == "image" and last not in {"image", "images", "name"}:
        cut = 0
    stem = tuple(word for word in words[: len(words) - cut] if word not in _FILLING)
    return Meaning(role, stem, speaks and not _NO_IMAGE.intersection(words), last)
