"""Layouts and archives of others that say what is not so: refused, by the name of the file."""

import msgspec
import pytest

from homeport.errors import ContentError
from homeport.oci.digest import digest_of
from homeport.oci.manifest import Descriptor
from homeport.store.docker_archive import read_docker_archive
from homeport.store.files import Held
from homeport.store.oci_layout import FileBlob, read_layout

LAYER = b"a layer"
DIFF = digest_of(LAYER)


def layout(**files: object) -> Held:
    bodies = {"oci-layout": {"imageLayoutVersion": "1.0.0"}, "index.json": {"manifests": []}, **files}
    return Held({path: msgspec.json.encode(body) for path, body in bodies.items()}, "x.tar")


@pytest.mark.parametrize(
    "digest", ["sha256:../../../etc/passwd", "../x", "sha256:" + "g" * 64, "sha256:" + "a" * 63, ""]
)
def test_a_digest_that_is_a_path_is_refused(digest: str):
    entry = {"mediaType": "x", "digest": digest, "size": 1}
    with pytest.raises(ContentError, match="is not a digest"):
        read_layout(layout(**{"index.json": {"manifests": [entry]}}))


def test_a_negative_size_is_refused():
    entry = {"mediaType": "x", "digest": DIFF, "size": -1}
    with pytest.raises(ContentError, match="is not a digest"):
        read_layout(layout(**{"index.json": {"manifests": [entry]}}))


@pytest.mark.parametrize(("digest", "size"), [(DIFF, len(LAYER) + 1), (DIFF, len(LAYER) - 1), (DIFF, 0)])
def test_a_blob_of_another_size_is_refused_before_it_is_read(digest: str, size: int):
    with pytest.raises(ContentError, match=f"has {len(LAYER)} bytes in it, {size} are named"):
        FileBlob(Held({"x": LAYER}, "x.tar"), "x", Descriptor("x", digest, size))


def test_nothing_is_not_a_blob_of_another_digest():
    with pytest.raises(ContentError, match="is damaged in it"):
        FileBlob(Held({"x": b""}, "x.tar"), "x", Descriptor("x", DIFF, 0))
    FileBlob(Held({"x": b""}, "x.tar"), "x", Descriptor("x", digest_of(b""), 0)).read_through()


def docker(layers: list[str], diffs: list[str], layer: bytes = LAYER, config: object = None) -> Held:
    listed = [{"Config": "config.json", "RepoTags": ["app:1"], "Layers": layers}]
    config = config or {"rootfs": {"type": "layers", "diff_ids": diffs}}
    files = {"manifest.json": msgspec.json.encode(listed), "config.json": msgspec.json.encode(config)}
    return Held({**files, "layer.tar": layer}, "x.tar")


def test_an_archive_of_docker_gets_the_manifest_that_it_lacks():
    (named,) = read_docker_archive(docker(["layer.tar"], [DIFF])).images
    assert str(named.reference) == "docker.io/library/app:1"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (docker(["layer.tar"], []), "names other layers"),
        (docker(["layer.tar"], [DIFF, DIFF]), "names other layers"),
        (docker(["layer.tar"], ["sha256:../../x"]), "names other layers"),
        (docker(["none.tar"], [DIFF]), "none.tar is missing"),
        (docker(["../../etc/passwd"], [DIFF]), "is missing"),
        (docker(["\x1b[2J"], [DIFF]), "cannot be shown"),
        (docker(["layer.tar"], [DIFF], b"\x28\xb5\x2f\xfd..."), "packed by zstd"),
        (docker(["layer.tar"], [DIFF], config="text"), "is no image's config"),
        (docker(["layer.tar"], [DIFF], config={"rootfs": {"diff_ids": 1}}), "is no image's config"),
    ],
)
def test_an_archive_of_docker_that_does_not_fit_is_refused(files: Held, words: str):
    with pytest.raises(ContentError, match=words):
        read_docker_archive(files)


def test_a_plain_layer_of_docker_is_what_its_config_says_or_damaged():
    changed = docker(["layer.tar"], [DIFF], b"b" + LAYER[1:])
    found = read_docker_archive(changed)
    with pytest.raises(ContentError, match=r"x.tar: .* is damaged in it"):
        found.blob(Descriptor("x", DIFF, len(LAYER))).read_through()
