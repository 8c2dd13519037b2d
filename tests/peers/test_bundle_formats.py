"""Archives that real programs write are loaded, and bundles are read by them."""

import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from homeport.oci.manifest import parse_manifest
from homeport.reference import Reference
from tests.kit import images
from tests.kit.clients import open_registries
from tests.kit.peers import distribution, run_peer
from tests.kit.servers import HOMEPORT, running_registry
from tests.peers.daemons import Run, as_root, containerd, dockerd

pytestmark = pytest.mark.peers


class Gap:
    """A source, a target, and the command."""

    def __init__(self, stack: ExitStack, home: Path) -> None:
        self.home = home
        self.source = stack.enter_context(running_registry()).host
        self.target = stack.enter_context(running_registry()).host

    def publish(self, content: images.Content, name: str) -> str:
        repository, _, tag = name.partition(":")
        with open_registries() as registries:
            images.put(content, registries.client(self.source), repository, tag)
        return f"{self.source}/{name}"

    def run(self, *arguments: str | Path, fails: bool = False) -> str:
        done = subprocess.run(
            (*HOMEPORT, *map(str, arguments)),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, "HOME": str(self.home)},
        )
        assert bool(done.returncode) is fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    def load(self, file: Path, *options: str, fails: bool = False) -> str:
        return self.run("bundle", "load", "--to", self.target, file, *options, fails=fails)

    def at_target(self, name: str) -> str | None:
        reference = Reference.parse(f"{self.target}/{name}")
        with open_registries() as registries:
            head = registries.client(self.target).head_manifest(reference.repository, reference.identifier)
            return head.digest if head else None

    def config_at_target(self, name: str) -> str:
        reference = Reference.parse(f"{self.target}/{name}")
        with open_registries() as registries:
            raw = registries.client(self.target).get_manifest(reference.repository, reference.identifier)
        config = parse_manifest(raw).config
        assert config
        return config.digest


@pytest.fixture
def gap(tmp_path: Path) -> Iterator[Gap]:
    with ExitStack() as stack:
        yield Gap(stack, tmp_path)


@pytest.fixture
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with dockerd(tmp_path_factory.mktemp("d")) as run:  # the names of sockets have a limit
        yield run


@pytest.fixture
def ctr(tmp_path: Path) -> Iterator[Run]:
    with containerd(tmp_path) as run:
        yield run


@as_root
def test_what_docker_saves_is_loaded_with_its_image_ids(gap: Gap, docker: Run, tmp_path: Path):
    (tmp_path / "text").write_text("hello")
    with tarfile.open(tmp_path / "root.tar", "w") as archive:
        archive.add(tmp_path / "text", "text")
    docker("import", str(tmp_path / "root.tar"), "team/app:1")
    (tmp_path / "Dockerfile").write_text("FROM team/app:1\nCOPY text /more\n")
    docker("build", "--tag", "team/app:2", str(tmp_path), "--file", str(tmp_path / "Dockerfile"))
    docker("tag", "team/app:2", "redis:7")
    docker("save", "--output", str(tmp_path / "d.tar"), "team/app:1", "team/app:2", "redis:7")
    assert "3 copied" in gap.load(tmp_path / "d.tar")
    for name, at_target in (("team/app:1", "team/app:1"), ("team/app:2", "team/app:2"), ("redis:7", "library/redis:7")):
        assert gap.config_at_target(at_target) == docker("inspect", "--format", "{{.Id}}", name)
    docker("pull", f"{gap.target}/team/app:2")
    assert docker("inspect", "--format", "{{.Id}}", f"{gap.target}/team/app:2") == gap.config_at_target("team/app:2")
    assert "3 present" in gap.load(tmp_path / "d.tar")


@as_root
def test_what_containerd_exports_as_dockers_image_store_does_is_loaded(gap: Gap, ctr: Run, tmp_path: Path):
    content = images.multi_arch("redis", attested=False)
    name = gap.publish(content, "redislabs/redis:7")
    gap.run("bundle", "save", "-o", tmp_path / "b.tar", name)
    ctr("import", "--all-platforms", "--no-unpack", str(tmp_path / "b.tar"))
    assert content.digest in ctr("ls", f"name=={name}")

    ctr("export", "--all-platforms", str(tmp_path / "all.tar"), name)
    gap.load(tmp_path / "all.tar")
    assert gap.at_target("redislabs/redis:7") == content.digest


