"""Find images anywhere by what keys are called and values look like; no kind needs to be known.

Every mapping, list of named values, list of arguments and string is looked at once. Split fields are joined first, then single
values judged by two witnesses: how far the key speaks of an image, and how far the value looks like one.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from homeport.discovery.documents import parse_documents
from homeport.discovery.inputs import MAX_SIZE, Source
from homeport.discovery.joins import DIRECT, Entry, Join, Piece, Scope, groups_of, is_version, join
from homeport.discovery.looks import BARE, FULL, NOTHING, PATH, TAGGED, TAGGED_PATH, Sure, is_text, looks, trimmed
from homeport.discovery.naming import Named, read_whole
from homeport.discovery.strings import MAX_LEVELS, flags, is_script, lines, listed, may_hold_document, script_words
from homeport.discovery.tree import is_list, is_map, write_path
from homeport.discovery.words import Meaning, meaning_of
from homeport.errors import InputError

ENVIRONMENT: Final = "environment variable"
ARGUMENT: Final = "argument"
EMBEDDED: Final = "embedded document"
SCRIPT: Final = "script"
SHAPE: Final = "shape"
VENDOR: Final = "vendor's list"
EXAMPLE: Final = "example"
MAX_EMBEDDED: Final = 2 * MAX_SIZE

Path = tuple[str | int, ...]

_OWN_NAMES: Final = frozenset({"name", "namespace", "generateName"})
"""What an object is called, below its metadata."""
_PAST: Final = frozenset(
    {
        "status", "managedFields", "openAPIV3Schema", "kubectl.kubernetes.io/last-applied-configuration", "rbd", "gitRepo",
        "description", "message", "longDescription", "readme", "documentation", "imageReferences", "caBundle",
    }
)  # fmt: skip
_EXAMPLES: Final = frozenset(
    {"alm-examples", "_example", "example", "examples", "alm-examples-metadata", "x-kubernetes-example"}
)
_LISTS: Final = frozenset({"relatedImages", "helm.sh/images", "images", "artifacthub.io/images"})
_MACHINES: Final = frozenset(
    {"pool", "monitors", "machineType", "serverType", "instanceType", "flavor", "vmSize", "bootDisk", "rbdName"}
)
_CONTAINER: Final = frozenset(
    {
        "command", "args", "env", "envFrom", "imagePullPolicy", "pullPolicy", "imagePullSecrets", "resources", "securityContext",
        "ports", "volumeMounts", "replicas", "livenessProbe", "readinessProbe", "workingDir", "script",
    }
)  # fmt: skip
_VALUES: Final = ("value", "default", "defaultValue")


Visit = Callable[[Mapping[str, Any], Path, Scope], None]


class Note(Protocol):
    """Takes what is found: the name, its first scalar, where it stands, how it was found and how sure that is."""

    def __call__(self, named: Named, value: object, path: Path, how: str, *, sure: Sure, scope: Scope) -> None:
        """Note a name."""


class General:
    """The look at everything in one document or live object.

    `note` takes what is found, `visit` sees each mapping first, `enter` the root of each embedded document. `taken` are the values
    that are noted already, by the identity of what holds them and their key there.
    """

    def __init__(self, source: str, note: Note, visit: Visit, enter: Visit) -> None:
        self._source, self._note, self._visit, self._enter = source, note, visit, enter
        self._visited: set[int] = set()
        self.taken: set[tuple[int, str | int]] = set()
        self._kept: list[object] = []  # what is read from strings lives as long as `_visited` remembers it
        self._embedded = 0

    def take(self, holder: object, key: str | int) -> None:
        """Leave a value out: it is noted already."""
        self.taken.add((id(holder), key))

    def look(self, root: object, path: Path, scope: Scope) -> None:
        """Look at a value and everything in it; what aliases share is looked at once."""
        pending: list[tuple[object, Path, Scope]] = [(root, path, scope)]
        while pending:
            value, here, around = pending.pop()
            if id(value) in self._visited:
                continue
            self._visited.add(id(value))
            if is_map(value):
                self._visit(value, here, around)
                pending += reversed(list(self._mapping(value, here, around)))
            elif is_list(value):
                pending += reversed(list(self._list(value, here, around)))

    def _mapping(self, value: Mapping[str, Any], path: Path, scope: Scope) -> Iterable[tuple[object, Path, Scope]]:
        if _is_schema(value) or "newTag" in value or "newName" in value:
            return
        if value.get("kind") == "DockerImage" and isinstance(value.get("name"), str):
            self._single(Entry("image", Piece(value["name"], scope.text), (*path, "name")), scope, "certain", VENDOR)
            self.take(value, "name")
        if "op" in value and isinstance(value.get("value"), str) and isinstance(value.get("path"), str):
            self._operation(value, path, scope)
        scope = scope.beside(value)
        self._fields(value, path, scope)
        inner = scope.below(value)
        for key, child in value.items():
            if not is_map(child) and not is_list(child):
                if path[-1:] == ("metadata",) and key in _OWN_NAMES:
                    continue
                if isinstance(child, str) and key not in _PAST and (id(value), key) not in self.taken:
                    self._string(key, child, (*path, key), self._within(key, inner))
            elif (key not in _PAST or (key == "status" and path)) and (id(value), key) not in self.taken:
                yield child, (*path, key), self._within(key, inner)

    def _operation(self, value: Mapping[str, Any], path: Path, scope: Scope) -> None:
        """Look at an operation of a JSON patch (RFC 6902): the pointer's last step is the key of its value."""
        *above, last = value["path"].split("/")
        entry = Entry(last, Piece(value["value"], scope.text), (*path, "value"))
        if entry.meaning.role == "image" and is_text(value["value"]):
            sure = self._judge(entry, at_hand=any("ontainers" in step for step in above))
            if sure is not None and self._single(entry, scope, sure, _how(SHAPE, scope)):
                self.take(value, "value")

    def _within(self, key: str, scope: Scope) -> Scope:
        """Return the scope below a key."""
        if key in _EXAMPLES or key.endswith(".example"):
            scope = msgspec.structs.replace(scope, example=True)
        speaks = DIRECT if meaning_of(key).role == "image" else max(scope.image - 1, 0)
        return scope if speaks == scope.image else msgspec.structs.replace(scope, image=speaks)

    def _fields(self, value: Mapping[str, Any], path: Path, scope: Scope) -> None:
        entries = [
            Entry(key, Piece(child, scope.text), (*path, key))
            for key, child in value.items()
            if meaning_of(key).role and not is_map(child) and not is_list(child) and (id(value), key) not in self.taken
        ]
        if not entries:
            return
        siblings = set(value)
        for found in self._joins(entries, scope, siblings):
            main = found.taken[0]
            # Names that share a mapping are told apart by their keys.
            where = main.path if main.meaning.stem or not path else path
            self._join(found, where, _how(SHAPE, scope), scope)
            for entry in found.taken:
                self.take(value, entry.key)
        machine = _MACHINES & siblings
        for entry in entries:
            if (id(value), entry.key) in self.taken:
                continue
            role = entry.meaning.role
            named = role == "image" or (role == "name" and scope.image > 1)
            if named and machine:
                self.take(value, entry.key)
            if not named or machine or not is_text(entry.piece.scalar):
                continue
            at_hand = bool(_CONTAINER & siblings) or scope.image > 1
            sure = self._judge(entry, at_hand=at_hand)
            if sure is not None and self._single(entry, scope, sure, _how(_list_or_shape(path), scope)):
                self.take(value, entry.key)

    def _joins(self, entries: list[Entry], scope: Scope, siblings: set[str] | frozenset[str]) -> Iterable[Join]:
        found = (join(group, scope, siblings) for group in groups_of(entries, scope, apart=not siblings))
        return [it for it in found if it is not None]

    def _join(self, found: Join, path: Path, how: str, scope: Scope) -> None:
        self._note(found.named, found.first.scalar, path, how, sure=found.sure, scope=scope)

    def _judge(self, entry: Entry, *, at_hand: bool) -> Sure | None:
        """Judge a value whose key calls it an image; `at_hand` tells that its neighbours speak of a container."""
        value, meaning = entry.value, entry.meaning
        start, end = trimmed(value)
        kind = looks(value[start:end], named=True)
        if kind >= TAGGED:
            return "certain" if kind >= FULL or entry.key == "image" else "likely"
        if meaning.role == "name":
            return None
        exact = meaning.last in {"image", "images"}
        if kind == PATH:
            return "likely" if exact else "uncertain"
        if kind == BARE:
            return "likely" if exact and at_hand else "uncertain"
        return None

    def _single(self, entry: Entry, scope: Scope, sure: Sure, how: str, *, elsewhere: bool = False) -> bool:
        """Note one value as a whole name; its tag is open where it has none, and `elsewhere` says that it stands elsewhere."""
        start, end = trimmed(entry.value)
        piece = entry.piece.cut(start, end)
        read = read_whole(piece.value, scope.default_registry)
        if not isinstance(read, Named):
            return False
        part = piece.text.part("reference", piece.scalar, piece.start, piece.end)
        is_open = elsewhere and not (read.reference.tag or read.reference.digest)
        named = msgspec.structs.replace(read, parts=(part,), open=is_open)
        self._note(named, piece.scalar, entry.path, how, sure=sure, scope=scope)
        return True

    def _list(self, value: Sequence[Any], path: Path, scope: Scope) -> Iterable[tuple[object, Path, Scope]]:
        self._named_values(value, path, scope)
        if any(isinstance(item, str) for item in value):
            self._arguments(value, path, scope)
        for index, item in enumerate(value):
            if is_map(item) or is_list(item):
                yield item, (*path, index), msgspec.structs.replace(scope, image=min(scope.image, DIRECT - 1))
            elif isinstance(item, str) and (id(value), index) not in self.taken:
                self._string("", item, (*path, index), scope)

    def _named_values(self, items: Sequence[Any], path: Path, scope: Scope) -> None:
        """Look at a list of ``{name, value}``: environment variables, parameters with their defaults."""
        entries = []
        holders = {}
        for index, item in enumerate(items):
            if is_map(item) and isinstance(item.get("name"), str):
                key = next((key for key in _VALUES if isinstance(item.get(key), str)), None)
                if key is not None:
                    entry = Entry(str(item["name"]), Piece(item[key], scope.text), (*path, index, key))
                    entries.append(entry)
                    holders[id(entry)] = (item, key)
        how = _how(ENVIRONMENT if path[-1:] == ("env",) else SHAPE, scope)
        for entry in self._entries(entries, scope, how):
            self.take(*holders[id(entry)])

    def _arguments(self, items: Sequence[Any], path: Path, scope: Scope) -> None:
        entries = [msgspec.structs.replace(it, path=(*path, *it.path)) for it in flags(items, scope.text)]
        for entry in self._entries(entries, scope, _how(ARGUMENT, scope)):
            self.take(items, entry.path[-1])

    def _entries(self, entries: list[Entry], scope: Scope, how: str) -> Iterable[Entry]:
        """Note what named values say; return those that were taken."""
        flat = msgspec.structs.replace(scope, image=0, registry=None, base=None, tag=None, version=None)
        taken: dict[int, Entry] = {}
        for found in self._joins(entries, flat, frozenset()):
            main = found.taken[0]
            if (
                found.named.open
                and len(found.taken) == 1
                and main.meaning.role == "repository"
                and not main.meaning.stem
            ):
                # A repository that is not said to be of anything may as well stand before the names of several.
                found = msgspec.structs.replace(found, sure="uncertain")  # noqa: PLW2901 - the same, judged again
            self._join(found, main.path, how, scope)
            taken.update((id(entry), entry) for entry in found.taken)
        versions = [it.meaning for it in entries if it.meaning.role in {"tag", "version"} and is_version(it.value)]
        for entry in entries:
            if id(entry) not in taken and self._entry(
                entry, flat, how, elsewhere=_has_version(entry.meaning, versions)
            ):
                taken[id(entry)] = entry
        return taken.values()

    def _entry(self, entry: Entry, scope: Scope, how: str, *, elsewhere: bool) -> bool:
        """Note one named value, where it is an image or lists some; `elsewhere` tells that a tag of it may stand beside it."""
        if not is_text(entry.piece.scalar):
            return False
        meaning = entry.meaning
        if (meaning.speaks_of_image and meaning.role in {"image", "name", ""}) or meaning.role == "image":
            sure = self._judge(entry, at_hand=meaning.last == "image")
            if sure is not None:
                return self._single(entry, scope, sure, how, elsewhere=elsewhere)
            if self._several(entry, scope, how):
                return True
        start, end = trimmed(entry.value)
        if looks(entry.value[start:end], own=scope.own) >= FULL:
            return self._single(entry, scope, "likely", how)
        if entry.value[start : start + 1] in ("{", "[") and may_hold_document(entry.value):
            self._document(entry.piece, entry.path, scope)
            return True
        return False

    def _string(self, key: str, value: str, path: Path, scope: Scope) -> None:
        """Look at a string whose key says nothing: a name, a list of names, a document, lines. An item of a list has no key."""
        if key and meaning_of(key).role in {"tag", "version", "digest", "registry"}:
            return
        start, end = trimmed(value)
        kind = looks(value[start:end], named=scope.image > 0, own=scope.own)
        entry = Entry(key or "image", Piece(value, scope.text), path)
        how = _how(_list_or_shape(path), scope)
        listed_image = scope.image == DIRECT and not key and kind == PATH
        if (scope.image and kind >= TAGGED) or listed_image or kind >= FULL:
            self._single(entry, scope, "likely", how)
        elif kind == TAGGED_PATH and ":" in value and any(map(str.isdigit, value.rpartition(":")[2])):
            self._single(entry, scope, "uncertain", how)
        elif may_hold_document(value):
            self._document(entry.piece, path, scope)
        elif is_script(path, value):
            self._script(entry.piece, path, scope)
        elif scope.image and kind == NOTHING:
            self._several(entry, scope, how)

    def _several(self, entry: Entry, scope: Scope, how: str) -> bool:
        """Note a text that lists names and nothing else."""
        items = listed(entry.piece)
        if not items or not all(looks(it.value, own=scope.own) >= TAGGED_PATH for it in items):
            return False
        for item in items:
            self._single(Entry("image", item, entry.path), scope, "likely", how)
        return True

    def _document(self, piece: Piece, path: Path, scope: Scope) -> None:
        """Open a string that holds YAML or JSON; read it by lines where it does not."""
        if scope.level >= MAX_LEVELS:
            return
        self._embedded += len(piece.value)
        if self._embedded > MAX_EMBEDDED:
            raise InputError(
                f"the documents in its strings have more than {MAX_EMBEDDED:,} characters", file=self._source
            )
        inner = scope.text.within(piece.scalar, piece.start, piece.end)
        prefix = f"{scope.prefix}{write_path(path)} -> "
        try:
            documents = parse_documents(Source(self._source, inner.text))
        except (InputError, RecursionError):
            documents = []
        roots = [document.root for document in documents if is_map(document.root) or is_list(document.root)]
        self._kept.append(documents)
        below = Scope(inner, scope.default_registry, scope.own, prefix, scope.level + 1, scope.image, scope.example)
        for root in roots:
            if is_map(root):
                self._enter(root, (), below)
            self.look(root, (), below)
        if not roots:
            self._lines(piece, path, scope)

    def _lines(self, piece: Piece, path: Path, scope: Scope) -> None:
        how = _how(EMBEDDED, scope)
        noted = set()
        for entry in lines(piece):
            at_line = msgspec.structs.replace(entry, path=path)
            kind = looks(entry.value, own=scope.own)
            if (entry.meaning.role == "image" and kind >= TAGGED) or kind >= FULL:
                self._single(at_line, scope, "likely", how)
                noted.add(entry.piece.start)
        if is_script(path, piece.value):
            self._script(piece, path, scope, frozenset(noted))

    def _script(self, piece: Piece, path: Path, scope: Scope, noted: frozenset[int] = frozenset()) -> None:
        """Look at the words of a script; `noted` are those that its lines have said already."""
        for word in script_words(piece):
            start, end = trimmed(word.value)
            if looks(word.value[start:end], own=scope.own) >= FULL and word.start + start not in noted:
                self._single(Entry("image", word, path), scope, "likely", _how(SCRIPT, scope))


def _has_version(image: Meaning, versions: Iterable[Meaning]) -> bool:
    """Tell whether one of the versions may be an image's: X_DATABASE_IMAGE with DATABASE_VERSION, any image with IMAGE_TAG."""
    return any(
        image.stem[-len(it.stem) :] == it.stem if it.stem else it.speaks_of_image and it.role == "tag"
        for it in versions
    )


def _how(how: str, scope: Scope) -> str:
    if scope.example:
        return EXAMPLE
    return EMBEDDED if scope.level and how == SHAPE else how


def _list_or_shape(path: Path) -> str:
    return VENDOR if any(step in _LISTS for step in path[-3:-1]) and path[-1] == "image" else SHAPE


def _is_schema(value: Mapping[str, Any]) -> bool:
    """Tell whether a mapping is a schema: its properties describe fields, and hold none."""
    properties = value.get("properties")
    return is_map(properties) and value.get("type") == "object"
