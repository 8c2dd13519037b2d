"""What kustomize's images transformer sees and does (kustomize api/filters/imagetag, api/internal/image).

It looks at containers and init containers at any depth and at image volumes of pods and pod templates, and matches names as they are
written. In patches it sees the same, for they are merged before it runs.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from homeport.discovery.documents import SCHEMA_KIND, parse_documents
from homeport.discovery.findings import Part
from homeport.discovery.inputs import Source
from homeport.discovery.kinds import is_kustomization
from homeport.discovery.places import Text
from homeport.discovery.tree import Scalar, is_list, is_map, text_of
from homeport.discovery.walk import objects_of
from homeport.errors import InputError

PATCHES: Final = ("patches", "patchesStrategicMerge", "patchesJson6902")
_LISTS: Final = frozenset({"containers", "initContainers"})
_VOLUMES: Final = (("spec", "volumes"), ("spec", "template", "spec", "volumes"))

Path = tuple[str | int, ...]


class Field(msgspec.Struct, frozen=True):
    """A further field that a kustomization's `configurations` have its transformer look at; lists on the way are passed through."""

    kind: str
    path: tuple[str, ...]


class ImageRule(msgspec.Struct, frozen=True):
    """One entry of an images transformer: the name as it is written in resources, and what replaces its parts.

    `file` and `index` say where it stands: in which kustomization's file, and which of its entries it is.
    """

    name: str
    new_name: str = ""
    new_tag: str = ""
    digest: str = ""
    file: str = ""
    index: int = 0
    fields: tuple[Field, ...] = ()

    def matches(self, seen: "Seen", text: str) -> bool:
        """Tell whether it looks at an image's place, and the text has its name, however it goes on."""
        return cut_name(text)[0] == self.name and (seen.field is None or seen.field in self.fields)

    def apply(self, text: str) -> str:
        """Return an image's text after this rule: a new tag or digest drops the old ones."""
        name, suffix = cut_name(text)
        if name != self.name:
            return text
        if self.new_tag or self.digest:
            suffix = (f":{self.new_tag}" if self.new_tag else "") + (f"@{self.digest}" if self.digest else "")
        return (self.new_name or name) + suffix


class Seen(msgspec.Struct, frozen=True):
    """One image that the transformer sees: the object and the container that it belongs to, and where it stands in the text.

    `field` is what makes it see the place, where only `configurations` do.
    """

    kind: str
    object: str
    container: str
    part: Part
    field: Field | None = None


class Override(msgspec.Struct, frozen=True):
    """An image that a strategic merge patch gives to a container of an object."""

    kind: str
    object: str
    container: str
    image: str

    def is_about(self, seen: Seen) -> bool:
        """Tell whether an image is the one that is replaced."""
        return (self.kind, self.object, self.container) == (seen.kind, seen.object, seen.container)


def cut_name(text: str) -> tuple[str, str]:
    """Cut an image's text before its tag or digest."""
    name = text.partition("@")[0]
    colon = name.find(":", name.rfind("/") + 1)
    return (text[:colon], text[colon:]) if colon >= 0 else (name, text[len(name) :])


def image_rules(root: object, file: str = "", fields: tuple[Field, ...] = ()) -> Iterator[ImageRule]:
    """Yield the entries of a kustomization's images transformer; `fields` are those of its `configurations`."""
    images = root.get("images") if is_map(root) else None
    for index, image in enumerate(images if is_list(images) else ()):
        if is_map(image) and (name := text_of(image.get("name"))):
            new_name, new_tag, digest = (text_of(image.get(key)) for key in ("newName", "newTag", "digest"))
            yield ImageRule(name, new_name, new_tag, digest, file, index, fields)


def fields_of(root: object) -> Iterator[Field]:
    """Yield the fields of a transformer configuration's `images`."""
    images = root.get("images") if is_map(root) else None
    for field in images if is_list(images) else ():
        if is_map(field) and (path := text_of(field.get("path"))):
            yield Field(text_of(field.get("kind")), tuple(path.replace("[]", "").strip("/").split("/")))


def seen_in(source: Source, steps: Sequence["ImageRule | Override"] = ()) -> list[Seen]:
    """Return the images of a text that the transformer sees, those of a kustomization's own patches included.

    `steps` tell which further fields it looks at. A text that cannot be read has none.
    """
    fields = {field for step in steps if isinstance(step, ImageRule) for field in step.fields}
    try:
        documents = parse_documents(source)
    except InputError:
        return []
    text = Text(source.text)
    found: list[Seen] = []
    for document in documents:
        if is_kustomization(document.root, source.name):
            found += _in_patches(document.root, text, source)
        elif _is_patch(document.root):
            found += _in_operations(document.root, text)
        else:
            for value, _, _ in objects_of(document.root):
                found += _in_object(value, text, fields)
    return found


