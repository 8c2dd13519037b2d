"""Files that are named as skopeo names them, as sources and as targets."""

from pathlib import Path

import pytest

from homeport.cli.local_sources import LocalSource, split_local
from homeport.cli.local_targets import local_target
from homeport.errors import UsageError


def test_files_are_told_from_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("here").mkdir()
    Path("with:colon.tar").touch()
    names, local = split_local(
        ["oci:1.0", "redis:7", "oci:here:a/b:1", "oci:some/where", "oci-archive:a.tar", "docker-archive:with:colon.tar"]
    )
    assert names == ["oci:1.0", "redis:7"]
    assert local == [
        LocalSource(Path("here"), "a/b:1"),
        LocalSource(Path("some/where")),
        LocalSource(Path("a.tar")),
        LocalSource(Path("with:colon.tar")),
    ]


@pytest.mark.parametrize("text", ["registry.example.com", "oci:5000", "oci:5000/team", "localhost:5000/oci"])
def test_registries_are_no_files(text: str):
    assert local_target(text) is None


@pytest.mark.parametrize("text", ["oci:", "oci-archive:", "docker-archive:", "oci-archive:a.tar:redis:7"])
def test_a_target_is_a_path_and_nothing_else(text: str):
    with pytest.raises(UsageError, match="without a name"):
        local_target(text)
