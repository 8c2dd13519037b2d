"""Walk over one document or live object and note every place that names an image or takes pull secrets.

Known places first (built-in kinds, rules), then shapes: a list of containers looks the same wherever it stands.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from homeport.discovery.documents import SCHEMA_KIND, dig_inside
from homeport.discovery.findings import Finding, ObjectKey, Unresolved
from homeport.discovery.general import EMBEDDED, EXAMPLE, SHAPE, General
from homeport.discovery.joins import Scope
from homeport.discovery.kinds import is_kustomization, is_service_account, pod_spec_path
from homeport.discovery.knowledge import ImageField, Implied, Knowledge, SecretForm, group_of
from homeport.discovery.looks import Sure
from homeport.discovery.naming import Named, Unreadable, read_split, read_whole
from homeport.discovery.places import Text
from homeport.discovery.ruled import Ruled
from homeport.discovery.rules import shipped_rules
from homeport.discovery.tree import dig, is_list, is_map, is_null, line_of, text_of, write_path
from homeport.errors import InputError
from homeport.reference import DOCKER_HUB

BUILT_IN: Final = "built-in field"
MAX_CONTAINERS: Final = 1_000_000
CONTAINER_LISTS: Final = ("initContainers", "containers", "ephemeralContainers")

Path = tuple[str | int, ...]


class SecretPlace(msgspec.Struct, frozen=True, eq=False):
    """Where pull secrets belong: under `path` in an object's `root`; `names` are those that are there.

    `where` is the path from the document's root, for people; `inside` is that of `SecretField`.
    """

    object: ObjectKey
    root: Mapping[str, Any]
    path: Path
    where: str
    names: tuple[str, ...]
    form: SecretForm = "objects"
    inside: int = 0


class ImpliedPlace(msgspec.Struct, frozen=True, eq=False):
    """An image that an object pulls without naming it; `root` is the object, `where` the path from the document's root."""

    object: ObjectKey
    root: Mapping[str, Any]
    where: str
    implied: Implied


class Walk(msgspec.Struct, frozen=True, eq=False):
    """What a walk noted; the lists grow while it goes. `scalars` are the findings' names or repositories, one for each.

    `uncertain` may be images and are no findings: examples, and texts that only look a little like a name.
    """

    findings: list[Finding]
    scalars: list[Any]
    uncertain: list[Finding]
    unresolved: list[Unresolved]
    secrets: list[SecretPlace]
    implied: list[ImpliedPlace]


def walk(
    root: object, source: str, knowledge: Knowledge, default_registry: str = DOCKER_HUB, text: str | None = None
) -> Walk:
    """Walk over a document's root or a live object; raises InputError where aliases multiply without end.

    `text` is the source's text that the document was read from: without it what is embedded in strings is found, too, but has no
    place to be edited in.
    """
    walker = _Walker(source, knowledge, default_registry, Text(text or "", placed=text is not None))
    for value, path, key in objects_of(root):
        walker.walk_object(value, path, key)
    return walker.noted


