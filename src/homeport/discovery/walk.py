"""Walk over one document or live object and note every place that names an image or takes pull secrets.

Known places first (built-in kinds, rules), then shapes: a list of containers looks the same wherever it stands.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from homeport.discovery.documents import SCHEMA_KIND
from homeport.discovery.findings import Finding, ObjectKey, Unresolved
from homeport.discovery.kinds import is_service_account, pod_spec_path
from homeport.discovery.knowledge import ImageField, Implied, Knowledge, group_of
from homeport.discovery.naming import Named, Unreadable, read_split, read_whole
from homeport.discovery.tree import dig, is_list, is_map, is_null, line_of, text_of, write_path
from homeport.errors import InputError
from homeport.reference import DOCKER_HUB

BUILT_IN: Final = "built-in field"
SHAPE: Final = "shape"
MAX_CONTAINERS: Final = 1_000_000
CONTAINER_LISTS: Final = ("initContainers", "containers", "ephemeralContainers")

Path = tuple[str | int, ...]


class SecretPlace(msgspec.Struct, frozen=True, eq=False):
    """Where pull secrets belong: under `path` in an object's `root`; `names` are those that are there.

    `where` is the path from the document's root, for people.
    """

    object: ObjectKey
    root: Mapping[str, Any]
    path: Path
    where: str
    names: tuple[str, ...]


class ImpliedPlace(msgspec.Struct, frozen=True, eq=False):
    """An image that an object pulls without naming it; `root` is the object, `where` the path from the document's root."""

    object: ObjectKey
    root: Mapping[str, Any]
    where: str
    implied: Implied


class Walk(msgspec.Struct, frozen=True, eq=False):
    """What a walk noted; the lists grow while it goes. `scalars` are the findings' names or repositories, one for each."""

    findings: list[Finding]
    scalars: list[Any]
    unresolved: list[Unresolved]
    secrets: list[SecretPlace]
    implied: list[ImpliedPlace]


def walk(root: object, source: str, knowledge: Knowledge, default_registry: str = DOCKER_HUB) -> Walk:
    """Walk over a document's root or a live object; raises InputError where aliases multiply without end."""
    walker = _Walker(source, knowledge, default_registry)
    for value, path, key in _objects(root):
        walker.walk_object(value, path, key)
    return walker.noted


def _objects(root: object) -> Iterator[tuple[Mapping[str, Any], Path, ObjectKey]]:
    """Yield the objects of a document: itself, or the items of a List (and of Lists in it); schemas are left out."""
    pending: list[tuple[object, Path, str, str]] = [(root, (), "", "")]
    seen: set[int] = set()
    while pending:
        value, path, api_version, kind = pending.pop()
        if not is_map(value) or id(value) in seen:
            continue
        seen.add(id(value))
        metadata = value.get("metadata")
        key = ObjectKey(
            text_of(value.get("apiVersion")) or api_version,
            text_of(value.get("kind")) or kind,
            text_of(dig(metadata, ("namespace",))),
            text_of(dig(metadata, ("name",))),
        )
        items = value.get("items")
        if key.kind.endswith("List") and is_list(items):
            # A typed list (PodList) leaves its items' kind out.
            item_kind = key.kind.removesuffix("List")
            pending += [
                (item, (*path, "items", index), key.api_version if item_kind else "", item_kind)
                for index, item in reversed(list(enumerate(items)))
            ]
        elif key.kind != SCHEMA_KIND:
            yield value, path, key


