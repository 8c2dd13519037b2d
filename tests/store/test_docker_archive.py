"""What `docker save` writes, read."""

import gzip
import json

import pytest

from homeport.errors import ContentError
from homeport.oci.digest import digest_of
from homeport.oci.manifest import parse_manifest
from homeport.store.docker_archive import read_docker_archive
from homeport.store.files import Held
from homeport.store.packed import pack

LAYER = b"a layer" * 100


def archive(layer: bytes, diff_ids: list[str] | None = None) -> Held:
    config = {"rootfs": {"type": "layers", "diff_ids": [digest_of(LAYER)] if diff_ids is None else diff_ids}}
    listed = [{"Config": "c.json", "RepoTags": ["redis:7"], "Layers": ["l.tar"]}]
    files = {"manifest.json": json.dumps(listed).encode(), "c.json": json.dumps(config).encode(), "l.tar": layer}
    return Held(files, "d.tar")


@pytest.mark.parametrize(("packed", "kind"), [(LAYER, "tar"), (gzip.compress(LAYER, mtime=0), "tar.gzip")])
def test_layers_are_named_by_the_bytes_that_are_there(packed: bytes, kind: str):
    layout = read_docker_archive(archive(packed))
    (layer,) = parse_manifest(layout.manifest(layout.images[0].manifest.digest)).layers
    assert (layer.digest, layer.size) == (digest_of(packed), len(packed))
    assert layer.media_type.endswith(kind)
    layout.blob(layer).read_through()


def test_a_layer_that_a_docker_manifest_cannot_name_is_refused():
    with pytest.raises(ContentError, match="packed by zstd"):
        read_docker_archive(archive(pack(LAYER)))


@pytest.mark.parametrize("diff_ids", [[], ["sha256:short"], [digest_of(LAYER)] * 2])
def test_a_config_that_names_other_layers_is_refused(diff_ids: list[str]):
    with pytest.raises(ContentError, match="names other layers"):
        read_docker_archive(archive(LAYER, diff_ids))
