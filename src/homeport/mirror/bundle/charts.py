"""Helm charts of classic repositories, as the OCI artifacts that `helm push` makes of them (helm.sh, Use OCI-based registries).

The package stays as it is, byte for byte. Unlike helm's, the manifest has no date: an equal chart has an equal digest.
"""

import gzip
import hmac
import io
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any, Final, Self, cast
from urllib.parse import urlsplit

import msgspec

from homeport.errors import ContentError, InvalidReferenceError, NotFoundError, UsageError
from homeport.mirror.bundle.chart_index import Release, read_text, releases_of
from homeport.mirror.bundle.chart_versions import ChartRange, highest, is_exact
from homeport.oci.digest import digest_of
from homeport.oci.manifest import Descriptor, RawManifest
from homeport.oci.media_types import OCI_MANIFEST
from homeport.reference import Reference
from homeport.store.files import Held
from homeport.store.oci_layout import Layout, Named, blob_path

Fetch = Callable[[str, int], bytes]
"""Returns a file of a repository by its address relative to the repository's, and the most bytes that are taken."""

CONFIG_TYPE: Final = "application/vnd.cncf.helm.config.v1+json"
CHART_TYPE: Final = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
PROVENANCE_TYPE: Final = "application/vnd.cncf.helm.chart.provenance.v1.prov"

_MOST_INDEX: Final = 64 << 20
_MOST_CHART: Final = 32 << 20
_MOST_PLAIN: Final = 100 << 20
"""Unpacked bytes of a chart: helm's own limit (pkg/chart/loader, MaxDecompressedChartSize)."""
_MOST_METADATA: Final = 1 << 20
_TRUE = frozenset({"true", "yes", "on"})


class ChartName(msgspec.Struct, frozen=True):
    """A chart of a classic repository: the repository's address, name, and version or range of versions, "" for the latest."""

    repository: str
    name: str
    version: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``https://HOST/PATH/NAME[:VERSION]``; raises UsageError."""
        repository, _, chart = text.rpartition("/")
        name, colon, version = chart.partition(":")
        parts = urlsplit(repository)
        if parts.scheme not in ("http", "https") or not parts.hostname or not name or (colon and not version):
            raise UsageError(
                f"{text!r} is no chart", hint="Write https://HOST/PATH/NAME:VERSION, or oci://HOST/PATH/NAME:VERSION."
            )
        if not is_exact(version):
            ChartRange.parse(version or "*")
        found = cls(repository, name, version)
        _ = found.at(version if is_exact(version) else "0").reference
        return found

    def at(self, version: str) -> Self:
        """Return the chart in one version."""
        return type(self)(self.repository, self.name, version)

    @property
    def reference(self) -> Reference:
        """What it is called as an image; a tag has no +, so helm writes _ for it. Raises UsageError."""
        parts = urlsplit(self.repository)
        path = "/".join(filter(None, (parts.path.strip("/"), self.name))).lower()
        try:
            return Reference.parse(f"{parts.netloc}/{path}:{self.version.replace('+', '_')}")
        except InvalidReferenceError as error:
            raise UsageError(f"{self}: {error}", hint=error.hint) from None

    def __str__(self) -> str:
        return f"{self.repository}/{self.name}{':' if self.version else ''}{self.version}"


def fetch_chart(chart: ChartName, fetch: Fetch) -> Layout:
    """Fetch a chart, the highest version of a range, checked against the digest in the repository's index, as a layout that holds it.

    Raises NotFoundError, ContentError, RegistryError.
    """
    release = _release(chart, releases_of(fetch("index.yaml", _MOST_INDEX), chart.name, str(chart)))
    chart = chart.at(release.version)
    package = fetch(release.url, _MOST_CHART)
    digest = digest_of(package).partition(":")[2]
    if release.digest and not hmac.compare_digest(release.digest, digest):
        raise ContentError(
            f"{chart}: the package has the digest {digest}, the index of the repository says {release.digest}",
            hint="Nothing of it was used. Ask who runs the repository.",
        )
    metadata = _metadata(chart, package)
    if (metadata.get("name"), metadata.get("version")) != (chart.name, chart.version):
        raise ContentError(
            f"{chart}: the package is of {metadata.get('name')} {metadata.get('version')}, as its Chart.yaml says"
        )
    return _layout(chart, metadata, package, _provenance(release, fetch))


