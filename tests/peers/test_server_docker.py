"""A real Docker daemon logs in, pushes to and pulls from the real process, over plain HTTP and over TLS."""

import os
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.kit.peers import peer
from tests.kit.servers import serve_process, write_certificate, write_htpasswd
from tests.peers.nginx import nginx

pytestmark = [
    pytest.mark.peers,
    pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="a Docker daemon is started by root"),
]

TAG = "redislabs/redis:7.2.4-64"
PASSWORD = "a: secret"
CERTIFICATES = Path("/etc/docker/certs.d")

Docker = Callable[..., str]


@pytest.fixture(scope="module")
def docker(tmp_path_factory) -> Iterator[Docker]:
    """A daemon without a network of its own, and a function that runs Docker's client against it."""
    home = tmp_path_factory.mktemp("docker")
    socket = home / "docker.sock"
    command = (
        *(peer("dockerd"), "--iptables=false", "--bridge=none", "--storage-driver=vfs", f"--host=unix://{socket}"),
        *(f"--data-root={home / 'data'}", f"--exec-root={home / 'exec'}", f"--pidfile={home / 'docker.pid'}"),
    )
    environment = {**os.environ, "DOCKER_CONFIG": str(home / "config"), "DOCKER_HOST": f"unix://{socket}"}

    def run(*arguments: str, text: str = "") -> str:
        done = subprocess.run(
            (peer("docker"), *arguments), env=environment, input=text, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr}"
        return done.stdout.strip()

    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as daemon:
        assert daemon.stderr
        seen = []
        for line in daemon.stderr:
            seen.append(line)
            if "API listen on" in line:
                break
        else:
            pytest.fail("".join(seen))
        threading.Thread(target=daemon.stderr.read).start()
        try:
            yield run
        finally:
            daemon.terminate()
            daemon.wait()


@pytest.fixture
def image(docker, tmp_path) -> Iterator[str]:
    """The id of an image in the daemon: two files in one layer."""
    (tmp_path / "random").write_bytes(os.urandom(2_000_000))
    (tmp_path / "text").write_text("hello")
    with tarfile.open(tmp_path / "image.tar", "w") as archive:
        for name in ("random", "text"):
            archive.add(tmp_path / name, name)
    yield docker("import", str(tmp_path / "image.tar"))
    if left := docker("images", "--quiet"):
        docker("rmi", "--force", *left.split())


@contextmanager
def trusted(host: str, ca_file: Path) -> Iterator[None]:
    """Let Docker trust an authority for one host, and take that back."""
    home = CERTIFICATES / host
    made = next(path for path in (CERTIFICATES.parent, CERTIFICATES, home) if not path.exists())
    home.mkdir(parents=True)
    try:
        shutil.copy(ca_file, home / "ca.crt")
        yield
    finally:
        shutil.rmtree(made)


def digest_in(docker: Docker, name: str) -> str:
    """Return the digest by which the daemon knows an image of a repository."""
    listed = docker("inspect", "--format", '{{join .RepoDigests "\\n"}}', name).splitlines()
    repository = name.rpartition(":")[0]
    [digest] = [line.partition("@")[2] for line in listed if line.startswith(f"{repository}@")]
    return digest


def push_and_pull(docker: Docker, host: str, image: str) -> None:
    name = f"{host}/{TAG}"
    docker("tag", image, name)
    pushed = docker("push", name)
    digest = digest_in(docker, name)
    assert digest in pushed
    docker("rmi", "--force", image)
    assert docker("images", "--quiet", "--no-trunc") == ""
    pulled = docker("pull", name)
    assert digest in pulled
    assert docker("images", "--quiet", "--no-trunc") == image
    assert digest_in(docker, name) == digest
    again = docker("push", name)
    assert "Layer already exists" in again
    assert digest in again
    other = f"{host}/other/name:x"
    docker("tag", name, other)
    assert digest in docker("push", other)
    docker("rmi", "--force", image)
    docker("pull", f"{host}/redislabs/redis@{digest}")
    docker("rmi", "--force", image)


def test_docker_pushes_and_pulls_on_loopback(docker, image, tmp_path):
    with serve_process(tmp_path / "data") as server:
        push_and_pull(docker, server.host, image)


def test_docker_pushes_and_pulls_with_a_login(docker, image, tmp_path):
    users = write_htpasswd(tmp_path / "htpasswd", {"me": PASSWORD})
    with serve_process(tmp_path / "data", "--htpasswd", str(users)) as server:
        docker("tag", image, f"{server.host}/{TAG}")
        with pytest.raises(AssertionError, match="no basic auth credentials"):
            docker("push", f"{server.host}/{TAG}")
        with pytest.raises(AssertionError, match="401 Unauthorized"):
            docker("login", "--username", "me", "--password-stdin", server.host, text="wrong")
        assert "Login Succeeded" in docker("login", "--username", "me", "--password-stdin", server.host, text=PASSWORD)
        push_and_pull(docker, server.host, image)


def test_docker_pushes_and_pulls_over_tls_with_a_login(docker, image, tmp_path):
    ca_file, certificate, key = write_certificate(tmp_path)
    users = write_htpasswd(tmp_path / "htpasswd", {"me": PASSWORD})
    options = ("--tls-cert", str(certificate), "--tls-key", str(key), "--htpasswd", str(users))
    with serve_process(tmp_path / "data", *options) as server, trusted(server.host, ca_file):
        docker("login", "--username", "me", "--password-stdin", server.host, text=PASSWORD)
        push_and_pull(docker, server.host, image)


def test_docker_pushes_and_pulls_through_a_proxy_that_ends_tls(docker, image, tmp_path):
    ca_file, certificate, key = write_certificate(tmp_path)
    users = write_htpasswd(tmp_path / "htpasswd", {"me": PASSWORD})
    with (
        serve_process(tmp_path / "data", "--htpasswd", str(users), "--tokens") as server,
        nginx(tmp_path, server.host, (certificate, key)) as host,
        trusted(host, ca_file),
    ):
        docker("login", "--username", "me", "--password-stdin", host, text=PASSWORD)
        push_and_pull(docker, host, image)
