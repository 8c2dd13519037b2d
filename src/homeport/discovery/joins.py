"""Join split fields to image names: repository beside tag, a registry that is inherited, a version given once for all.

The shapes are those of Helm values and of operators' custom resources; each is decided by the fields that stand together and
by what the mappings around them hand down.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from homeport.discovery.findings import Role
from homeport.discovery.looks import (
    BARE,
    NOTHING,
    PATH,
    Sure,
    host_of,
    is_hub_organisation,
    is_registry,
    looks,
    trimmed,
)
from homeport.discovery.naming import Named
from homeport.discovery.places import Text
from homeport.discovery.tree import is_map, text_of
from homeport.discovery.words import KeyRole, Meaning, meaning_of
from homeport.errors import InvalidReferenceError
from homeport.oci.digest import is_digest
from homeport.reference import DOCKER_HUB, Reference, is_tag

_COMMON: Final = ("global", "defaults", "default")
_ADDRESSES: Final = ("address", "host", "hostname", "url", "server", "domain", "registry")
_HANDED_DOWN: Final = frozenset({"registry", "namespace", "tag", "version"})
_PULLS: Final = frozenset({"pullPolicy", "imagePullPolicy", "pullSecrets", "imagePullSecrets", "suffix"})


_NUMBERED: Final = re.compile(r"v?\d+\.\d")

_SUFFIXES: Final[tuple[KeyRole, ...]] = ("digest", "tag", "version")

DIRECT: Final = 3
"""`Scope.image` of a mapping that stands directly under a key that calls it an image."""


class Piece(msgspec.Struct, frozen=True, eq=False):
    """Characters of a scalar in a text: a value, or a piece of one."""

    scalar: Any
    text: Text
    start: int = 0
    end: int | None = None

    @property
    def value(self) -> str:
        """The characters themselves."""
        if isinstance(self.scalar, str) and (self.start or self.end is not None):
            return self.scalar[self.start : self.end]
        return text_of(self.scalar)

    def cut(self, start: int, end: int | None = None) -> "Piece":
        """Return a piece of this piece."""
        stop = self.end if end is None else self.start + end
        return Piece(self.scalar, self.text, self.start + start, stop)


class Entry(msgspec.Struct, frozen=True, eq=False):
    """A name with its value: a mapping's entry, an environment variable, a flag. `path` leads to the value."""

    key: str
    piece: Piece
    path: tuple[str | int, ...]

    @property
    def meaning(self) -> Meaning:
        """What its name says."""
        return meaning_of(self.key)

    @property
    def value(self) -> str:
        """The value's text."""
        return self.piece.value


class Scope(msgspec.Struct, frozen=True, eq=False):
    """What the mappings around a place hand down.

    `own` is the person's registry, and `image` counts the levels below which a key has called all this images.
    """

    text: Text
    default_registry: str = DOCKER_HUB
    own: str = ""
    prefix: str = ""
    level: int = 0
    image: int = 0
    example: bool = False
    registry: Piece | None = None
    namespace: Piece | None = None
    base: Piece | None = None
    tag: Piece | None = None
    version: Piece | None = None

    def below(self, value: Mapping[str, Any]) -> "Scope":
        """Return the scope of what stands in a mapping: its own fields, and an ``image`` beside that names none itself."""
        given: dict[str, Piece] = {}
        image = value.get("image")
        if is_map(image) and not any(text_of(image.get(key)) for key in ("repository", "name", "image")):
            self._take_all(image, given)
        self._take_all(value, given)
        return msgspec.structs.replace(self, **given) if given else self

    def beside(self, value: Mapping[str, Any]) -> "Scope":
        """Return the scope of a mapping's own fields: ``global`` and ``defaults`` among them speak for all."""
        given: dict[str, Piece] = {}
        for common in filter(is_map, map(value.get, _COMMON)):
            image = common.get("image")
            if is_map(image):
                self._take_all(image, given)
            self._take_all(common, given)
        return msgspec.structs.replace(self, **given) if given else self

    def _take_all(self, value: Mapping[str, Any], given: dict[str, Piece]) -> None:
        for key, written in value.items():
            meaning = meaning_of(key)
            scalar = written
            if is_map(written) and meaning.role == "registry":
                scalar = next((written[it] for it in _ADDRESSES if text_of(written.get(it))), None)
            text = text_of(scalar)
            if not text:
                continue
            if key == "base" and host_of(text) and is_registry(text):
                given["base"] = Piece(scalar, self.text)
            elif meaning.stem or meaning.role not in _HANDED_DOWN:
                continue
            elif _fits(meaning, text):
                given[meaning.role] = Piece(scalar, self.text)


