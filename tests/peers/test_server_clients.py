"""skopeo, crane, regctl and oras push to and pull from the real process, through each kind of door."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit import images
from tests.kit.peers import run_peer
from tests.peers.door import REPOSITORY, TAG, Door
from tests.peers.layouts import blobs, write_layout

pytestmark = pytest.mark.peers


def skopeo_push(door: Door, layout: Path) -> None:
    ways = ["--dest-cert-dir", str(door.config)] if door.ca_file else ["--dest-tls-verify=false"]
    ways += ["--dest-authfile", str(door.config / "config.json")]
    run_peer(
        "skopeo", "copy", "-q", "--all", "--preserve-digests", *ways, f"oci:{layout}:{TAG}", f"docker://{door.name}"
    )


def skopeo_pull(door: Door, layout: Path) -> None:
    ways = ["--src-cert-dir", str(door.config)] if door.ca_file else ["--src-tls-verify=false"]
    ways += ["--src-authfile", str(door.config / "config.json")]
    run_peer(
        "skopeo", "copy", "-q", "--all", "--preserve-digests", *ways, f"docker://{door.name}", f"oci:{layout}:{TAG}"
    )


def crane(door: Door, *arguments: str) -> str:
    way = [] if door.ca_file else ["--insecure"]
    return run_peer("crane", *arguments, *way, **door.environment)


def crane_push(door: Door, layout: Path) -> None:
    crane(door, "push", str(layout), door.name)


def crane_pull(door: Door, layout: Path) -> None:
    crane(door, "pull", "--format=oci", door.name, str(layout))


def regctl(door: Door, *arguments: str) -> str:
    way = f"reg={door.host},tls={'enabled' if door.ca_file else 'disabled'}"
    return run_peer("regctl", *arguments, "--host", way, **door.environment)


def regctl_push(door: Door, layout: Path) -> None:
    regctl(door, "image", "copy", f"ocidir://{layout}:{TAG}", door.name)


def regctl_pull(door: Door, layout: Path) -> None:
    regctl(door, "image", "copy", door.name, f"ocidir://{layout}:{TAG}")


def oras_push(door: Door, layout: Path) -> None:
    way = ["--to-ca-file", str(door.ca_file)] if door.ca_file else ["--to-plain-http"]
    way += ["--to-registry-config", str(door.config / "config.json")]
    run_peer("oras", "copy", *way, "--from-oci-layout", f"{layout}:{TAG}", door.name)


def oras_pull(door: Door, layout: Path) -> None:
    way = ["--from-ca-file", str(door.ca_file)] if door.ca_file else ["--from-plain-http"]
    way += ["--from-registry-config", str(door.config / "config.json")]
    run_peer("oras", "copy", *way, "--to-oci-layout", door.name, f"{layout}:{TAG}")


CLIENTS: dict[str, tuple[Callable[[Door, Path], None], Callable[[Door, Path], None]]] = {
    "skopeo": (skopeo_push, skopeo_pull),
    "crane": (crane_push, crane_pull),
    "regctl": (regctl_push, regctl_pull),
    "oras": (oras_push, oras_pull),
}


def index_digest(layout: Path) -> str:
    """Return what the layout's tag names; crane writes an image without its tag, oras lists children beside it."""
    named = json.loads((layout / "index.json").read_text())["manifests"]
    tagged = [entry for entry in named if TAG in entry.get("annotations", {}).values()]
    [descriptor] = tagged or named
    return descriptor["digest"]


@pytest.mark.parametrize("client", CLIENTS)
def test_what_a_client_pushes_it_pulls_again_byte_for_byte(client, door, tmp_path):
    push, pull = CLIENTS[client]
    content = images.multi_arch("redis", size=3_000_000, attested=False)
    source, target = write_layout(content, tmp_path / "source"), tmp_path / "target"
    push(door, source)
    pull(door, target)
    assert index_digest(target) == content.digest
    assert blobs(target) == blobs(source)
    assert crane(door, "digest", door.name).strip() == content.digest
    assert crane(door, "ls", f"{door.host}/{REPOSITORY}").split() == [TAG]


def test_a_second_push_is_taken_and_changes_nothing(door, tmp_path):
    content = images.multi_arch("redis")
    source = write_layout(content, tmp_path / "source")
    for push, _ in CLIENTS.values():
        push(door, source)
    assert crane(door, "digest", door.name).strip() == content.digest


def test_a_login_is_asked_for(door, tmp_path):
    if not door.ca_file:
        pytest.skip("this registry is open")
    with pytest.raises(AssertionError, match="UNAUTHORIZED"):
        run_peer("crane", "ls", f"{door.host}/{REPOSITORY}", **{**door.environment, "DOCKER_CONFIG": str(tmp_path)})
    with pytest.raises(AssertionError, match="certificate"):
        run_peer("crane", "ls", f"{door.host}/{REPOSITORY}", DOCKER_CONFIG=str(door.config))


def test_crane_mounts_deletes_and_lists(door, tmp_path):
    crane_push(door, write_layout(images.image(images.layer("one")), tmp_path / "source"))
    crane(door, "copy", door.name, f"{door.host}/other/name:x")
    assert crane(door, "catalog", door.host).split() == ["other/name", REPOSITORY]
    digest = crane(door, "digest", door.name).strip()
    crane(door, "delete", f"{door.host}/other/name@{digest}")
    assert crane(door, "catalog", door.host).split() == [REPOSITORY]
    assert crane(door, "digest", door.name).strip() == digest


def test_oras_attaches_and_finds_what_refers_to_an_image(door, tmp_path, monkeypatch):
    content = images.image(images.layer("one"))
    oras_push(door, write_layout(content, tmp_path / "source"))
    way = ["--ca-file", str(door.ca_file)] if door.ca_file else ["--plain-http"]
    way += ["--registry-config", str(door.config / "config.json")]
    (tmp_path / "sbom.json").write_text("{}")
    monkeypatch.chdir(tmp_path)  # oras takes files by relative names only
    run_peer("oras", "attach", *way, "--artifact-type", "application/vnd.sbom+json", door.name, "sbom.json")
    found = json.loads(run_peer("oras", "discover", *way, "--format", "json", door.name))
    assert [entry["artifactType"] for entry in found["referrers"]] == ["application/vnd.sbom+json"]