def overrides_of(source: Source) -> Iterator[Override]:
    """Yield the images that a text's strategic merge patches give to containers."""
    for seen in seen_in(source):
        if seen.object and seen.container:
            yield Override(seen.kind, seen.object, seen.container, seen.part.value)


def transform(seen: Seen, steps: Sequence[ImageRule | Override]) -> tuple[str, list[ImageRule]]:
    """Return an image's text after all steps, and the rules that had a part in it."""
    text, matched = seen.part.value, []
    for step in steps:
        if isinstance(step, ImageRule):
            if step.matches(seen, text):
                matched.append(step)
                text = step.apply(text)
        elif step.is_about(seen):
            text, matched = step.image, []
    return text, matched


def _in_object(value: Any, text: Text, fields: Iterable[Field] = ()) -> Iterator[Seen]:
    kind, name = text_of(value.get("kind")), text_of((value.get("metadata") or {}).get("name"))
    if kind == SCHEMA_KIND:
        return
    for path, holder, key in _images(value, ()):
        container = text_of(holder.get("name")) if path[-1:] != ("reference",) else ""
        yield Seen(kind, name, container, text.part("reference", holder[key]))
    for field in fields:
        if field.kind in {"", kind}:
            yield from (Seen(kind, name, "", text.part("reference", it), field) for it in _below(value, field.path))


def _below(value: Any, path: Sequence[str]) -> Iterator[Scalar]:
    """Yield the texts under a path, through lists on the way."""
    if is_list(value):
        for item in value:
            yield from _below(item, path)
    elif path:
        if is_map(value):
            yield from _below(value.get(path[0]), path[1:])
    elif isinstance(value, Scalar) and text_of(value):
        yield value


def _images(root: Any, base: Path) -> Iterator[tuple[Path, Any, str]]:
    """Yield for each image its path and the mapping and key that hold it."""
    pending: list[tuple[Any, Path]] = [(root, base)]
    visited: set[int] = set()
    while pending:
        node, path = pending.pop()
        if id(node) in visited or not (is_map(node) or is_list(node)):
            continue
        visited.add(id(node))
        if is_list(node):
            if path and path[-1] in _LISTS:
                yield from (((*path, i, "image"), it, "image") for i, it in enumerate(node) if _names(it, "image"))
            elif path in _VOLUMES:
                for index, volume in enumerate(node):
                    image = volume.get("image") if is_map(volume) else None
                    if _names(image, "reference"):
                        yield (*path, index, "image", "reference"), image, "reference"
            pending += reversed([(child, (*path, index)) for index, child in enumerate(node)])
        elif is_map(node):
            pending += reversed([(child, (*path, key)) for key, child in node.items()])


def _names(value: Any, key: str) -> bool:
    return is_map(value) and isinstance(value.get(key), Scalar) and bool(text_of(value[key]))


def _in_patches(root: Any, text: Text, source: Source) -> Iterator[Seen]:
    """Look into the patches that a kustomization holds itself, as texts or as mappings."""
    for key in PATCHES:
        patches = root.get(key)
        for entry in patches if is_list(patches) else ():
            patch = entry.get("patch", entry if key == "patchesStrategicMerge" else None) if is_map(entry) else entry
            if isinstance(patch, Scalar) and ("\n" in patch or patch[:1] in "{["):
                yield from _in_text(patch, text, source)
            elif is_map(patch):
                yield from _in_object(patch, text)


def _in_text(patch: Scalar, text: Text, source: Source) -> Iterator[Seen]:
    inner = text.within(patch)
    try:
        documents = parse_documents(Source(source.name, inner.text))
    except InputError:
        return
    for document in documents:
        if _is_patch(document.root):
            yield from _in_operations(document.root, inner)
        elif is_map(document.root):
            yield from _in_object(document.root, inner)


def _is_patch(root: object) -> bool:
    """Tell whether a document is a JSON patch (RFC 6902)."""
    return is_list(root) and bool(root) and all(is_map(it) and "op" in it and "path" in it for it in root)


def _in_operations(operations: Any, text: Text) -> Iterator[Seen]:
    for operation in operations:
        steps = pointer_steps(text_of(operation.get("path")))
        value = operation.get("value")
        if isinstance(value, Scalar):
            inside = steps[-1:] == ("image",) and len(steps) > 2 and steps[-3] in _LISTS
            if inside or (steps[-2:] == ("image", "reference") and "volumes" in steps):
                yield Seen("", "", "", text.part("reference", value))
            continue
        if len(steps) > 1 and steps[-2] in _LISTS and _names(value, "image"):
            yield Seen("", "", "", text.part("reference", value["image"]))
        else:
            for _, holder, key in _images(value, steps):
                yield Seen("", "", "", text.part("reference", holder[key]))


def pointer_steps(pointer: str) -> tuple[str, ...]:
    """Split a JSON pointer (RFC 6901)."""
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:])
