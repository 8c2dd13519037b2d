"""Rules as data: what the source code of an operator says and no look at a manifest can.

A rule is about objects of some kinds. In YAML, a file is a list of rules:

    - name: system-upgrade-controller       # findings show it
      source: github.com/rancher/system-upgrade-controller pkg/upgrade/plan/plan.go
      kinds: [upgrade.cattle.io/Plan]       # GROUP/KIND, or KIND for the core group; `*` is every kind of a group
      images:
      - at: spec.upgrade                    # mappings; `*` is every key or item
        repository: image                   # a key there; $.PATH is one of the object
        tag: $.spec.version
        replace: {"+": "-"}                 # what the operator makes of the tag
      not_images: [spec.labelImage]         # what is below these paths names no image that is pulled
      implied:
      - image: docker.io/org/name:{spec.version}
        unless: spec.image                  # an image that is pulled without being named

The parts are `image` (a whole name), or `registry`, `repository`, `name`, with `tag` and `digest`; the digest decides. A value that
holds a whole name stays one. `a | $.b` is the first that is there. `open: true` says that a missing tag comes from the operator, not from `:latest`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib import resources
from typing import Any, Final

import msgspec
import yaml

from homeport.discovery.findings import ObjectKey
from homeport.discovery.tree import is_list, is_map, text_of
from homeport.errors import InputError

SCHEMA_RULE: Final = "CRD schema"
"""The name of the rules that schemas teach."""

_STEP: Final = re.compile(r"\['([^']*)'\]|([^.\[\]]+)|\[(\*|\d+)\]")
_VARIABLE: Final = re.compile(r"\{([^{}]+)\}")

Path = tuple[str | int, ...]


class ImageRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the parts of a name stand in a mapping; a part is a key of it, or ``$.PATH`` in the object."""

    at: str = ""
    image: str = ""
    registry: str = ""
    repository: str = ""
    name: str = ""
    tag: str = ""
    digest: str = ""
    open: bool = False
    replace: dict[str, str] = {}


class ImpliedRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An image that is pulled without being named: a name with ``{PATH}`` for what the object says."""

    image: str
    unless: str = ""


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that is known of some kinds, and where it is written."""

    name: str
    source: str
    kinds: tuple[str, ...]
    images: tuple[ImageRule, ...] = ()
    not_images: tuple[str, ...] = ()
    implied: tuple[ImpliedRule, ...] = ()

    @property
    def how(self) -> str:
        """What findings show."""
        return self.name if self.name == SCHEMA_RULE else f"rule {self.name}"

    def is_about(self, key: ObjectKey) -> bool:
        """Tell whether an object is of a kind that the rule is about."""
        return any(_fits(kind, key) for kind in self.kinds)


class Rules(msgspec.Struct, frozen=True):
    """Rules by kind; the first that names a place decides."""

    rules: tuple[Rule, ...] = ()

    def about(self, key: ObjectKey) -> list[Rule]:
        """Return the rules about an object."""
        return [rule for rule in self.rules if rule.is_about(key)] if key.kind else []

    def before(self, shipped: "Rules") -> "Rules":
        """Return all rules in the order in which they decide: a person's own, those that are shipped, what schemas teach."""
        own = tuple(rule for rule in self.rules if rule.name != SCHEMA_RULE)
        return Rules(own + shipped.rules + tuple(rule for rule in self.rules if rule.name == SCHEMA_RULE))

    def __add__(self, other: "Rules") -> "Rules":
        return Rules(self.rules + other.rules)


@lru_cache(maxsize=1)
def shipped_rules() -> Rules:
    """Return the rules that come with Homeport."""
    text = resources.files("homeport.discovery").joinpath("data/operators.yaml").read_text(encoding="utf-8")
    return read_rules(text, "operators.yaml")


def read_rules(text: str, file: str) -> Rules:
    """Read a file of rules; raises InputError with what is wrong in which rule."""
    try:
        loaded = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - a safe loader, in C
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else None
        raise InputError(f"the rules are no YAML: {getattr(error, 'problem', error)}", file=file, line=line) from error
    if not isinstance(loaded, list):
        raise InputError("rules are a list", file=file, hint="Each begins with `- name:`.")
    return Rules(tuple(_rule(each, number, file) for number, each in enumerate(loaded, 1)))


def select(root: object, path: str) -> Iterator[tuple[Path, Any]]:
    """Yield the values that a path leads to, each with its own path; ``*`` is every key or item."""
    found: list[tuple[Path, Any]] = [((), root)]
    for step in steps_of(path):
        found = [((*here, key), child) for here, value in found for key, child in _children(value, step)]
    yield from found


def steps_of(path: str) -> list[str]:
    """Split a path: ``spec.images.*``, ``data['a.yaml']``, ``items[0]``."""
    return ["".join(groups) for groups in _STEP.findall(path)]


def filled(template: str, root: Mapping[str, Any]) -> str | None:
    """Fill an implied name with what an object says; None where it says nothing."""
    text = template
    for path in _VARIABLE.findall(template):
        value = next((text_of(value) for _, value in select(root, path)), "")
        if not value:
            return None
        text = text.replace(f"{{{path}}}", value)
    return text


def _children(value: object, step: str) -> list[tuple[str | int, Any]]:
    pairs: Sequence[tuple[str | int, Any]] = ()
    if is_map(value):
        pairs = list(value.items())
    elif is_list(value):
        pairs = list(enumerate(value))
    return [(key, child) for key, child in pairs if step in ("*", str(key))]


def _fits(wanted: str, key: ObjectKey) -> bool:
    group, _, kind = wanted.rpartition("/")
    return kind in ("*", key.kind) and group == key.group


def _rule(value: object, number: int, file: str) -> Rule:
    name = value.get("name", number) if isinstance(value, dict) else number
    try:
        rule = msgspec.convert(value, Rule)
    except msgspec.ValidationError as error:
        raise InputError(f"rule {name}: {error}", file=file, hint="docs/discovery.md shows the language.") from error
    for image in rule.images:
        if not (image.image or image.repository):
            raise InputError(f"rule {name}: an entry of images needs image or repository", file=file)
    return rule
