"""CustomResourceDefinitions as teachers: which fields of a kind name images, by the schema's names and words."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import yaml

from homeport.discovery.documents import SCHEMA_KIND
from homeport.discovery.inputs import Source
from homeport.discovery.rules import SCHEMA_RULE, ImageRule, Rule, Rules
from homeport.discovery.tree import dig, is_list, is_map
from homeport.discovery.words import meaning_of

MAX_FIELDS: Final = 2_000
_BREAK: Final = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_CRD: Final = re.compile(r"(?:^|[\s{,])[\"']?kind[\"']?\s*:\s*[\"']?CustomResourceDefinition\b", re.MULTILINE)
_KIND: Final = re.compile(r"[\"']?kind[\"']?\s*:\s*[\"']?([A-Z]\w+)")
_SAYS_IMAGE: Final = re.compile(
    r"\b(?:container|docker|oci) image (?:name|reference|to (?:use|run|pull)|used|uri|url|for)\b|\bimage pull ?spec\b",
    re.IGNORECASE,
)
_SAYS_PART: Final = re.compile(
    r"\b(?:tag|version|policy|secret|registry|digest|prefix|pattern) (?:of|for)\b", re.IGNORECASE
)
_PARTS: Final = frozenset({"tag", "digest", "repository", "registry"})
_DEVICES: Final = frozenset({"pool", "monitors", "machineType", "flavor"})

_Loader: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def learn(sources: Iterable[Source]) -> Rules:
    """Return what the schemas among texts say of the kinds that occur there; schemas of other kinds are not read.

    A text that is no YAML teaches nothing here; the scan says what is wrong with it.
    """
    return Rules(tuple(rule for definition in definitions(sources) for rule in rules_of(definition)))


def definitions(sources: Iterable[Source]) -> Iterator[Mapping[str, Any]]:
    """Yield the CustomResourceDefinitions among texts of those kinds that occur there, as values."""
    texts = [source.text for source in sources]
    if not any(_CRD.search(text) for text in texts):
        return
    parts = [part for text in texts for part in _BREAK.split(text)]
    schemas = [part for part in parts if _CRD.search(part)]
    kinds = {kind for part in parts if not _CRD.search(part) for kind in _KIND.findall(part)}
    for part in schemas:
        if kinds.intersection(_KIND.findall(part)):
            yield from (it for it in _definitions(part) if it["spec"]["names"]["kind"] in kinds)


def all_definitions(sources: Iterable[Source]) -> Iterator[Mapping[str, Any]]:
    """Yield the CustomResourceDefinitions among texts, as values, whether their kinds occur there or not."""
    for source in sources:
        for part in filter(_CRD.search, _BREAK.split(source.text)):
            yield from _definitions(part)


def rules_of(definition: Mapping[str, Any]) -> Iterator[Rule]:
    """Yield what one CustomResourceDefinition says."""
    spec = definition.get("spec")
    names = spec.get("names") if is_map(spec) else None
    if not is_map(spec) or not is_map(names):
        return
    versions = spec.get("versions")
    roots = [version.get("schema") for version in versions if is_map(version)] if is_list(versions) else []
    fields: dict[tuple[str, ...], str] = {}
    for root in (*roots, spec.get("validation")):
        schema = root.get("openAPIV3Schema") if is_map(root) else None
        fields.update((path, "") for path in _fields(schema))
    if fields:
        images = tuple(ImageRule(at=_written(path[:-1]), image=path[-1]) for path in list(fields)[:MAX_FIELDS])
        kind = f"{spec.get('group', '')}/{names.get('kind', '')}"
        yield Rule(name=SCHEMA_RULE, source=f"CustomResourceDefinition of {kind}", kinds=(kind,), images=images)


def _definitions(text: str) -> Iterator[Mapping[str, Any]]:
    try:
        value = yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader, in C
    except (yaml.YAMLError, RecursionError, ValueError):
        return
    items = value.get("items") if is_map(value) else None
    for each in items if is_list(items) else [value]:
        if is_map(each) and each.get("kind") == SCHEMA_KIND and dig(each, ("spec", "names", "kind")):
            yield each


def _fields(schema: object) -> Iterator[tuple[str, ...]]:
    """Yield the paths of the fields that name a whole image."""
    pending: list[tuple[object, tuple[str, ...]]] = [(schema, ())]
    while pending:
        node, path = pending.pop()
        if not is_map(node) or len(path) > 40:
            continue
        properties = node.get("properties")
        if is_map(properties):
            split = any(meaning_of(str(name)).role in _PARTS for name in properties)
            for name, child in properties.items():
                if name == "status" and not path:
                    continue
                if not split and not _DEVICES.intersection(properties) and _is_image(str(name), child):
                    yield (*path, str(name))
                pending.append((child, (*path, str(name))))
        pending += [(node.get(inner), (*path, "*")) for inner in ("items", "additionalProperties")]


def _is_image(name: str, schema: object) -> bool:
    if not is_map(schema) or schema.get("type") != "string":
        return False
    meaning = meaning_of(name)
    if meaning.role:
        return meaning.role == "image" and meaning.speaks_of_image and meaning.last in {"image", "name"}
    description = str(schema.get("description", ""))
    return bool(_SAYS_IMAGE.search(description)) and not _SAYS_PART.search(description)


def _written(path: tuple[str, ...]) -> str:
    return ".".join(step if re.fullmatch(r"[\w*-]+", step) else f"['{step}']" for step in path)
