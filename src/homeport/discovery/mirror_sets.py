"""OpenShift's mirror sets among manifests: from where images are pulled, whatever their names say.

ImageDigestMirrorSet and ImageContentSourcePolicy are about pulls by digest, ImageTagMirrorSet about pulls by tag. The longest source
that matches a name counts; its part of the name is replaced by the mirror (github.com/openshift/api config/v1, operator/v1alpha1).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from homeport.discovery.documents import parse_documents
from homeport.discovery.findings import Finding, ObjectKey
from homeport.discovery.inputs import Source
from homeport.discovery.tree import NOWHERE, Scalar, is_list, is_map, line_of, text_of
from homeport.discovery.walk import objects_of
from homeport.errors import InputError
from homeport.reference import Reference

_KINDS: Final = {
    ("config.openshift.io", "ImageDigestMirrorSet"): ("imageDigestMirrors", True),
    ("config.openshift.io", "ImageTagMirrorSet"): ("imageTagMirrors", False),
    ("operator.openshift.io", "ImageContentSourcePolicy"): ("repositoryDigestMirrors", True),
}
_NEVER: Final = "NeverContactSource"


class MirrorRule(msgspec.Struct, frozen=True):
    """One entry of a mirror set; `place` is where its source stands in the text."""

    file: str
    line: int
    object: ObjectKey
    source: str
    mirrors: tuple[str, ...]
    by_digest: bool
    never_source: bool
    place: tuple[int, int]

    def rest(self, reference: Reference) -> str | None:
        """Return what of a name is left behind the source; None where the source is not a part of it."""
        if self.source.startswith("*."):
            host = reference.registry.partition(":")[0]
            return f"/{reference.repository}" if host.endswith(self.source[1:]) else None
        name = reference.name
        whole = name == self.source or name.startswith(f"{self.source}/")
        return name[len(self.source) :] if whole else None


class Mirrored(msgspec.Struct, frozen=True):
    """An image that a mirror set has pulled from elsewhere, and from where, in this order; the source comes last where it may."""

    reference: str
    mirrors: tuple[str, ...]
    source_allowed: bool
    source: str
    line: int
    object: ObjectKey


def mirror_rules(source: Source) -> Iterator[MirrorRule]:
    """Yield what the mirror sets of a text say; a text that cannot be read has none."""
    if not any(kind in source.text for _, kind in _KINDS):
        return
    try:
        documents = parse_documents(source)
    except InputError:
        return
    for document in documents:
        for value, _, key in objects_of(document.root):
            yield from rules_of(value, key, source.name)


def rules_of(value: Mapping[str, Any], key: ObjectKey, file: str) -> Iterator[MirrorRule]:
    """Yield what one object says, if it is a mirror set."""
    field, by_digest = _KINDS.get((key.group, key.kind), ("", False))
    spec = value.get("spec")
    entries = spec.get(field) if field and is_map(spec) else None
    for entry in entries if is_list(entries) else ():
        if is_map(entry) and (text := text_of(name := entry.get("source"))):
            mirrors = entry.get("mirrors")
            places = tuple(filter(None, map(text_of, mirrors if is_list(mirrors) else ())))
            never = text_of(entry.get("mirrorSourcePolicy")) == _NEVER
            where = (name.start, name.end) if isinstance(name, Scalar) else (NOWHERE, NOWHERE)
            yield MirrorRule(file, line_of(name), key, text, places, by_digest, never, where)


def mirrored(findings: Iterable[Finding], rules: Iterable[MirrorRule]) -> tuple[Mirrored, ...]:
    """Return the images that mirror sets have pulled from elsewhere, each once, sorted by name."""
    every = tuple(rules)
    found: dict[str, Mirrored] = {}
    for finding in findings if every else ():
        text = str(finding.reference)
        if text not in found and not finding.open and (made := mirrored_image(finding.reference, every)) is not None:
            found[text] = made
    return tuple(found[text] for text in sorted(found))


def mirrored_image(reference: Reference, rules: tuple[MirrorRule, ...]) -> Mirrored | None:
    """Return from where mirror sets have one image pulled; None where they do not speak of it."""
    fitting = [it for it in rules if it.by_digest == bool(reference.digest) and it.rest(reference) is not None]
    if not fitting:
        return None
    longest = max(len(it.source) for it in fitting)
    best = [it for it in fitting if len(it.source) == longest]
    suffix = f"@{reference.digest}" if reference.digest else f":{reference.pinned.tag}"
    # Entries about one source are merged (config/v1/types_image_digest_mirror_set.go).
    names = dict.fromkeys(f"{mirror}{it.rest(reference)}{suffix}" for it in best for mirror in it.mirrors)
    if not names:
        return None
    first = best[0]
    allowed = not any(it.never_source for it in best)
    return Mirrored(str(reference), tuple(names), allowed, first.file, first.line, first.object)
