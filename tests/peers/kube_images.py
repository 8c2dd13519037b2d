"""Images whose containers really run: a static busybox that waits until it is told to stop."""

import io
import json
import os
import tarfile
from functools import cache
from pathlib import Path

import pytest

from homeport.oci.digest import digest_of
from homeport.oci.manifest import Descriptor, Platform, RawManifest
from homeport.oci.media_types import OCI_CONFIG, OCI_MANIFEST
from tests.kit.images import OCI_LAYER, Content, index

BUSYBOX = Path("/bin/busybox")
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_WAIT = "trap 'exit 0' TERM INT; sleep 1000000 & wait"


def sleeper(name: str, platform: str = "") -> Content:
    """Make an image that runs until it is stopped; images of other names have other digests."""
    architecture = platform or _MACHINES[os.uname().machine]
    root = _busybox()
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {"Entrypoint": ["/bin/busybox", "sh", "-c", _WAIT], "Labels": {"name": name}},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(root)]},
    }
    blobs = tuple(
        (Descriptor(kind, digest_of(data), len(data)), data)
        for kind, data in ((OCI_CONFIG, json.dumps(config).encode()), (OCI_LAYER, root))
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": _json(blobs[0][0]),
        "layers": [_json(blobs[1][0])],
    }
    body = json.dumps(manifest).encode()
    return Content(RawManifest.of(body, OCI_MANIFEST), blobs, platform=Platform(architecture=architecture, os="linux"))


def sleepers(name: str) -> Content:
    """Make an index of such an image for this machine."""
    return index(sleeper(name))


def _json(blob: Descriptor) -> dict[str, object]:
    return {"mediaType": blob.media_type, "digest": blob.digest, "size": blob.size}


@cache
def _busybox() -> bytes:
    if not BUSYBOX.exists():
        pytest.skip("busybox-static is not installed: run tests/peers/install.sh")
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        data = BUSYBOX.read_bytes()
        entry = tarfile.TarInfo("bin/busybox")
        entry.size, entry.mode = len(data), 0o755
        archive.addfile(entry, io.BytesIO(data))
        link = tarfile.TarInfo("bin/sleep")
        link.type, link.linkname = tarfile.SYMTYPE, "busybox"
        archive.addfile(link)
    return held.getvalue()
