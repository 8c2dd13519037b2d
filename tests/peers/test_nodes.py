"""Real runtimes take the node configuration: containers/image (skopeo, as CRI-O) and containerd pull from the target alone."""

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from homeport.mapping import Mapping
from homeport.oci.digest import digest_of
from homeport.reference import Reference
from homeport.relocation.nodes import node_files, prefixes_of
from tests.kit import images
from tests.kit.clients import open_registries
from tests.kit.peers import peer, run_peer
from tests.kit.servers import running_registry

pytestmark = pytest.mark.peers

NAMES = ["docker.io/library/nginx:1", "quay.io/org/app:2", "registry.example.org:5000/a/b:3"]


class Home(msgspec.Struct, frozen=True):
    """A registry that has images under the names of a mapping, and their digests by their names at the source."""

    mapping: Mapping
    digests: dict[str, str]

    def write(self, runtime: str, folder: Path) -> Path:
        prefixes = prefixes_of(self.mapping, [Reference.parse(name) for name in NAMES])
        for name, text in node_files(prefixes, runtime, plain_http=True).files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        return folder


@pytest.fixture(params=[{}, {"keep_registry": True}], ids=["dropped", "kept"])
def home(request) -> Iterator[Home]:
    with running_registry() as server, open_registries() as registries:
        mapping = Mapping.parse(f"{server.host}/mirror", **request.param)
        digests = {}
        for name in NAMES:
            target = mapping.relocate(Reference.parse(name))
            content = images.image(label=name)
            images.put(content, registries.client(server.host), target.repository, target.tag)
            digests[name] = content.digest
        yield Home(mapping, digests)


def test_cri_os_library_pulls_from_the_target(home, tmp_path):
    folder = home.write("cri-o", tmp_path) / "etc/containers/registries.conf.d"
    for name, digest in home.digests.items():
        conf = str(folder / "50-homeport.conf")
        manifest = run_peer("skopeo", "--registries-conf", conf, "inspect", "--raw", f"docker://{name}")
        assert digest_of(manifest.encode()) == digest


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="containerd is started by root")
def test_containerd_pulls_from_the_target(home, tmp_path):
    hosts = home.write("containerd", tmp_path) / "etc/containerd/certs.d"
    socket = tmp_path / "c.sock"
    config = tmp_path / "config.toml"
    config.write_text(
        f'version = 2\nroot = "{tmp_path}/root"\nstate = "{tmp_path}/state"\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
        f'[grpc]\naddress = "{socket}"\n[ttrpc]\naddress = "{tmp_path}/t.sock"\n'
    )
    command = (peer("containerd"), "--config", str(config))
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as daemon:
        assert daemon.stderr
        assert any("containerd successfully booted" in line for line in daemon.stderr)
        threading.Thread(target=daemon.stderr.read).start()
        try:
            for name, digest in home.digests.items():
                run_peer("ctr", "--address", str(socket), "content", "fetch", "--hosts-dir", str(hosts), name)
                assert digest in run_peer("ctr", "--address", str(socket), "images", "ls", f"name=={name}")
        finally:
            daemon.terminate()
            daemon.wait()