class Join(msgspec.Struct, frozen=True, eq=False):
    """A joined name, the entries that it took, and how sure it is."""

    named: Named
    first: Piece
    taken: tuple[Entry, ...]
    sure: Sure = "certain"


def groups_of(entries: list[Entry], scope: Scope, *, apart: bool = False) -> list[dict[KeyRole, Entry]]:
    """Sort entries that speak of one thing together: ``driverRepository`` with ``driverVersion``.

    `apart` says that the entries need not belong together, as in a container's environment.
    """
    groups: dict[tuple[str, ...], dict[KeyRole, Entry]] = {}
    for entry in entries:
        meaning = entry.meaning
        group = groups.setdefault(meaning.stem, {})
        if meaning.role and (meaning.role not in group or not group[meaning.role].value):
            group[meaning.role] = entry
    if (base := groups.get(("base",))) is not None:
        # A base image takes the version that stands beside it, an image with that version may stand there, too.
        for role in ("tag", "version", "digest"):
            if role in groups.get((), {}):
                base.setdefault(role, groups[()][role])
    if not apart:
        _share(groups, scope)
    return [group for group in groups.values() if "repository" in group or "image" in group or "name" in group]


def _share(groups: dict[tuple[str, ...], dict[KeyRole, Entry]], scope: Scope) -> None:
    """Give to images what their mapping says for all: ``image_registry`` beside several names, one tag in an image's own mapping."""
    plain = groups.get((), {})
    alone = "repository" not in plain and "image" not in plain
    for stem, group in groups.items():
        if not stem or not ("repository" in group or "image" in group):
            continue
        own = [group[role] for role in _SUFFIXES if role in group]
        for role in ("registry", "tag", "version"):
            entry = plain.get(role)
            if entry is None or not entry.value:
                continue
            for_all = alone and entry.meaning.speaks_of_image
            for_more = scope.image >= DIRECT and not own and "repository" in group and role != "registry"
            lacking = role not in group if role == "registry" else not any(it.value for it in own)
            if lacking and (for_all or for_more):
                group[role] = entry


def join(group: dict[KeyRole, Entry], scope: Scope, siblings: frozenset[str] | set[str] = frozenset()) -> Join | None:
    """Join the entries of a group to a name; None where they are none, or where one names the image alone."""
    if "repository" in group and (joined := _repository(group, scope, siblings)) is not None:
        return joined
    image = group.get("image")
    if image is None and "name" in group:
        name = group["name"]
        if "tag" in group:
            # An empty repository says that something stands before the name.
            complete = "/" in name.value or "repository" not in group
            image = name if scope.image and complete else None
        elif "version" in group or (scope.registry and scope.namespace):
            image = name if scope.image >= DIRECT else None
    if image is None:
        return None
    return _image(image, group, scope)


