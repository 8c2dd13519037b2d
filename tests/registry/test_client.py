"""The client against a registry of our own: what is pushed comes back, byte for byte."""

import os
import threading

import msgspec
import pytest

from homeport.errors import NotFoundError
from homeport.oci.digest import digest_of
from homeport.oci.manifest import Descriptor, ManifestHead, RawManifest
from homeport.registry.session import Registries
from tests.kit.clients import open_registries, read_all
from tests.kit.images import BytesReader, about, image, layer, multi_arch, put
from tests.kit.scripted import Reply, registry_play, scripted
from tests.kit.servers import running_registry


@pytest.fixture
def registry():
    with running_registry() as running:
        yield running


@pytest.fixture
def client(registry):
    with open_registries() as registries:
        yield registries.client(registry.host)


def descriptor(data, digest=None):
    return Descriptor("application/octet-stream", digest or digest_of(data), len(data))


def test_an_image_comes_back_byte_for_byte(client):
    content = multi_arch("redis")
    put(content, client, "redislabs/redis", "7.2.4-64")

    root = content.manifest
    assert client.get_manifest("redislabs/redis", "7.2.4-64") == root
    assert client.get_manifest("redislabs/redis", root.digest) == root
    expected = ManifestHead(root.digest, root.media_type, len(root.body))
    assert client.head_manifest("redislabs/redis", "7.2.4-64") == expected
    for part in content.walk():
        for blob, data in part.blobs:
            with client.open_blob("redislabs/redis", blob) as reader:
                assert read_all(reader) == data


def test_a_manifest_is_not_touched_however_it_is_written(client):
    body = (
        b'{\n\t"schemaVersion" : 2 ,"mediaType":"application/vnd.oci.image.manifest.v1+json", "x":[1e3,"\\u00e9"],\r\n'
    )
    blob = descriptor(b"{}")
    client.put_blob("a/b", blob, BytesReader(b"{}"), client.start_blob("a/b", blob.digest))
    body += b'"config":{"mediaType":"x","digest":"%s","size":2},"layers":[]}  \n' % blob.digest.encode()
    client.put_manifest("a/b", "odd", RawManifest.of(body))
    assert client.get_manifest("a/b", "odd").body == body


def test_what_is_not_there(client):
    put(image(layer("x")), client, "a/b", "1")
    absent = digest_of(b"absent")
    assert client.head_manifest("a/b", "2") is None
    assert client.head_manifest("a/b", absent) is None
    assert client.head_manifest("no/such", "1") is None
    assert not client.has_blob("a/b", absent)
    with pytest.raises(NotFoundError, match="GET manifest a/b:2: not found: MANIFEST_UNKNOWN"):
        client.get_manifest("a/b", "2")
    with (
        pytest.raises(NotFoundError, match=f"GET blob a/b@{absent}: not found: BLOB_UNKNOWN"),
        client.open_blob("a/b", descriptor(b"absent")),
    ):
        pass


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (3 << 20) + 5])
def test_blobs_of_every_size(client, size):
    data = os.urandom(size)
    blob = descriptor(data)
    client.put_blob("a/b", blob, BytesReader(data), client.start_blob("a/b", blob.digest))
    assert client.has_blob("a/b", blob.digest)
    with client.open_blob("a/b", blob) as reader:
        assert read_all(reader, 1 << 20) == data


def test_sha512_is_verified_by_its_own_algorithm(client):
    data = b"content"
    blob = descriptor(data, digest_of(data, "sha512"))
    client.put_blob("a/b", blob, BytesReader(data), client.start_blob("a/b", blob.digest))
    with client.open_blob("a/b", blob) as reader:
        assert read_all(reader) == data


def test_content_that_is_not_what_it_is_called_is_refused(client):
    blob = descriptor(b"right", digest_of(b"wrong"))
    with pytest.raises(Exception, match="DIGEST_INVALID"):
        client.put_blob("a/b", blob, BytesReader(b"right"), client.start_blob("a/b", blob.digest))
    assert not client.has_blob("a/b", blob.digest)


