"""Fields of custom resources that take pull secrets, by the schemas of their CustomResourceDefinitions."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from homeport.discovery.inputs import Source
from homeport.discovery.knowledge import Knowledge, SecretField, SecretForm
from homeport.discovery.rules import Rules
from homeport.discovery.schemas import definitions, rules_of
from homeport.discovery.tree import is_list, is_map

_NAME: Final = re.compile(
    r"(?:(?:image|registry|docker)?pull|imageregistry|dockerregistry)-?secrets?(?:names?|refs?)?", re.IGNORECASE
)
_MAX_DEPTH: Final = 12
_MAX_FIELDS: Final = 200


def teach(sources: Iterable[Source]) -> Knowledge:
    """Return what schemas among texts say of the kinds that occur there: fields of images, and of pull secrets."""
    found = list(definitions(sources))
    return Knowledge(
        rules=Rules(tuple(rule for definition in found for rule in rules_of(definition))),
        secrets=tuple(field for definition in found for field in secret_fields_of(definition)),
    )


def secret_fields_of(definition: Mapping[str, Any]) -> list[SecretField]:
    """Return the fields of one CustomResourceDefinition that take pull secrets, each once for all versions."""
    spec = definition.get("spec")
    names = spec.get("names") if is_map(spec) else None
    if not is_map(spec) or not is_map(names):
        return []
    versions = spec.get("versions")
    roots = [version.get("schema") for version in versions if is_map(version)] if is_list(versions) else []
    fields: dict[tuple[str, ...], SecretForm] = {}
    for root in (*roots, spec.get("validation")):
        fields.update(_fields(root.get("openAPIV3Schema") if is_map(root) else None))
    group, kind = str(spec.get("group", "")), str(names.get("kind", ""))
    return [SecretField(group, kind, path, form) for path, form in list(fields.items())[:_MAX_FIELDS]]


def _fields(schema: object) -> Iterator[tuple[tuple[str, ...], SecretForm]]:
    pending: list[tuple[object, tuple[str, ...]]] = [(schema, ())]
    while pending:
        node, path = pending.pop()
        if not is_map(node) or len(path) > _MAX_DEPTH:
            continue
        properties = node.get("properties")
        for name, child in properties.items() if is_map(properties) else ():
            if name == "status" and not path:
                continue
            form = _form(child) if _NAME.fullmatch(str(name)) else None
            if form is None:
                pending.append((child, (*path, str(name))))
            else:
                yield (*path, str(name)), form
        pending += [(node.get(inner), (*path, "*")) for inner in ("items", "additionalProperties")]


def _form(schema: object) -> SecretForm | None:
    """Tell how a field takes pull secrets; None where it is something else of that name."""
    if not is_map(schema):
        return None
    if schema.get("type") == "array":
        inner = _form(schema.get("items"))
        return "objects" if inner == "object" else "names" if inner == "name" else None
    properties = schema.get("properties")
    if is_map(properties):
        # A reference by name; with a key beside it, it is about what is in the Secret.
        return "object" if "name" in properties and "key" not in properties else None
    return "name" if schema.get("type") == "string" else None