def _repository(group: dict[KeyRole, Entry], scope: Scope, siblings: frozenset[str] | set[str]) -> Join | None:
    entry, image, own = group["repository"], group.get("image"), group.get("registry")
    value = entry.value.strip().rstrip("/")
    reference = _parse(value)
    if looks(value, named=True) == NOTHING or reference is None or reference.tag or reference.digest:
        return None
    taken = [entry]
    last: Entry | None = None
    if (
        image is not None
        and image.value
        and looks(image.value, named=True) in (BARE, PATH)
        and not host_of(image.value)
    ):
        last = image
    elif image is not None and image.value:
        return None
    registry = _own_registry(own, value, scope)
    inherited = registry or (None if host_of(value) else scope.registry or scope.base)
    name = group.get("name")
    if last is None and name is not None and _is_last(name, value, inherited=inherited is not None, scope=scope):
        last = name
    suffix, version_taken = _suffix(value, group, scope, image=last is not None)
    speaks = bool(scope.image) or entry.meaning.speaks_of_image or bool(_PULLS & siblings) or own is not None
    known = bool(host_of(value)) or registry is not None
    if suffix is None and not ("tag" in group or "digest" in group or speaks) and not (known and last is not None):
        return None
    if suffix is None and not (known or speaks or "/" in value):
        return None
    if version_taken and last is None and not speaks and not known:
        return None
    taken += [it for it in (last, own if registry else None, *_suffix_entries(group)) if it is not None]
    pieces: list[tuple[Role, Piece]] = [("registry", inherited)] if inherited else []
    pieces.append(("repository", _trim(entry.piece)))
    if last is not None:
        pieces.append(("name", _trim(last.piece)))
    return assemble(pieces, suffix, taken, scope, "certain" if suffix is not None else "likely")


def _is_last(entry: Entry, repository: str, *, inherited: bool, scope: Scope) -> bool:
    """Tell whether a field called name is a repository's last component: a repository of one word lacks it.

    In a list a name tells its items apart; in a mapping their keys do that, and a name among images is more of the image's.
    """
    name = entry.value
    if looks(name, named=True) not in (BARE, PATH) or repository.endswith(name):
        return False
    keyed = bool(scope.image) and len(entry.path) > 1 and isinstance(entry.path[-2], str)
    return (inherited and "/" not in repository) or keyed


def _image(image: Entry, group: dict[KeyRole, Entry], scope: Scope) -> Join | None:
    value = image.value.strip()
    kind = looks(value, named=True)
    own = group.get("registry")
    registry = _own_registry(own, value, scope)
    if kind == NOTHING or (host_of(value) and _parse(value) is None):
        return None
    reference = _parse(value)
    if reference is None:
        return None
    tagged = bool(reference.tag or reference.digest)
    prefix = None if host_of(value) else registry or scope.registry or (scope.base if "/" not in value else None)
    piece = _trim(image.piece)
    suffix, _ = _suffix(value, group, scope, image=True)
    if suffix is None and not tagged:
        suffix = _inherited(image, scope, prefix)
    taken = [image, *([own] if own and registry else [])]
    if tagged:
        if prefix is None or reference.digest:
            return None
        colon = piece.value.rfind(":")
        pieces: list[tuple[Role, Piece]] = [("registry", prefix), ("repository", piece.cut(0, colon))]
        return assemble(pieces, ("tag", piece.cut(colon + 1)), taken, scope, "likely")
    left_out = "tag" in group or ("version" in group and not group["version"].value)
    namespace = scope.namespace if prefix is not None and "/" not in value else None
    if suffix is None and not (left_out and (prefix or kind >= PATH)) and not registry and not namespace:
        return None
    taken += _suffix_entries(group)
    pieces = [("registry", prefix)] if prefix else []
    pieces += [("repository", namespace), ("name", piece)] if namespace else [("repository", piece)]
    return assemble(pieces, suffix, taken, scope, "certain" if "tag" in group or "digest" in group else "likely")


def _inherited(image: Entry, scope: Scope, prefix: Piece | None) -> tuple[Role, Piece] | None:
    if scope.tag is not None and prefix is not None:
        return suffix_of(scope.tag)
    if scope.version is not None and "base" in image.key.lower() and "/" in image.value:
        return suffix_of(scope.version)
    return None


def _own_registry(entry: Entry | None, name: str, scope: Scope) -> Piece | None:
    if entry is None or not entry.value:
        return None
    # Beside a name of one word a word is an organisation of Docker Hub: {registry: prom, name: prometheus}.
    word = scope.image >= DIRECT and "/" not in name and is_hub_organisation(entry.value)
    return entry.piece if word or _fits(entry.meaning, entry.value) else None