class _Walker:
    """The walk over one document, object by object."""

    def __init__(self, source: str, knowledge: Knowledge, default_registry: str) -> None:
        self.noted = Walk([], [], [], [], [])
        self.source, self.knowledge, self.default_registry = source, knowledge, default_registry
        self.containers = 0
        self.visited: set[int] = set()

    def walk_object(self, root: Mapping[str, Any], path: Path, key: ObjectKey) -> None:
        self.root, self.path, self.key = root, path, key
        self.seen: set[int] = set()
        if (spec_path := pod_spec_path(key)) is not None:
            spec = dig(root, spec_path)
            if is_map(spec) and self._pod(spec, (*path, *spec_path), BUILT_IN):
                self._secrets((*spec_path, "imagePullSecrets"))
        elif is_service_account(key):
            self._secrets(("imagePullSecrets",))
        else:
            self._rules()
            self._shapes()

    def _rules(self) -> None:
        def applies(rule: Any) -> bool:
            return bool(rule.kind == self.key.kind and rule.group == group_of(self.key.api_version))

        for field in filter(applies, self.knowledge.images):
            self._split(field)
        for containers in filter(applies, self.knowledge.containers):
            value = dig(self.root, containers.path)
            if is_list(value):
                self._containers(value, (*self.path, *containers.path), f"rule {containers.rule}")
        for pod in filter(applies, self.knowledge.pods):
            value = dig(self.root, pod.path)
            if is_map(value):
                self._pod(value, (*self.path, *pod.path), f"rule {pod.rule}")
        for secrets in filter(applies, self.knowledge.secrets):
            self._secrets(secrets.path)
        for imply in self.knowledge.implied:
            for implied in imply(self.key, self.root):
                where = write_path((*self.path, *implied.field.path))
                self.noted.implied.append(ImpliedPlace(self.key, self.root, where, implied))

    def _shapes(self) -> None:
        """Look for pod specifications and lists of containers at any depth; what aliases share is looked at once."""
        pending: list[tuple[object, Path]] = [(self.root, ())]
        while pending:
            value, path = pending.pop()
            if id(value) in self.visited:
                continue
            self.visited.add(id(value))
            children: Iterable[tuple[str | int, object]] = ()
            if is_map(value):
                self._shape(value, path)
                children = value.items()
            elif is_list(value):
                children = enumerate(value)
            pending += reversed([(child, (*path, step)) for step, child in children if not isinstance(child, str)])

    def _shape(self, value: Mapping[str, Any], path: Path) -> None:
        here = (*self.path, *path)
        if any(_names_images(value.get(name)) for name in CONTAINER_LISTS) or _mounts_images(value.get("volumes")):
            found = self._pod(value, here, SHAPE)
            # Only a whole pod specification surely has the field; other holders of containers may not know it.
            if found and (path[-2:] == ("template", "spec") or "imagePullSecrets" in value):
                self._secrets((*path, "imagePullSecrets"))
        for name, child in value.items():
            if name not in CONTAINER_LISTS and self._are_containers(child):
                self._containers(child, (*here, name), SHAPE)

    def _are_containers(self, value: object) -> bool:
        """Tell whether a list holds nothing but named things with images."""
        if not is_list(value) or not value:
            return False
        for item in value:
            if not is_map(item) or not text_of(item.get("name")) or not isinstance(item.get("image"), str):
                return False
            read = read_whole(item["image"], self.default_registry)
            if isinstance(read, Unreadable) and not read.variable:
                return False
        return True

    def _pod(self, spec: Mapping[str, Any], path: Path, how: str) -> bool:
        """Note the images of a pod specification; tell whether it has any."""
        before = len(self.noted.findings) + len(self.noted.unresolved)
        for name in CONTAINER_LISTS:
            containers = spec.get(name)
            if is_list(containers):
                self._containers(containers, (*path, name), how)
        volumes = spec.get("volumes")
        for index, volume in enumerate(volumes if is_list(volumes) else ()):
            image = dig(volume, ("image",))
            if is_map(image) and id(image) not in self.seen and not is_null(image.get("reference")):
                self.seen.add(id(image))
                self._whole(image["reference"], (*path, "volumes", index, "image", "reference"), how)
        return len(self.noted.findings) + len(self.noted.unresolved) > before

    def _containers(self, containers: Sequence[Any], path: Path, how: str) -> None:
        self.containers += len(containers)
        if self.containers > MAX_CONTAINERS:
            raise InputError(f"aliases expand to more than {MAX_CONTAINERS:,} containers", file=self.source)
        for index, container in enumerate(containers):
            if is_map(container) and id(container) not in self.seen and not is_null(container.get("image")):
                self.seen.add(id(container))
                self._whole(container["image"], (*path, index, "image"), how)

    def _whole(self, value: object, path: Path, how: str) -> None:
        self._note(read_whole(value, self.default_registry), value, path, how)

    def _split(self, field: ImageField) -> None:
        value = dig(self.root, field.path)
        if is_map(value):
            read = read_split(value, field, self.default_registry)
            place = value.get(field.repository)
            self._note(read, place, (*self.path, *field.path), f"rule {field.rule}")

    def _note(self, read: Named | Unreadable | None, value: object, path: Path, how: str) -> None:
        where = (self.source, line_of(value), self.key, write_path(path))
        if isinstance(read, Named):
            self.noted.findings.append(Finding(*where, how, read.text, read.reference, read.open, read.parts))
            self.noted.scalars.append(value)
        elif isinstance(read, Unreadable):
            self.noted.unresolved.append(Unresolved(*where, read.text, read.reason))

    def _secrets(self, path: Path) -> None:
        value = dig(self.root, path)
        names = [text_of(dig(item, ("name",))) for item in value] if is_list(value) else []
        self.noted.secrets.append(
            SecretPlace(self.key, self.root, path, write_path((*self.path, *path)), tuple(filter(None, names)))
        )


def _names_images(value: object) -> bool:
    return (
        is_list(value)
        and bool(value)
        and all(map(is_map, value))
        and any(isinstance(i.get("image"), str) for i in value)
    )


def _mounts_images(value: object) -> bool:
    return is_list(value) and any(isinstance(dig(item, ("image", "reference")), str) for item in value)
