"""Group a scan's findings by image, for reports."""

import msgspec

from homeport.discovery.findings import Finding, ObjectKey, Scan, Unresolved
from homeport.reference import Reference


class Place(msgspec.Struct, frozen=True):
    """Where an image is named, as it is written there."""

    source: str
    line: int
    object: ObjectKey
    path: str
    how: str
    text: str


class Image(msgspec.Struct, frozen=True):
    """One image and all places that name it; `reference` is written out in full, `open` tells that its tag comes from elsewhere."""

    reference: str
    registry: str
    repository: str
    tag: str | None
    digest: str | None
    open: bool
    findings: tuple[Place, ...]


class Report(msgspec.Struct, frozen=True):
    """A scan by image, in the order of registries and names."""

    images: tuple[Image, ...]
    unresolved: tuple[Unresolved, ...]
    errors: tuple[str, ...]


def report_of(scan: Scan) -> Report:
    """Group a scan by image."""
    groups: dict[tuple[str, Reference, bool], list[Finding]] = {}
    for finding in scan.findings:
        groups.setdefault((str(finding.reference), finding.reference, finding.open), []).append(finding)
    return Report(
        tuple(_image(*key, findings) for key, findings in sorted(groups.items(), key=lambda item: _order(*item[0]))),
        scan.unresolved,
        scan.errors,
    )


def names_of(scan: Scan) -> list[str]:
    """Return each name once as it is written, sorted; ``open: REPOSITORY`` where the tag comes from elsewhere."""
    return sorted({f"open: {finding.text}" if finding.open else finding.text for finding in scan.findings})


def _order(text: str, reference: Reference, is_open: bool) -> tuple[str, str, bool]:
    return (reference.registry, text, is_open)


def _image(text: str, reference: Reference, is_open: bool, findings: list[Finding]) -> Image:
    places = tuple(Place(it.source, it.line, it.object, it.path, it.how, it.text) for it in findings)
    return Image(text, reference.registry, reference.repository, reference.tag, reference.digest, is_open, places)