def _suffix(
    main: str, group: dict[KeyRole, Entry], scope: Scope, *, image: bool
) -> tuple[tuple[Role, Piece] | None, bool]:
    """Return the tag or the digest that belongs to a group, and whether it is a version."""
    for role in ("digest", "tag", "version"):
        entry = group.get(role)
        if entry is None or not is_version(entry.value) or (role == "digest" and not is_digest(_digest(entry.value))):
            continue
        if role == "version":
            if entry.meaning.last == "release" and not _NUMBERED.match(entry.value):
                continue
            if "/" in main or (image and ("repository" in group or _is_numbered(group, entry))):
                return suffix_of(entry.piece), True
            continue
        return ("digest", entry.piece) if role == "digest" else suffix_of(entry.piece), False
    if scope.tag is not None and "repository" in group and not (scope.level and scope.text is not scope.tag.text):
        return suffix_of(scope.tag), False
    return None, False


def _is_numbered(group: dict[KeyRole, Entry], version: Entry) -> bool:
    """Tell whether a version is a number directly beside an image of one word: {image: redis, version: 5.0.3}."""
    image = group.get("image")
    plain = image is not None and image.key == "image" and version.key == "version"
    return plain and bool(_NUMBERED.match(version.value))


def suffix_of(piece: Piece) -> tuple[Role, Piece]:
    """Return what stands behind a name, with its role: a version may be a digest."""
    return ("digest", piece) if piece.value.startswith("sha256:") else ("tag", piece)


def _suffix_entries(group: dict[KeyRole, Entry]) -> list[Entry]:
    return [group[role] for role in ("tag", "digest", "version") if role in group]


def assemble(
    pieces: list[tuple[Role, Piece]],
    suffix: tuple[Role, Piece] | None,
    taken: list[Entry],
    scope: Scope,
    sure: Sure,
    *,
    meant: str = "",
) -> Join | None:
    """Put a name together; without a suffix its tag is open. None where the parts make no name.

    `meant` is the tag that is meant, where it is not the suffix as it is written.
    """
    name = "/".join(piece.value.rstrip("/") for _, piece in pieces)
    text = name
    all_pieces = list(pieces)
    tag = next((it for it in taken if it.meaning.role == "tag" and is_tag(it.value)), None)
    if suffix is not None:
        role, piece = suffix
        value = _digest(piece.value) if role == "digest" else meant or piece.value
        text = f"{name}@{value}" if role == "digest" else f"{name}:{value}"
        if role == "digest" and tag is not None:
            all_pieces.append(("tag", tag.piece))
        all_pieces.append((role, piece))
    reference = _parse(text, scope.default_registry)
    if reference is None:
        return None
    if suffix is not None and suffix[0] == "digest" and tag is not None and reference.tag is None:
        reference = msgspec.structs.replace(reference, tag=tag.value)
    parts = tuple(piece.text.part(role, piece.scalar, piece.start, piece.end) for role, piece in all_pieces)
    named = Named(text, reference, parts, open=suffix is None)
    return Join(named, next(it for role, it in pieces if role == "repository"), tuple(taken), sure)


def is_version(text: str) -> bool:
    """Tell whether a text may stand behind a name: a tag, a digest, or a tag with its digest."""
    tag, at, digest = text.partition("@")
    return is_tag(tag) and (not at or is_digest(digest)) if not text.startswith("sha256:") else is_digest(text)


def _fits(meaning: Meaning, text: str) -> bool:
    """Tell whether a text may be what its key calls it; only a hub may be an organisation of Docker Hub."""
    if meaning.role == "registry":
        return is_registry(text) or ((meaning.last == "hub" or "/" in text) and is_hub_organisation(text.rstrip("/")))
    if meaning.role == "namespace":
        return is_hub_organisation(text.strip("/"))
    return is_version(text)


def _digest(text: str) -> str:
    return text if ":" in text else f"sha256:{text}"


def _trim(piece: Piece) -> Piece:
    start, end = trimmed(piece.value)
    return piece if (start, end) == (0, len(piece.value)) else piece.cut(start, end)


def _parse(text: str, default_registry: str = DOCKER_HUB) -> Reference | None:
    try:
        return Reference.parse(text, default_registry)
    except InvalidReferenceError:
        return None
