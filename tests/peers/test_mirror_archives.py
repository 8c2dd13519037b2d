"""Archives that a mirror writes, read by Docker, skopeo, crane and containerd."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.kit import images
from tests.kit.clients import open_registries
from tests.kit.peers import run_peer
from tests.kit.servers import HOMEPORT, running_registry
from tests.peers.daemons import as_root, containerd, dockerd

pytestmark = pytest.mark.peers


class Hub:
    """A stand-in for Docker Hub, and the command that takes from it."""

    def __init__(self, stack: ExitStack, home: Path) -> None:
        self.home = home
        self.host = stack.enter_context(running_registry()).host

    def publish(self, content: images.Content, repository: str) -> None:
        with open_registries() as registries:
            images.put(content, registries.client(self.host), repository, "7")

    def mirror(self, *arguments: str) -> str:
        environment = {**os.environ, "HOME": str(self.home), "HOMEPORT_ENDPOINTS": f"docker.io=http://{self.host}"}
        command = (*HOMEPORT, "mirror", *arguments)
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with ExitStack() as stack:
        yield Hub(stack, tmp_path)


def config_of(image: images.Content) -> str:
    return image.blobs[0][0].digest


@as_root
def test_docker_loads_it_with_its_names_and_image_ids(
    hub: Hub, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
):
    several = images.multi_arch("redis")
    plain, packed = (images.image(images.layer("base"), images.layer(kind), packed=kind) for kind in ("", "gzip"))
    classic = images.image(images.layer("base"), images.layer("old"), docker=True, packed="gzip")
    contents = {"library/redis": several, "team/plain": plain, "team/packed": packed, "team/classic": classic}
    for repository, content in contents.items():
        hub.publish(content, repository)
    loaded = [several.children[0], plain, packed, classic]
    names = ("redis:7", "team/plain:7", "team/packed:7", "team/classic:7")
    hub.mirror("--to", f"docker-archive:{tmp_path}/d.tar", "--platform", "linux/amd64", *names)
    with dockerd(tmp_path_factory.mktemp("d")) as docker:
        said = docker("load", "--input", f"{tmp_path}/d.tar")
        assert sorted(said.splitlines()) == sorted(f"Loaded image: {name}" for name in names)
        for name, image in zip(names, loaded, strict=True):
            shown = docker("image", "inspect", "--format", "{{.Id}} {{.Architecture}}", name)
            assert shown == f"{config_of(image)} amd64"


@as_root
def test_containerd_finds_the_digest_of_the_source_in_what_docker_reads(hub: Hub, tmp_path: Path):
    """Docker's newer image store is containerd's, which reads the OCI layout."""
    several = images.multi_arch("redis")
    hub.publish(several, "library/redis")
    hub.mirror("--to", f"docker-archive:{tmp_path}/d.tar", "--platform", "linux/amd64", "redis:7")
    with containerd(tmp_path) as ctr:
        ctr("import", "--platform", "linux/amd64", "--no-unpack", f"{tmp_path}/d.tar")
        assert several.digest in ctr("ls", "name==docker.io/library/redis:7")


def test_skopeo_and_crane_read_what_docker_reads(hub: Hub, tmp_path: Path):
    image = images.image(images.layer("base"), images.layer("app"), packed="gzip")
    hub.publish(image, "library/redis")
    hub.publish(images.multi_arch("two"), "team/two")
    hub.mirror("--to", f"docker-archive:{tmp_path}/one.tar", "redis:7")
    hub.mirror("--to", f"docker-archive:{tmp_path}/two.tar", "--platform", "linux/arm64", "redis:7", "team/two:7")
    with running_registry() as target:
        for name, file in (("redis", "one.tar"), ("redis", "two.tar"), ("team/two", "two.tar")):
            source, copied = f"docker-archive:{tmp_path}/{file}:{name}:7", f"{target.host}/{name}-{file[:3]}:1"
            run_peer("skopeo", "copy", "-q", "--dest-tls-verify=false", source, f"docker://{copied}")
            shown = run_peer("skopeo", "inspect", "--config", "--tls-verify=false", f"docker://{copied}")
            assert json.loads(shown)["architecture"] == ("arm64" if name == "team/two" else "amd64")
        run_peer("crane", "push", "--insecure", f"{tmp_path}/one.tar", f"{target.host}/crane:1")
        config = run_peer("crane", "config", "--insecure", f"{target.host}/crane:1")
        assert config.strip().encode() == image.blobs[0][1]


def test_skopeo_finds_an_image_in_an_oci_archive_by_its_name(hub: Hub, tmp_path: Path):
    several = images.multi_arch("redis")
    hub.publish(several, "library/redis")
    hub.publish(images.image(images.layer("two")), "team/two")
    assert "2 copied" in hub.mirror("--to", f"oci-archive:{tmp_path}/a.tar", "redis:7", "team/two:7")
    source = f"oci-archive:{tmp_path}/a.tar:docker.io/library/redis:7"
    with running_registry() as target:
        options = ("-q", "--all", "--preserve-digests", "--dest-tls-verify=false")
        run_peer("skopeo", "copy", *options, source, f"docker://{target.host}/redis:7")
        assert run_peer("crane", "digest", "--insecure", f"{target.host}/redis:7").strip() == several.digest


def test_an_archive_of_skopeo_keeps_what_it_holds(hub: Hub, tmp_path: Path):
    """skopeo itself replaces an OCI archive, with all that was in it."""
    one, two = images.image(images.layer("one")), images.image(images.layer("two"))
    hub.publish(one, "team/one")
    hub.publish(two, "team/two")
    archive = f"oci-archive:{tmp_path}/s.tar"
    options = ("-q", "--preserve-digests", "--src-tls-verify=false")
    run_peer("skopeo", "copy", *options, f"docker://{hub.host}/team/one:7", f"{archive}:docker.io/team/one:7")
    assert "1 present, 1 copied" in hub.mirror("--to", archive, "team/one:7", "team/two:7")
    for name, image in (("one", one), ("two", two)):
        raw = run_peer("skopeo", "inspect", "--raw", f"{archive}:docker.io/team/{name}:7")
        assert raw.encode() == image.manifest.body