def _release(chart: ChartName, releases: list[Release]) -> Release:
    whole = [release for release in releases if release.url]
    version = highest((release.version for release in whole), chart.version)
    if version is None:
        raise no_such_chart(chart, [release.version for release in releases], urlsplit(chart.repository).netloc)
    return next(release for release in whole if release.version == version)


def no_such_chart(chart: object, versions: Sequence[str], host: str) -> NotFoundError:
    """Return the error for a chart that a repository does not have in a version, with those that are there."""
    there = ", ".join(versions[:5])
    return NotFoundError(
        f"{chart}: the repository has no such chart",
        host=host,
        hint=f"It has {there}{', ...' if len(versions) > 5 else ''}." if there else "Check its name.",
    )


def _provenance(release: Release, fetch: Fetch) -> bytes | None:
    """Return the signature that lies beside a package, if there is one."""
    parts = urlsplit(release.url)
    try:
        return fetch(parts._replace(path=f"{parts.path}.prov").geturl(), _MOST_METADATA)
    except NotFoundError:
        return None


def _layout(chart: ChartName, metadata: dict[str, Any], package: bytes, provenance: bytes | None) -> Layout:
    parts = [(CONFIG_TYPE, msgspec.json.encode(metadata)), (CHART_TYPE, package)]
    if provenance is not None:
        parts.append((PROVENANCE_TYPE, provenance))
    config, *layers = (Descriptor(kind, digest_of(body), len(body)) for kind, body in parts)
    annotations = {
        "org.opencontainers.image.title": chart.name,
        "org.opencontainers.image.version": chart.version,
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": config,
        "layers": layers,
        "annotations": annotations,
    }
    raw = RawManifest.of(msgspec.json.encode(manifest), OCI_MANIFEST)
    named = Named(Descriptor(raw.media_type, raw.digest, len(raw.body)), chart.reference, str(chart.reference))
    files = Held({blob_path(digest_of(body)): body for _, body in parts}, str(chart))
    return Layout(files, (named,), made={raw.digest: raw})


def _metadata(chart: ChartName, package: bytes) -> dict[str, Any]:
    """Read Chart.yaml of a package as the JSON that is a chart's config; raises ContentError."""
    try:
        body = next(_chart_files(package), None)
        if body is None:
            raise ContentError(f"{chart}: there is no Chart.yaml in the package")
        found = read_text(body)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError) as error:
        raise ContentError(f"{chart}: the package cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict):
        raise ContentError(f"{chart}: Chart.yaml in the package is no mapping")
    return cast(dict[str, Any], _typed(found))


def _chart_files(package: bytes) -> Iterator[bytes]:
    plain = _Bounded(cast(IO[bytes], gzip.GzipFile(fileobj=io.BytesIO(package))))
    with tarfile.open(fileobj=cast(IO[bytes], plain), mode="r|") as archive:
        for member in archive:
            parts = member.name.removeprefix("./").split("/")
            if member.isreg() and len(parts) == 2 and parts[1] == "Chart.yaml" and member.size <= _MOST_METADATA:
                opened = archive.extractfile(member)
                yield opened.read() if opened else b""


def _typed(value: Any, key: str = "") -> Any:
    """Give text the types of helm's struct (pkg/chart, Metadata): all is text there, but for two switches."""
    if isinstance(value, dict):
        return {str(name): _typed(part, str(name)) for name, part in value.items() if part not in ("", "~", "null")}
    if isinstance(value, list):
        return [_typed(part) for part in value]
    return value.lower() in _TRUE if key in ("deprecated", "enabled") else value


class _Bounded:
    """A file that ends in an error where it is larger than a chart may be."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._left = file, _MOST_PLAIN

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise ValueError(f"it unpacks to more than {_MOST_PLAIN} bytes")
        return data
