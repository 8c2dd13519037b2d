"""OCI layouts, from which clients push and into which they pull."""

from pathlib import Path

import msgspec

from tests.kit import images
from tests.peers.door import TAG


def blobs(layout: Path) -> dict[str, bytes]:
    """Return everything in a layout, by its digest's digits."""
    return {path.name: path.read_bytes() for path in (layout / "blobs" / "sha256").iterdir()}


def write_layout(content: images.Content, path: Path, tag: str = TAG) -> Path:
    """Write content as an OCI layout whose one tag names it."""
    directory = path / "blobs" / "sha256"
    directory.mkdir(parents=True)
    manifests = {part.digest: part.manifest.body for part in content.walk()}
    for digest, data in {**content.all_blobs, **manifests}.items():
        (directory / digest.partition(":")[2]).write_bytes(data)
    descriptor = content.descriptor({"org.opencontainers.image.ref.name": tag})
    index = {"schemaVersion": 2, "manifests": [descriptor]}
    (path / "index.json").write_bytes(msgspec.json.encode(index))
    (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return path