def objects_of(root: object) -> Iterator[tuple[Mapping[str, Any], Path, ObjectKey]]:
    """Yield the objects of a document: itself, or the items of a List (and of Lists in it); schemas are left out."""
    pending: list[tuple[object, Path, str, str]] = [(root, (), "", "")]
    if is_list(root):
        # A list of objects, or of patches.
        pending = [(item, (index,), "", "") for index, item in reversed(list(enumerate(root)))]
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

    def __init__(self, source: str, knowledge: Knowledge, default_registry: str, text: Text) -> None:
        self.noted = Walk([], [], [], [], [], [])
        self.text = text
        self.scope = Scope(text, default_registry, knowledge.own)
        self.general = General(source, self._general, self._shape, self._rules_as_data)
        self.rules = knowledge.rules.before(shipped_rules())
        self.source, self.knowledge, self.default_registry = source, knowledge, default_registry
        self.containers = 0
        self.visited: set[int] = set()

    def walk_object(self, root: Mapping[str, Any], path: Path, key: ObjectKey) -> None:
        self.root, self.path, self.key = root, path, key
        self.seen: set[int] = set()
        self.places: set[Path] = set()
        if (spec_path := pod_spec_path(key)) is not None:
            spec = dig(root, spec_path)
            if is_map(spec) and self._pod(spec, (*path, *spec_path), BUILT_IN):
                self._secrets((*spec_path, "imagePullSecrets"))
        elif is_service_account(key):
            self._secrets(("imagePullSecrets",))
        elif is_kustomization(root, self.source):
            # What its transformer matches is no image, and what it makes of that is known only from its resources.
            self.general.take(root, "images")
        else:
            self._rules()
            self._rules_as_data(root, path, self.scope)
        self.general.look(root, path, self.scope)

    def _rules_as_data(self, root: Mapping[str, Any], path: Path, scope: Scope) -> None:
        key = ObjectKey(text_of(root.get("apiVersion")), text_of(root.get("kind"))) if scope.level else self.key
        for rule in self.rules.about(key):
            Ruled(rule, root, path, scope, self._general, self.general).apply()

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
            if secrets.when is None or secrets.when(self.root):
                for path in (secrets.path,) if secrets.inside else _places(self.root, secrets.path):
                    self._secrets(path, secrets.form, secrets.inside)
        for imply in self.knowledge.implied:
            for implied in imply(self.key, self.root):
                where = self._written(implied.field.path, implied.inside)
                self.noted.implied.append(ImpliedPlace(self.key, self.root, where, implied))

    def _shape(self, value: Mapping[str, Any], path: Path, scope: Scope) -> None:
        """Look for a pod specification or lists of containers in a mapping, at any depth."""
        if any(_names_images(value.get(name)) for name in CONTAINER_LISTS) or _mounts_images(value.get("volumes")):
            found = self._pod(value, path, SHAPE, scope)
            # Only a whole pod specification surely has the field; other holders of containers may not know it.
            if found and not scope.level and (path[-2:] == ("template", "spec") or "imagePullSecrets" in value):
                self._secrets((*path[len(self.path) :], "imagePullSecrets"))
        for name, child in value.items():
            if name not in CONTAINER_LISTS and self._are_containers(child):
                self._containers(child, (*path, name), SHAPE, scope)

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

    def _pod(self, spec: Mapping[str, Any], path: Path, how: str, scope: Scope | None = None) -> bool:
        """Note the images of a pod specification; tell whether it has any."""
        before = len(self.noted.findings) + len(self.noted.unresolved)
        for name in CONTAINER_LISTS:
            containers = spec.get(name)
            if is_list(containers):
                self._containers(containers, (*path, name), how, scope)
        volumes = spec.get("volumes")
        for index, volume in enumerate(volumes if is_list(volumes) else ()):
            image = dig(volume, ("image",))
            if is_map(image) and id(image) not in self.seen and not is_null(image.get("reference")):
                self.seen.add(id(image))
                self.general.take(image, "reference")
                self._whole(image["reference"], (*path, "volumes", index, "image", "reference"), how, scope)
        return len(self.noted.findings) + len(self.noted.unresolved) > before

    def _containers(self, containers: Sequence[Any], path: Path, how: str, scope: Scope | None = None) -> None:
        self.containers += len(containers)
        if self.containers > MAX_CONTAINERS:
            raise InputError(f"aliases expand to more than {MAX_CONTAINERS:,} containers", file=self.source)
        for index, container in enumerate(containers):
            image = container.get("image") if is_map(container) else None
            if image is None or is_null(image) or (is_map(image) and how == SHAPE) or id(container) in self.seen:
                continue
            self.seen.add(id(container))
            self.general.take(container, "image")
            self._whole(image, (*path, index, "image"), how, scope)

    def _whole(self, value: object, path: Path, how: str, scope: Scope | None = None) -> None:
        scope = scope or self.scope
        read = read_whole(value, self.default_registry)
        if isinstance(read, Named):
            part = scope.text.part("reference", value)
            self._general(
                msgspec.structs.replace(read, parts=(part,)),
                value,
                path,
                _embedded(how, scope),
                sure="certain",
                scope=scope,
            )
        elif not scope.level and not scope.example:
            self._note(read, value, path, how)

    def _general(self, named: Named, value: object, path: Path, how: str, *, sure: Sure, scope: Scope) -> None:
        """Note what the general look found."""
        if scope.example and not self.knowledge.examples:
            sure = "uncertain"
        main = next((it for it in named.parts if it.role in ("reference", "repository")), None)
        inside = main is not None and main.encodings and main.start >= 0
        line = self.text.line_at(main.start) if main is not None and inside else scope.text.line(value)
        where = (self.source, line, self.key, scope.prefix + write_path(path))
        finding = Finding(*where, how, named.text, named.reference, named.open, named.parts, sure)
        if sure == "uncertain":
            self.noted.uncertain.append(finding)
        else:
            self.noted.findings.append(finding)
            self.noted.scalars.append(value)

    def _split(self, field: ImageField) -> None:
        value = dig(self.root, field.path)
        if is_map(value):
            for name in (field.repository, field.tag, field.digest):
                self.general.take(value, name)
            read, how = read_split(value, field, self.default_registry), f"rule {field.rule}"
            if isinstance(read, Named) and read.open and (tag := self.knowledge.default_tag(self.root, field)):
                tagged = msgspec.structs.replace(read.reference, tag=tag)
                read = msgspec.structs.replace(read, text=f"{read.text}:{tag}", reference=tagged, open=False)
                how = f"{how}, its tag is the operator's default"
            self._note(read, value.get(field.repository), (*self.path, *field.path), how)

    def _note(self, read: Named | Unreadable | None, value: object, path: Path, how: str) -> None:
        where = (self.source, line_of(value), self.key, write_path(path))
        if isinstance(read, Named):
            self.noted.findings.append(Finding(*where, how, read.text, read.reference, read.open, read.parts))
            self.noted.scalars.append(value)
        elif isinstance(read, Unreadable):
            self.noted.unresolved.append(Unresolved(*where, read.text, read.reason))

    def _written(self, path: Path, inside: int) -> str:
        """Write a path of an object as findings have it; `inside` is that of `SecretField`."""
        outer, inner = path[:inside], path[inside:]
        if not inside:
            return write_path((*self.path, *path))
        return f"{write_path((*self.path, *outer))} -> {write_path(inner)}"

    def _secrets(self, path: Path, form: SecretForm = "objects", inside: int = 0) -> None:
        """Note a place for pull secrets, each once."""
        if path in self.places:
            return
        self.places.add(path)
        value = dig_inside(self.root, path, inside)
        entries = value if is_list(value) else [value]
        names = [
            text_of(dig(it, ("name",)) if is_map(it) else it if form in {"names", "name"} else "") for it in entries
        ]
        where = self._written(path, inside)
        self.noted.secrets.append(
            SecretPlace(self.key, self.root, path, where, tuple(filter(None, names)), form, inside)
        )


def _places(root: object, path: tuple[str, ...]) -> Iterator[Path]:
    """Yield the places of a field: one directly in an object or its spec, any other where its holder is there."""
    if len(path) <= 2:
        yield path
        return
    pending: list[tuple[object, Path, tuple[str, ...]]] = [(root, (), path)]
    while pending:
        value, here, (step, *rest) = pending.pop()
        if not rest:
            if is_map(value):
                yield (*here, step)
            continue
        if step == "*":
            children = value.items() if is_map(value) else enumerate(value) if is_list(value) else ()
            pending += [(child, (*here, key), tuple(rest)) for key, child in children]
        elif is_map(value):
            pending.append((value.get(step), (*here, step), tuple(rest)))


def _names_images(value: object) -> bool:
    return (
        is_list(value)
        and bool(value)
        and all(map(is_map, value))
        and any(isinstance(i.get("image"), str) for i in value)
    )


def _mounts_images(value: object) -> bool:
    return is_list(value) and any(isinstance(dig(item, ("image", "reference")), str) for item in value)


def _embedded(how: str, scope: Scope) -> str:
    if scope.example:
        return EXAMPLE
    return EMBEDDED if scope.level else how