def test_a_blob_is_mounted_where_it_is_known_and_uploaded_elsewhere(client):
    data = b"shared"
    blob = descriptor(data)
    client.put_blob("a/one", blob, BytesReader(data), client.start_blob("a/one", blob.digest))
    assert client.start_blob("a/two", blob.digest, mount_from="a/one") is None
    assert client.has_blob("a/two", blob.digest)
    other = descriptor(b"other")
    upload = client.start_blob("a/two", other.digest, mount_from="a/one")
    assert upload is not None
    client.put_blob("a/two", other, BytesReader(b"other"), upload)
    assert client.has_blob("a/two", other.digest)


def test_a_blob_goes_from_one_registry_to_another_as_it_streams(client):
    data = os.urandom(3 << 20)
    blob = descriptor(data)
    client.put_blob("a/b", blob, BytesReader(data), client.start_blob("a/b", blob.digest))
    with running_registry() as other, open_registries() as registries:
        target = registries.client(other.host)
        with client.open_blob("a/b", blob) as reader:
            target.put_blob("c/d", blob, reader, target.start_blob("c/d", blob.digest))
        with target.open_blob("c/d", blob) as reader:
            assert read_all(reader) == data
        assert registries.traffic.of(other.host).sent == len(data)


def test_tags_come_page_after_page(client):
    content = image(layer("x"))
    names = [f"v{number:03}" for number in range(25)]
    put(content, client, "a/b", names[0])
    for name in names[1:]:
        client.put_manifest("a/b", name, content.manifest)
    assert list(client.tags("a/b")) == names
    with pytest.raises(NotFoundError):
        list(client.tags("no/such"))


def test_a_registry_is_introduced_once_however_many_threads_ask(registry):
    with open_registries() as registries:
        client = registries.client(registry.host)
        start = threading.Barrier(8)

        def ask():
            start.wait()
            client.head_manifest("a/b", "1")

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # One ping over TLS, which the registry does not speak, one in plain HTTP, and the questions.
        assert registries.traffic.of(registry.host).requests == 10


def test_clients_are_shared():
    with Registries() as registries:
        assert registries.client("docker.io") is registries.client("docker.io")
        assert registries.client("docker.io").registry == "docker.io"


def test_referrers_are_listed(client):
    content = image(layer("x"))
    put(content, client, "a/b", "1")
    assert client.referrers("a/b", content.digest) == ()
    signature = about(content)
    put(signature, client, "a/b")
    (found,) = client.referrers("a/b", content.digest)
    assert (found.digest, found.size) == (signature.digest, len(signature.manifest.body))


@pytest.mark.parametrize(
    "reply",
    [Reply(404), Reply(405), Reply(200, {"Content-Type": "text/html"}, b"<html>"), Reply(200, {}, b"no index")],
)
def test_a_registry_that_lists_no_referrers_is_asked_once(reply):
    digest = digest_of(b"x")
    path = f"/v2/a/b/referrers/{digest}"
    play = registry_play({("GET", "/v2/"): Reply(200), ("GET", path): reply})
    with scripted(play) as server, open_registries() as registries:
        client = registries.client(server.host)
        assert client.referrers("a/b", digest) is None
        assert client.referrers("a/b", digest) is None
        assert sum("referrers" in asked for asked in server.asked("GET")) == 1


def test_referrers_come_page_after_page():
    digest = digest_of(b"x")
    path = f"/v2/a/b/referrers/{digest}"
    pages = [msgspec.json.encode({"schemaVersion": 2, "manifests": [descriptor(data)]}) for data in (b"1", b"2")]
    answers = {
        ("GET", "/v2/"): Reply(200),
        ("GET", path): [Reply(200, {"Link": f'<{path}?last=1>; rel="next"'}, pages[0]), Reply(200, {}, pages[1])],
    }
    with scripted(registry_play(answers)) as server, open_registries() as registries:
        found = registries.client(server.host).referrers("a/b", digest)
    assert [each.digest for each in found] == [digest_of(b"1"), digest_of(b"2")]
