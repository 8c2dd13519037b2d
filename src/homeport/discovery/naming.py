"""Read one place's text as an image name, or say why it is none."""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from homeport.discovery.findings import Part, Role
from homeport.discovery.knowledge import ImageField
from homeport.discovery.tree import Scalar, text_of
from homeport.errors import InvalidReferenceError
from homeport.oci.digest import is_digest
from homeport.reference import Reference, is_tag

_PLACEHOLDER: Final = re.compile(r"[$%<>{}]")


class Named(msgspec.Struct, frozen=True):
    """An image name as it was read: the text with split fields joined, and the scalars it is made of."""

    text: str
    reference: Reference
    parts: tuple[Part, ...]
    open: bool = False


class Unreadable(msgspec.Struct, frozen=True):
    """A text that should be an image name, and why it is none; `variable` where something is filled in later."""

    text: str
    reason: str
    variable: bool = False


def read_whole(value: object, default_registry: str) -> Named | Unreadable:
    """Read a field that holds a whole name."""
    text = text_of(value)
    if not text:
        return Unreadable("", "no text stands here")
    reference = _parse(text, default_registry)
    if isinstance(reference, Unreadable):
        return reference
    return Named(text, reference, (_part("reference", value, text),))


def read_split(value: Mapping[str, Any], field: ImageField, default_registry: str) -> Named | Unreadable | None:
    """Read a name from a repository, a tag and a digest; None where no repository is given, open where only that is.

    The digest decides where there are both, so the text names it; the reference keeps both.
    """
    repository = text_of(value.get(field.repository))
    tag, digest = text_of(value.get(field.tag)), text_of(value.get(field.digest))
    if not repository:
        return None
    text = f"{repository}@{digest}" if digest else f"{repository}:{tag}" if tag else repository
    reference = _parse(repository, default_registry)
    if isinstance(reference, Unreadable):
        return msgspec.structs.replace(reference, text=text)
    if reference.tag or reference.digest:
        return Unreadable(text, f"{field.repository} holds a tag or digest, which belongs into a field of its own")
    for key, part, fits in ((field.tag, tag, is_tag(tag)), (field.digest, digest, is_digest(digest))):
        if part and not fits:
            return _placeholder(text) or Unreadable(text, f"{key} {part[:80]!r} is none")
    pieces: tuple[tuple[Role, str, str], ...] = (
        ("repository", field.repository, repository),
        ("tag", field.tag, tag),
        ("digest", field.digest, digest),
    )
    parts = tuple(_part(role, value[key], piece) for role, key, piece in pieces if piece)
    full = msgspec.structs.replace(reference, tag=tag or None, digest=digest or None)
    return Named(text, full, parts, open=not tag and not digest)


def _parse(text: str, default_registry: str) -> Reference | Unreadable:
    if placeholder := _placeholder(text):
        return placeholder
    try:
        return Reference.parse(text, default_registry)
    except InvalidReferenceError as error:
        return Unreadable(text, error.message)


def _placeholder(text: str) -> Unreadable | None:
    if _PLACEHOLDER.search(text):
        return Unreadable(text, "a variable or placeholder stands here", variable=True)
    return None


def _part(role: Role, value: object, text: str) -> Part:
    if isinstance(value, Scalar):
        return Part(role, text, value.start, value.end)
    return Part(role, text)
