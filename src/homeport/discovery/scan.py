"""Find the images that texts and live objects name."""

from collections.abc import Mapping
from typing import Any

from homeport.discovery.documents import Document, parse_documents
from homeport.discovery.findings import ObjectKey, Scan, Unresolved
from homeport.discovery.inputs import Source
from homeport.discovery.knowledge import Knowledge
from homeport.discovery.tree import dig, line_of, text_of
from homeport.discovery.walk import Walk, walk
from homeport.errors import InputError
from homeport.reference import DOCKER_HUB


def scan_source(source: Source, knowledge: Knowledge, default_registry: str = DOCKER_HUB) -> Scan:
    """Scan a text; one that cannot be read is the scan's error, not an exception."""
    scan = Scan()
    try:
        for document in parse_documents(source):
            noted = walk(document.root, source.name, knowledge, default_registry)
            scan += Scan(
                tuple(noted.findings), (*unresolved_of(noted, source.name), *repeated_keys(document, source.name))
            )
    except InputError as error:
        return Scan(errors=(str(error),))
    return scan


def scan_object(
    value: Mapping[str, Any], source: str, knowledge: Knowledge, default_registry: str = DOCKER_HUB
) -> Scan:
    """Scan a live object, or a List of them; `source` names the cluster."""
    noted = walk(value, source, knowledge, default_registry)
    return Scan(tuple(noted.findings), tuple(unresolved_of(noted, source)))


def unresolved_of(noted: Walk, source: str) -> list[Unresolved]:
    """Return what a walk could not read, and the images that objects pull without naming them."""
    implied = [
        Unresolved(source, line_of(place.root), place.object, place.where, "", place.implied.reason)
        for place in noted.implied
    ]
    return noted.unresolved + implied


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
