"""Secrets whose `data` is to be read: what is in base64 becomes a text that the walker can look at."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from homeport.discovery.documents import parse_documents
from homeport.discovery.findings import Scan
from homeport.discovery.inputs import Source
from homeport.discovery.knowledge import Knowledge
from homeport.discovery.scan import scan_object
from homeport.discovery.tree import is_map
from homeport.errors import InputError
from homeport.reference import DOCKER_HUB


def scan_secrets(source: Source, knowledge: Knowledge, default_registry: str = DOCKER_HUB) -> Scan:
    """Find the images in the decoded `data` of a text's Secrets; they have no line, for they do not stand there as text.

    A text that cannot be read holds none here: that is said by `scan_source`.
    """
    try:
        roots = [document.root for document in parse_documents(source)]
    except InputError:
        return Scan()
    decoded = filter(None, map(_decoded, roots))
    return Scan.joined(scan_object(secret, source.name, knowledge, default_registry) for secret in decoded)


def _decoded(root: object) -> dict[str, Any] | None:
    """Return a Secret with the texts of its `data` alone; None for anything else."""
    if not is_map(root) or root.get("kind") != "Secret" or not is_map(root.get("data")):
        return None
    texts = {str(key): text for key, value in root["data"].items() if (text := _text(value)) is not None}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": _plain(root.get("metadata")), "data": texts}


def _text(value: object) -> str | None:
    """Decode a value; None where it is no base64 or no text, a key or a certificate's bytes for one."""
    try:
        return base64.b64decode(str(value), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None


def _plain(metadata: object) -> Mapping[str, Any]:
    """Keep what names the object; annotations are read where they stand."""
    kept = metadata if is_map(metadata) else {}
    return {key: kept[key] for key in ("name", "namespace") if key in kept}
