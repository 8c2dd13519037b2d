"""A scan as a CycloneDX document, for tools that keep inventories (cyclonedx.org/docs/1.6/json)."""

from typing import Any, Final
from urllib.parse import quote

from homeport.discovery.report import Image, Report

SPEC_VERSION: Final = "1.6"


def cyclonedx_of(report: Report, version: str) -> dict[str, Any]:
    """Return a report as a CycloneDX bill of materials: a component for each image, its places as evidence.

    The same report gives the same document: it has no serial number and no time.
    """
    return {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "version": 1,
        "metadata": {"tools": {"components": [{"type": "application", "name": "homeport", "version": version}]}},
        "components": [_component(image) for image in report.images],
    }


def _component(image: Image) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "container",
        "bom-ref": image.reference + (" (open)" if image.open else ""),
        "name": f"{image.registry}/{image.repository}",
    }
    if version := image.tag or image.digest:
        component["version"] = version
    if image.digest and image.digest.startswith("sha256:"):
        component["hashes"] = [{"alg": "SHA-256", "content": image.digest.partition(":")[2]}]
    if purl := _purl(image):
        component["purl"] = purl
    places = [f"{it.source}:{it.line}" if it.line > 0 else it.source for it in image.findings]
    component["evidence"] = {"occurrences": [{"location": place} for place in dict.fromkeys(places)]}
    if image.open:
        component["properties"] = [{"name": "homeport:open", "value": "true"}]
    return component


def _purl(image: Image) -> str:
    """Return the package URL of an OCI artifact, which is named by its digest (purl-spec, types/oci)."""
    if not image.digest:
        return ""
    name = image.repository.rpartition("/")[2]
    purl = f"pkg:oci/{name}@{quote(image.digest, safe='')}?repository_url={quote(f'{image.registry}/{image.repository}', safe='')}"
    return purl + (f"&tag={quote(image.tag, safe='')}" if image.tag else "")
