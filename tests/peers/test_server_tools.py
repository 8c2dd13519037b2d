"""helm, cosign, buildah and containerd work against the real process, each with the odd wishes it is known for."""

import os
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kit import images
from tests.kit.charts import write_chart
from tests.kit.peers import peer, run_peer
from tests.peers.door import PASSWORD, REPOSITORY, TAG, USER, Door
from tests.peers.layouts import write_layout

pytestmark = pytest.mark.peers


@pytest.mark.parametrize("name", ["helm3", "helm4"])
def test_helm_pushes_charts_and_installs_from_them(name, door, tmp_path):
    """A plus in a version is no character of a tag: Helm writes an underline, and looks for it when it pulls."""
    environment = {"HELM_REGISTRY_CONFIG": str(tmp_path / "helm.json"), "HOME": str(tmp_path)}
    way = ["--ca-file", str(door.ca_file)] if door.ca_file else ["--plain-http"]

    def helm(*arguments: str, text: str = "") -> str:
        command, env = (peer(name), *arguments), {**os.environ, **environment}
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, env=env)
        assert done.returncode == 0, f"{name} {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    chart = write_chart(tmp_path / "chart")
    for version in ("0.1.0", "0.2.0+build.1"):
        helm("package", str(chart), "--version", version, "--destination", str(tmp_path))
    packed = tmp_path / "demo-0.2.0+build.1.tgz"
    provenance = tmp_path / f"{packed.name}.prov"
    provenance.write_text("a signature")
    if door.ca_file:
        helm("registry", "login", door.host, "--username", USER, "--password-stdin", *way, text=PASSWORD)
    for file in (tmp_path / "demo-0.1.0.tgz", packed):
        helm("push", str(file), f"oci://{door.host}/charts", *way)

    listed = run_peer("crane", "ls", f"{door.host}/charts/demo", *_insecure(door), **door.environment)
    assert listed.split() == ["0.1.0", "0.2.0_build.1"]
    pulled = tmp_path / "pulled"
    pulled.mkdir()
    helm("pull", f"oci://{door.host}/charts/demo", "--version", ">0.1.0", "--prov", "-d", str(pulled), *way)
    assert {path.name: path.read_bytes() for path in pulled.iterdir()} == {
        packed.name: packed.read_bytes(),
        provenance.name: provenance.read_bytes(),
    }
    rendered = helm("template", "r", f"oci://{door.host}/charts/demo", "--version", "0.2.0+build.1", *way)
    assert "docker.io/redislabs/operator:7.2.4-7" in rendered


def _insecure(door: Door) -> list[str]:
    return [] if door.ca_file else ["--insecure"]


@pytest.mark.parametrize("scheme", ["a bundle that refers to the image", "a tag beside the image"])
def test_cosign_signs_and_verifies(scheme, door, tmp_path, monkeypatch):
    """Its signatures of today are found by the referrers API, those of before by the tag sha256-DIGITS.sig."""
    monkeypatch.chdir(tmp_path)
    offline = ["--tlog-upload=false", "--use-signing-config=false"]
    offline += ["--new-bundle-format=false"] if "tag" in scheme else []

    def cosign(*arguments: str) -> str:
        return run_peer("cosign", *arguments, **door.environment, COSIGN_PASSWORD="", HOME=str(tmp_path))

    way = ["--allow-http-registry"] if not door.ca_file else ["--registry-cacert", str(door.ca_file)]
    content = images.multi_arch("redis", attested=False)
    layout = write_layout(content, tmp_path / "layout")
    run_peer("crane", "push", str(layout), door.name, *_insecure(door), **door.environment)
    cosign("generate-key-pair")
    name = f"{door.host}/{REPOSITORY}@{content.digest}"
    cosign("sign", "--key", "cosign.key", "--yes", "--recursive", *offline, *way, name)
    trusting = ["--insecure-ignore-tlog", *([] if "bundle" in scheme else ["--new-bundle-format=false"])]
    verified = cosign("verify", "--key", "cosign.pub", "-o", "json", *trusting, *way, name)
    assert content.digest in verified
    tags = run_peer("crane", "ls", f"{door.host}/{REPOSITORY}", *_insecure(door), **door.environment).split()
    signed = [f"{part.digest.replace(':', '-')}.sig" for part in content.walk()] if "tag" in scheme else []
    assert sorted(tags) == sorted([TAG, *signed])


class Buildah:
    """Buildah with a storage of its own, that needs no privilege but root's."""

    def __init__(self, door: Door, folder: Path) -> None:
        (folder / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        self._places = ("--root", str(folder / "root"), "--runroot", str(folder / "run"), "--storage-driver", "vfs")
        self._policy = ("--signature-policy", str(folder / "policy.json"))
        self._way = ["--cert-dir", str(door.config)] if door.ca_file else ["--tls-verify=false"]
        self._way += ["--authfile", str(door.config / "config.json")]

    def run(self, command: str, *arguments: str) -> str:
        environment = {"BUILDAH_ISOLATION": "chroot"}
        return run_peer("buildah", *self._places, command, *arguments, **environment).strip()

    def push(self, *arguments: str) -> None:
        self.run("push", *self._policy, *self._way, *arguments)

    def pull(self, name: str) -> str:
        return self.run("pull", "--quiet", *self._policy, *self._way, name)

    def build(self, content: Path) -> str:
        """Build an image of one file and return its id."""
        container = self.run("from", "scratch")
        self.run("copy", container, str(content), "/content")
        return self.run("commit", "--quiet", *self._policy, container)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="the storage of images is root's")