@as_root
def test_an_export_of_one_platform_is_loaded_as_such(gap: Gap, ctr: Run, tmp_path: Path):
    content = images.multi_arch("redis", attested=False)
    name = gap.publish(content, "redislabs/redis:7")
    gap.run("bundle", "save", "-o", tmp_path / "b.tar", name)
    ctr("import", "--all-platforms", "--no-unpack", str(tmp_path / "b.tar"))
    ctr("export", "--platform", "linux/arm64", str(tmp_path / "one.tar"), name)
    assert "--platform OS/ARCHITECTURE" in gap.load(tmp_path / "one.tar", fails=True)
    with distribution(tmp_path / "validating") as validating:
        one = ("bundle", "load", "--to", validating, "--platform", "linux/arm64", tmp_path / "one.tar")
        assert "--rebuild-index" in gap.run(*one, fails=True)
        assert "ANOTHER DIGEST" in gap.run(*one, "--rebuild-index")
        made = run_peer("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{validating}/redislabs/redis:7")
        assert content.children[1].digest in made


def test_skopeo_and_mirror_read_a_compressed_bundle(gap: Gap, tmp_path: Path):
    content = images.multi_arch("redis")
    name = gap.publish(content, "redislabs/redis:7")
    gap.run("bundle", "save", "-o", tmp_path / "b.tar.zst", name)
    subprocess.run(("tar", "--zstd", "-tf", tmp_path / "b.tar.zst"), check=True, capture_output=True)
    source = f"oci-archive:{tmp_path}/b.tar.zst:{name}"
    options = ("--all", "--preserve-digests", "--dest-tls-verify=false")
    run_peer("skopeo", "copy", *options, source, f"docker://{gap.target}/by-skopeo:7")
    assert gap.at_target("by-skopeo:7") == content.digest
    gap.run("mirror", "--to", gap.target, source)
    assert gap.at_target("redislabs/redis:7") == content.digest


@pytest.mark.parametrize("pack", ["gzip", "zstd"])
def test_archives_of_skopeo_that_were_compressed_are_loaded(gap: Gap, tmp_path: Path, pack: str):
    content = images.multi_arch("redis", attested=False)
    source, archive = gap.publish(content, "redislabs/redis:7"), tmp_path / "s.tar"
    options = ("--all", "--preserve-digests", "--src-tls-verify=false")
    run_peer("skopeo", "copy", *options, f"docker://{source}", f"oci-archive:{archive}:redislabs/redis:7")
    run_peer(pack, "-q", str(archive))
    [packed] = tmp_path.glob("s.tar.*")
    gap.load(packed)
    assert gap.at_target("redislabs/redis:7") == content.digest


def test_regctl_and_crane_read_a_bundle_and_write_archives_that_are_loaded(gap: Gap, tmp_path: Path):
    content = images.image(images.layer("one"), images.layer("two"))
    name = gap.publish(content, "team/app:1")
    gap.run("bundle", "save", "-o", tmp_path / "b.tar", name)
    (tmp_path / ".regctl").mkdir()
    plain = {"REGCTL_CONFIG": str(tmp_path / ".regctl/config.json")}
    hosts = {host: {"tls": "disabled", "hostname": host} for host in (gap.source, gap.target)}
    Path(plain["REGCTL_CONFIG"]).write_text(json.dumps({"hosts": hosts}))

    run_peer("regctl", "image", "import", f"{gap.target}/by-regctl:1", str(tmp_path / "b.tar"), **plain)
    assert gap.at_target("by-regctl:1") == content.digest
    run_peer("regctl", "image", "export", name, str(tmp_path / "r.tar"), **plain)
    gap.load(tmp_path / "r.tar", "--name", "from-regctl:1")
    assert gap.at_target("library/from-regctl:1") == content.digest

    shutil.unpack_archive(tmp_path / "b.tar", tmp_path / "unpacked", filter="data")
    run_peer("crane", "push", "--insecure", str(tmp_path / "unpacked"), f"{gap.target}/by-crane:1")
    assert gap.at_target("by-crane:1") == content.digest
