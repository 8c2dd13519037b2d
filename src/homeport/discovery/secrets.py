"""Secrets whose `data` is to be read: what is in base64 becomes a text that the walker can look at."""

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from homeport.discovery.documents import parse_documents
from homeport.discovery.findings import Finding, Scan
from homeport.discovery.inputs import Source
from homeport.discovery.knowledge import Knowledge
from homeport.discovery.scan import scan_object
from homeport.discovery.tree import NOWHERE, Scalar, is_map, line_of, write_path
from homeport.discovery.walk import objects_of
from homeport.errors import InputError
from homeport.reference import DOCKER_HUB


class Decoded(msgspec.Struct, frozen=True, eq=False):
    """A Secret with the texts of its `data` alone; `scalars` are what they stand in, by key."""

    value: dict[str, Any]
    scalars: dict[str, Scalar]

    def line(self, path: str) -> int:
        """Return the line of the value that a finding's path leads into."""
        places = (it for key, it in self.scalars.items() if path.startswith(write_path(("data", key))))
        return max(map(line_of, places), default=NOWHERE)


def scan_secrets(source: Source, knowledge: Knowledge, default_registry: str = DOCKER_HUB) -> Scan:
    """Find the images in the decoded `data` of a text's Secrets; their line is the one that the base64 begins in.

    A text that cannot be read holds none here: that is said by `scan_source`.
    """
    try:
        roots = [document.root for document in parse_documents(source)]
    except InputError:
        return Scan()
    found = (secret for root in roots for secret in decoded_secrets(root))
    return Scan.joined(_placed(secret, source, knowledge, default_registry) for secret in found)


def decoded_secrets(root: object) -> Iterator[Decoded]:
    """Yield the Secrets of a document that hold texts."""
    for value, _, key in objects_of(root):
        data = value.get("data")
        if key.kind != "Secret" or not is_map(data):
            continue
        texts = {name: text for name, it in data.items() if (text := decode_text(it)) is not None}
        if texts:
            made = {"apiVersion": "v1", "kind": "Secret", "metadata": _plain(value.get("metadata")), "data": texts}
            yield Decoded(made, {name: data[name] for name in texts})


def decode_text(value: object) -> str | None:
    """Decode a value; None where it is no base64 or no text, a key or a certificate's bytes for one."""
    try:
        # Kubernetes passes over line ends in base64 (Go's encoding/base64).
        return base64.b64decode("".join(str(value).split("\n")).replace("\r", ""), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None


def _placed(secret: Decoded, source: Source, knowledge: Knowledge, default_registry: str) -> Scan:
    scan = scan_object(secret.value, source.name, knowledge, default_registry)

    def at_key(finding: Finding) -> Finding:
        return msgspec.structs.replace(finding, line=secret.line(finding.path))

    return Scan(tuple(map(at_key, scan.findings)), scan.unresolved, (), tuple(map(at_key, scan.uncertain)))


def _plain(metadata: object) -> Mapping[str, Any]:
    """Keep what names the object; annotations are read where they stand."""
    kept = metadata if is_map(metadata) else {}
    return {key: str(kept[key]) for key in ("name", "namespace") if key in kept}