def test_buildah_pushes_what_it_built_and_pulls_it_again(door, tmp_path):
    """As docker schema 2 too, with gzip and zstd, whose digests it learns only while it sends."""
    (tmp_path / "content").write_bytes(os.urandom(3_000_000))
    (tmp_path / "first").mkdir()
    buildah = Buildah(door, tmp_path / "first")
    built = buildah.build(tmp_path / "content")
    ways = {"oci": ("--format", "oci"), "docker": ("--format", "v2s2"), "zstd": ("--compression-format", "zstd")}
    for tag, way in ways.items():
        (tmp_path / tag).mkdir()
        digest_file = tmp_path / f"{tag}.digest"
        buildah.push(*way, "--digestfile", str(digest_file), built, f"docker://{door.host}/built/image:{tag}")
        name = f"{door.host}/built/image:{tag}"
        assert (
            run_peer("crane", "digest", name, *_insecure(door), **door.environment).strip() == digest_file.read_text()
        )
        other = Buildah(door, tmp_path / tag)
        pulled = other.pull(f"docker://{door.host}/built/image@{digest_file.read_text()}")
        container = other.run("from", pulled)
        mounted = Path(other.run("mount", container))
        assert (mounted / "content").read_bytes() == (tmp_path / "content").read_bytes()
    # What is there already is not sent again: each layer once for its compression, each config once.
    buildah.push(built, f"docker://{door.host}/other/image:oci")


Containerd = Callable[..., str]


@pytest.fixture(scope="module")
def containerd(tmp_path_factory) -> Iterator[Containerd]:
    """A daemon without kubelet's plugin, in which no namespace sees what another one pulled."""
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("containerd is started by root")
    home = tmp_path_factory.mktemp("containerd")
    (home / "config.toml").write_text(
        f"""
version = 2
root = "{home}/root"
state = "{home}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
address = "{home}/c.sock"
[plugins."io.containerd.metadata.v1.bolt"]
content_sharing_policy = "isolated"
"""
    )

    def run(namespace: str, *arguments: str) -> str:
        return run_peer("ctr", "-a", f"{home}/c.sock", "-n", namespace, *arguments)

    command = (peer("containerd"), "-c", str(home / "config.toml"))
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as daemon:
        assert daemon.stderr
        seen = []
        for line in daemon.stderr:
            seen.append(line)
            if "successfully booted" in line:
                break
        else:
            pytest.fail("".join(seen))
        rest = threading.Thread(target=daemon.stderr.read)
        rest.start()
        try:
            yield run
        finally:
            daemon.terminate()
            daemon.wait()
            rest.join()


def hosts(folder: Path, name: str, door: Door, *, path: str = "") -> tuple[str, ...]:
    """Tell containerd where it finds a registry, and return the options of ctr."""
    (folder / name).mkdir(parents=True)
    url = f"{'https' if door.ca_file else 'http'}://{door.host}"
    lines = [f'server = "{url}"', f'[host."{url}{path}"]']
    lines += [f'ca = "{door.ca_file}"'] if door.ca_file else []
    lines += ["override_path = true"] if path else []
    (folder / name / "hosts.toml").write_text("\n".join(lines))
    login = ("--user", f"{USER}:{PASSWORD}") if door.ca_file else ()
    return ("--hosts-dir", str(folder), *login)


def test_containerd_pushes_and_pulls(containerd, door, tmp_path):
    """Also as the mirror of Docker Hub, where it names the other registry in `ns`, and below a path of its own."""
    content = images.image(images.layer("one", 3_000_000), images.layer("two"))
    layout = write_layout(content, tmp_path / "layout", tag=door.name)
    with tarfile.open(tmp_path / "image.tar", "w") as archive:
        for path in layout.iterdir():
            archive.add(path, path.name)
    mine = f"port-{door.host.partition(':')[2]}"
    containerd(mine, "images", "import", "--no-unpack", str(tmp_path / "image.tar"))
    direct = hosts(tmp_path / "direct", door.host, door)
    containerd(mine, "images", "push", *direct, door.name)

    def pull(space: str, name: str, way: tuple[str, ...]) -> None:
        containerd(f"{space}-{mine}", "images", "pull", "--snapshotter", "native", *way, name)
        listed = containerd(f"{space}-{mine}", "content", "ls", "-q").split()
        assert set(listed) == {content.digest, *content.all_blobs}

    pull("direct", door.name, direct)
    pull("digest", f"{door.host}/{REPOSITORY}@{content.digest}", direct)
    pull("mirror", f"docker.io/{REPOSITORY}:{TAG}", hosts(tmp_path / "mirror", "docker.io", door))
    below = ("copy", door.name, f"{door.host}/hub/{REPOSITORY}:{TAG}", *_insecure(door))
    run_peer("crane", *below, **door.environment)
    way = hosts(tmp_path / "below", "docker.io", door, path="/v2/hub")
    pull("below", f"docker.io/{REPOSITORY}:{TAG}", way)
