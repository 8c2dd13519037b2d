"""Find the images that texts and live objects name."""

from collections.abc import Mapping
from typing import Any, Final

from homeport.discovery.documents import Document, parse_documents
from homeport.discovery.findings import Finding, ObjectKey, Scan, Unresolved
from homeport.discovery.inputs import Source
from homeport.discovery.knowledge import Knowledge
from homeport.discovery.tree import dig, line_of, text_of
from homeport.discovery.walk import Walk, walk
from homeport.errors import InputError
from homeport.reference import DOCKER_HUB

_IMPLIED: Final = "the operator's default"


def scan_source(source: Source, knowledge: Knowledge, default_registry: str = DOCKER_HUB) -> Scan:
    """Scan a text; one that cannot be read is the scan's error, not an exception."""
    scan = Scan()
    try:
        for document in parse_documents(source):
            scan += scan_of(walk(document.root, source.name, knowledge, default_registry, source.text), source.name)
            scan += Scan(unresolved=tuple(repeated_keys(document, source.name)))
    except InputError as error:
        return Scan(errors=(str(error),))
    return scan


def scan_object(
    value: Mapping[str, Any], source: str, knowledge: Knowledge, default_registry: str = DOCKER_HUB
) -> Scan:
    """Scan a live object, or a List of them; `source` names the cluster."""
    return scan_of(walk(value, source, knowledge, default_registry), source)


def scan_of(noted: Walk, source: str) -> Scan:
    """Return what a walk found; images that an object pulls without naming them are findings where it is known which."""
    findings, unresolved = list(noted.findings), list(noted.unresolved)
    for place in noted.implied:
        line, reference = line_of(place.root), place.implied.reference
        if reference is None:
            unresolved.append(Unresolved(source, line, place.object, place.where, "", place.implied.reason))
        else:
            default = place.implied.default
            how = f"belongs there; the operator's default is {default}" if default else _IMPLIED
            findings.append(Finding(source, line, place.object, place.where, how, str(reference), reference))
    return Scan(tuple(findings), tuple(unresolved), uncertain=tuple(noted.uncertain))


def repeated_keys(document: Document, source: str) -> list[Unresolved]:
    """Report keys that stand twice in one mapping: what they hide may be an image."""
    key = ObjectKey(
        text_of(dig(document.root, ("apiVersion",))),
        text_of(dig(document.root, ("kind",))),
        text_of(dig(document.root, ("metadata", "namespace"))),
        text_of(dig(document.root, ("metadata", "name"))),
    )
    reason = "this key stands twice in one mapping, and readers disagree which one counts"
    return [Unresolved(source, it.line, key, str(it), str(it), reason) for it in document.repeated]
