"""The client against the reference registries: Debian's docker-registry (2.x) and distribution v3."""

import os
import shutil
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

from homeport.errors import AuthenticationError, ContentError, NotFoundError, RegistryError
from homeport.oci.digest import digest_of
from homeport.oci.manifest import Descriptor
from homeport.registry.credentials import Credential
from tests.kit.clients import open_registries, read_all
from tests.kit.images import BytesReader, image, layer, multi_arch, put
from tests.kit.servers import write_htpasswd

pytestmark = pytest.mark.peers

BIN = Path(os.environ.get("HOMEPORT_PEERS", Path.home() / ".cache" / "homeport-peers")) / "bin"
ME = Credential("me", "hunter2")


@contextmanager
def running(program, folder, *, users=None):
    """Run a registry on a free port; it is ready when it takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        host = f"127.0.0.1:{probe.getsockname()[1]}"
    auth = ""
    if users:
        auth = f"auth: {{htpasswd: {{realm: r, path: {write_htpasswd(folder / 'htpasswd', users)}}}}}\n"
    config = folder / "config.yml"
    config.write_text(
        f"version: 0.1\nlog: {{level: error}}\nhttp: {{addr: '{host}'}}\n{auth}"
        f"storage: {{filesystem: {{rootdirectory: {folder / 'data'}}}}}\n"
    )
    process = subprocess.Popen([program, "serve", str(config)], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        wait_for(host, process)
        yield host
    finally:
        process.terminate()
        process.wait(30)


def wait_for(host, process):
    name, _, port = host.partition(":")
    while process.poll() is None:
        try:
            socket.create_connection((name, int(port)), 1).close()
        except ConnectionRefusedError:
            continue
        return
    raise AssertionError("the registry did not start")


@pytest.fixture(params=["registry", "docker-registry"])
def program(request):
    return shutil.which(BIN / request.param) or shutil.which(request.param) or pytest.fail(f"no {request.param}")


def test_an_image_goes_there_and_comes_back(program, tmp_path):
    content = multi_arch("redis", size=100_000)
    with running(program, tmp_path) as host, open_registries() as registries:
        client = registries.client(host)
        put(content, client, "redislabs/redis", "7.2.4-64")
        assert client.head_manifest("redislabs/redis", "7.2.4-64").digest == content.digest
        for part in content.walk():
            assert client.get_manifest("redislabs/redis", part.digest) == part.manifest
            for blob, data in part.blobs:
                assert client.has_blob("redislabs/redis", blob.digest)
                with client.open_blob("redislabs/redis", blob) as reader:
                    assert read_all(reader) == data
        assert list(client.tags("redislabs/redis")) == ["7.2.4-64"]
        assert client.head_manifest("redislabs/redis", "none") is None
        with pytest.raises(NotFoundError):
            client.get_manifest("none/such", "1")


def test_blobs_are_mounted(program, tmp_path):
    blob = Descriptor("x", digest_of(b"shared"), 6)
    with running(program, tmp_path) as host, open_registries() as registries:
        client = registries.client(host)
        client.put_blob("a/one", blob, BytesReader(b"shared"), client.start_blob("a/one", blob.digest))
        assert client.start_blob("a/two", blob.digest, mount_from="a/one") is None
        assert client.has_blob("a/two", blob.digest)
        assert client.start_blob("a/two", digest_of(b"other"), mount_from="a/one") is not None


def test_a_download_goes_on_at_an_offset(program, tmp_path):
    data = os.urandom(200_000)
    blob = Descriptor("x", digest_of(data), len(data))
    with running(program, tmp_path) as host, open_registries() as registries:
        client = registries.client(host)
        client.put_blob("a/b", blob, BytesReader(data), client.start_blob("a/b", blob.digest))
        with client.open_blob("a/b", blob) as reader:
            start = memoryview(bytearray(50_000))
            count = reader.readinto(start)
            reader._disconnect()  # as a cut would
            assert bytes(start[:count]) + read_all(reader) == data


def test_a_blob_goes_in_pieces(program, tmp_path):
    data = os.urandom((2 << 20) + 7)
    blob = Descriptor("x", digest_of(data), len(data))
    with running(program, tmp_path) as host, open_registries() as registries:
        client = registries.client(host)
        client.put_blob_in_pieces("a/b", blob, BytesReader(data), 1 << 20)
        with client.open_blob("a/b", blob) as reader:
            assert read_all(reader) == data


def test_wrong_content_is_refused(program, tmp_path):
    blob = Descriptor("x", digest_of(b"wrong"), 5)
    with running(program, tmp_path) as host, open_registries() as registries:
        client = registries.client(host)
        with pytest.raises((RegistryError, ContentError), match="DIGEST_INVALID"):
            client.put_blob("a/b", blob, BytesReader(b"right"), client.start_blob("a/b", blob.digest))
        assert not client.has_blob("a/b", blob.digest)


def test_a_log_in_is_wanted(program, tmp_path):
    with running(program, tmp_path, users={"me": "hunter2"}) as host:
        with open_registries(ME) as registries:
            put(image(layer("x")), registries.client(host), "a/b", "1")
        with open_registries(Credential("me", "wrong")) as registries, pytest.raises(AuthenticationError):
            registries.client(host).ping()
        with open_registries() as registries, pytest.raises(AuthenticationError, match="anonymous"):
            registries.client(host).head_manifest("a/b", "1")
