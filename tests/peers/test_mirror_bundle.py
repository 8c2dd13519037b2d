"""Bundles read by clients of others, and archives of others read by `homeport bundle`."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from homeport.reference import Reference
from tests.kit import images
from tests.kit.clients import open_registries
from tests.kit.peers import run_peer
from tests.kit.servers import HOMEPORT, RunningRegistry, running_registry

pytestmark = pytest.mark.peers


class Gap:
    def __init__(self, stack: ExitStack, home: Path) -> None:
        self.environment = {**os.environ, "HOME": str(home)}
        self.source: RunningRegistry = stack.enter_context(running_registry())
        self.target: RunningRegistry = stack.enter_context(running_registry())

    def publish(self, content: images.Content, name: str) -> str:
        repository, _, tag = name.partition(":")
        with open_registries() as registries:
            images.put(content, registries.client(self.source.host), repository, tag)
        return f"{self.source.host}/{name}"

    def bundle(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            (*HOMEPORT, "bundle", *map(str, arguments)),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env=self.environment,
        )

    def at_target(self, name: str) -> str | None:
        reference = Reference.parse(f"{self.target.host}/{name}")
        with open_registries() as registries:
            head = registries.client(self.target.host).head_manifest(reference.repository, reference.identifier)
            return head.digest if head else None


@pytest.fixture
def gap(tmp_path: Path) -> Iterator[Gap]:
    with ExitStack() as stack:
        yield Gap(stack, tmp_path)


def test_skopeo_copies_from_a_bundle(gap: Gap, tmp_path: Path):
    content = images.multi_arch("redis")
    name = gap.publish(content, "redislabs/redis:7.2.4-64")
    done = gap.bundle("save", "-o", tmp_path / "b.tar", name)
    assert done.returncode == 0, done.stdout + done.stderr
    run_peer(
        "skopeo",
        "copy",
        "--all",
        "--preserve-digests",
        "--dest-tls-verify=false",
        f"oci-archive:{tmp_path}/b.tar:{name}",
        f"docker://{gap.target.host}/app:1",
    )
    assert gap.at_target("app:1") == content.digest


def test_the_parts_of_a_bundle_are_one_when_they_are_joined(gap: Gap, tmp_path: Path):
    name = gap.publish(images.image(images.layer("large", 200_000)), "app:1")
    assert gap.bundle("save", "-o", tmp_path / "b.tar", "--split-size", "64KiB", name).returncode == 0
    parts = sorted(tmp_path.glob("b.tar.0*"))
    assert len(parts) > 2
    joined = tmp_path / "joined.tar"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    subprocess.run(("sha256sum", "--check", "--quiet", "b.tar.sha256"), cwd=tmp_path, check=True)
    subprocess.run(("tar", "-tf", joined), check=True, capture_output=True)
    assert "sha256:" in run_peer("skopeo", "inspect", "--raw", f"oci-archive:{joined}:{name}")


def test_an_archive_of_skopeo_is_loaded_with_its_digest(gap: Gap, tmp_path: Path):
    content = images.multi_arch("redis", attested=False)
    name = gap.publish(content, "redislabs/redis:1")
    archive = f"oci-archive:{tmp_path}/s.tar:redislabs/redis:1"
    run_peer("skopeo", "copy", "--all", "--preserve-digests", "--src-tls-verify=false", f"docker://{name}", archive)
    done = gap.bundle("load", "--to", gap.target.host, tmp_path / "s.tar")
    assert done.returncode == 0, done.stdout + done.stderr
    assert gap.at_target("redislabs/redis:1") == content.digest


@pytest.mark.parametrize("form", ["docker-archive", "crane"])
def test_archives_in_the_form_of_docker_save_are_loaded(gap: Gap, tmp_path: Path, form: str):
    content = images.image(images.layer("one"), images.layer("two"), docker=True)
    name = gap.publish(content, "app:1")
    if form == "crane":
        run_peer("crane", "pull", "--insecure", name, str(tmp_path / "d.tar"))
    else:
        source, archive = f"docker://{name}", f"docker-archive:{tmp_path}/d.tar:{name}"
        run_peer("skopeo", "copy", "--src-tls-verify=false", source, archive)
    done = gap.bundle("load", "--to", gap.target.host, tmp_path / "d.tar")
    assert done.returncode == 0, done.stdout + done.stderr
    assert gap.at_target("app:1")
    run_peer("skopeo", "inspect", "--tls-verify=false", f"docker://{gap.target.host}/app:1")
    assert gap.bundle("load", "--to", gap.target.host, tmp_path / "d.tar").stdout.startswith("STATUS   IMAGE")


def test_a_folder_that_crane_wrote_is_loaded_under_the_name_that_is_given(gap: Gap, tmp_path: Path):
    content = images.image(images.layer("one"))
    name = gap.publish(content, "app:1")
    run_peer("crane", "pull", "--insecure", "--format", "oci", name, str(tmp_path / "layout"))
    done = gap.bundle("load", "--to", gap.target.host, tmp_path / "layout", "--name", "team/app:1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert gap.at_target("team/app:1") == content.digest


@pytest.mark.parametrize("kind", ["ed25519", "EC"])
def test_a_signed_bundle_is_checked_by_hand(gap: Gap, tmp_path: Path, kind: str):
    (tmp_path / "word").write_text("open sesame\n")
    curve = ("-pkeyopt", "ec_paramgen_curve:P-256") if kind == "EC" else ()
    _openssl(tmp_path, "genpkey", "-algorithm", kind, *curve, "-aes256", "-pass", "file:word", "-out", "own.key")
    _openssl(tmp_path, "pkey", "-in", "own.key", "-passin", "file:word", "-pubout", "-out", "own.pub")
    name = gap.publish(images.multi_arch("redis"), "redislabs/redis:7.2.4-64")
    word = ("--sign-key", tmp_path / "own.key", "--sign-password-file", tmp_path / "word")
    done = gap.bundle("save", "-o", tmp_path / "b.tar", *word, name)
    assert done.returncode == 0, done.stdout + done.stderr
    assert gap.bundle("verify", tmp_path / "b.tar", "--verify-key", tmp_path / "own.pub").returncode == 0

    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    subprocess.run(("tar", "-xf", tmp_path / "b.tar", "-C", unpacked), check=True)
    files = ("-in", "homeport-bundle.sha256", "-sigfile", "homeport-bundle.sha256.sig")
    _openssl(unpacked, "pkeyutl", "-verify", "-pubin", "-inkey", "../own.pub", "-rawin", *files)
    subprocess.run(("sha256sum", "--check", "--quiet", "--strict", "homeport-bundle.sha256"), cwd=unpacked, check=True)
    listed = {line.split("  ")[1] for line in (unpacked / "homeport-bundle.sha256").read_text().splitlines()}
    there = {str(file.relative_to(unpacked)) for file in unpacked.rglob("*") if file.is_file()}
    assert there - listed == {"homeport-bundle.sha256", "homeport-bundle.sha256.sig"}


def _openssl(folder: Path, *arguments: str) -> None:
    done = subprocess.run(("openssl", *arguments), cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
