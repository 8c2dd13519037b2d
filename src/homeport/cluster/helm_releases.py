"""What Helm keeps of a release: its chart, the values that it was given, and what was rendered.

It is a Secret of type helm.sh/release.v1, its JSON packed by gzip and base64 (helm.sh/helm, pkg/storage/driver). Charts that a chart
contains are not in it (pkg/chart: Chart.dependencies is no exported field).
"""

import base64
import re
import zlib
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from homeport.cluster.api import Api, Choice
from homeport.cluster.kinds import SECRETS
from homeport.discovery.inputs import MAX_SIZE
from homeport.errors import ClusterError
from homeport.oci.unreadable import UNREADABLE

TYPE: Final = "helm.sh/release.v1"
_SUBCHART: Final = re.compile(r"^# Source: [^/\s]+/charts/([^/\s]+)/", re.MULTILINE)
_T = TypeVar("_T")


class File(msgspec.Struct, frozen=True):
    """A file of a chart."""

    name: str
    data: bytes = b""


class Chart(msgspec.Struct, frozen=True):
    """A chart as a release keeps it; `values` are its own defaults."""

    metadata: dict[str, Any] = {}
    templates: tuple[File, ...] | None = ()
    values: dict[str, Any] | None = None
    schema: bytes | None = None
    files: tuple[File, ...] | None = ()


class Release(msgspec.Struct, frozen=True):
    """A release; `config` are the values that a person gave."""

    name: str
    namespace: str
    chart: Chart
    config: dict[str, Any] | None = None
    manifest: str = ""

    @property
    def subcharts(self) -> tuple[str, ...]:
        """The contained charts from which something was rendered; the release does not keep them."""
        return tuple(sorted(set(_SUBCHART.findall(self.manifest))))


def read_release(api: Api, namespace: str, name: str) -> Release:
    """Return the deployed release of a name; raises ClusterError where it may not be read, or is not there."""
    choice = Choice(f"owner=helm,status=deployed,name={name}")
    found = [it for it in api.objects(SECRETS, namespace, choice) if it.get("type") == TYPE]
    if not found:
        raise ClusterError(
            f"Helm release {namespace}/{name}: no Secret of this namespace keeps it as deployed",
            hint="It may be kept elsewhere (HELM_DRIVER); homeport relocate --helm-values FILE CHART works on the chart itself.",
        )
    newest = max(found, key=lambda it: int((it["metadata"].get("labels") or {}).get("version", 0)))
    release = unpack(newest, Release)
    if release is None:
        raise ClusterError(f"Secret/{namespace}/{newest['metadata']['name']} cannot be unpacked as a Helm release")
    return release


def unpack(secret: Mapping[str, Any], kind: type[_T]) -> _T | None:
    """Read what a release's Secret holds; None where it is damaged."""
    try:
        packed = base64.b64decode(base64.b64decode((secret.get("data") or {}).get("release", "")))
        text = (
            zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(packed, MAX_SIZE)
            if packed[:2] == b"\x1f\x8b"
            else packed
        )
        return msgspec.json.decode(text, type=kind)
    except (*UNREADABLE, ValueError, zlib.error):
        return None
