"""Group a scan's findings by image, for reports."""

from collections.abc import Iterable

import msgspec

from homeport.discovery.findings import Finding, ObjectKey, Scan, Unresolved
from homeport.discovery.mirror_sets import Mirrored
from homeport.reference import Reference


class Place(msgspec.Struct, frozen=True):
    """Where an image is named, as it is written there."""

    source: str
    line: int
    object: ObjectKey
    path: str
    how: str
    text: str
    sure: str


class Image(msgspec.Struct, frozen=True):
    """One image and all places that name it; `reference` is written out in full, `open` tells that its tag comes from elsewhere."""

    reference: str
    registry: str
    repository: str
    tag: str | None
    digest: str | None
    open: bool
    findings: tuple[Place, ...]


class Spelling(msgspec.Struct, frozen=True):
    """One image that is written in more than one way."""

    reference: str
    texts: tuple[str, ...]


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """A scan by image, in the order of registries and names. `uncertain` is there only where a person asked for it.

    `mirrored` are images that mirror sets among the inputs have pulled from elsewhere.
    """

    images: tuple[Image, ...]
    unresolved: tuple[Unresolved, ...]
    errors: tuple[str, ...]
    spellings: tuple[Spelling, ...] = ()
    uncertain: tuple[Image, ...] = ()
    mirrored: tuple[Mirrored, ...] = ()


def report_of(scan: Scan, *, uncertain: bool = False, mirrored: tuple[Mirrored, ...] = ()) -> Report:
    """Group a scan by image, the uncertain ones apart where they are asked for."""
    return Report(
        _grouped(scan.findings),
        scan.unresolved,
        scan.errors,
        tuple(spellings_of(scan.findings)),
        _grouped(scan.uncertain) if uncertain else (),
        mirrored,
    )


def spellings_of(findings: Iterable[Finding]) -> list[Spelling]:
    """Return the images that are written in several ways, such as with and without their registry."""
    texts: dict[str, set[str]] = {}
    for finding in findings:
        if not finding.open:
            texts.setdefault(str(finding.reference.pinned), set()).add(finding.text)
    return [Spelling(name, tuple(sorted(ways))) for name, ways in sorted(texts.items()) if len(ways) > 1]


def only(scan: Scan, name: str) -> Scan:
    """Return what names one image: a reference in any spelling, or a repository for all its tags and digests.

    Raises InvalidReferenceError.
    """
    asked = Reference.parse(name)

    def named(finding: Finding) -> bool:
        found = finding.reference
        if found.name != asked.name:
            return False
        return asked.identifier in (found.tag, found.digest, found.pinned.tag) or not (asked.tag or asked.digest)

    return Scan(tuple(filter(named, scan.findings)), (), scan.errors, tuple(filter(named, scan.uncertain)))


def _grouped(findings: Iterable[Finding]) -> tuple[Image, ...]:
    groups: dict[tuple[str, Reference, bool], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((str(finding.reference), finding.reference, finding.open), []).append(finding)
    return tuple(_image(*key, group) for key, group in sorted(groups.items(), key=lambda item: _order(*item[0])))


def names_of(scan: Scan) -> list[str]:
    """Return each name once as it is written, sorted; ``open: REPOSITORY`` where the tag comes from elsewhere."""
    return sorted({f"open: {finding.text}" if finding.open else finding.text for finding in scan.findings})


def _order(text: str, reference: Reference, is_open: bool) -> tuple[str, str, bool]:
    return (reference.registry, text, is_open)


def _image(text: str, reference: Reference, is_open: bool, findings: list[Finding]) -> Image:
    places = tuple(Place(it.source, it.line, it.object, it.path, it.how, it.text, it.sure) for it in findings)
    return Image(text, reference.registry, reference.repository, reference.tag, reference.digest, is_open, places)
