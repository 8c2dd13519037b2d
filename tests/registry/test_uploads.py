"""Uploads that are cut, refused and sent in pieces."""

import os

import pytest

from homeport.errors import RegistryError, UnreachableError
from homeport.oci.digest import digest_of
from homeport.oci.manifest import Descriptor
from homeport.oci.transfer import Upload
from homeport.registry.credentials import Credential
from tests.kit.clients import open_registries
from tests.kit.images import BytesReader
from tests.kit.scripted import Reply, Seen, registry_play, scripted

DATA = os.urandom(300_000)
BLOB = Descriptor("application/octet-stream", digest_of(DATA), len(DATA))


class Rewinding(BytesReader):
    """Counts how often it is read anew."""

    def __init__(self, data):
        self.read_anew = -1
        super().__init__(data)

    def rewind(self):
        self.read_anew += 1
        super().rewind()


def uploads(puts, patches=()):
    """Play a registry that opens uploads; PUTs are answered in turn."""
    number = iter(range(1000))
    closing = registry_play({("PUT", "/up"): list(puts)})

    def play(seen: Seen) -> Reply:
        path = seen.path.partition("?")[0]
        if seen.method == "POST":
            return Reply(202, {"Location": f"/up?session={next(number)}"})
        if seen.method == "PATCH":
            return Reply(202, {"Location": f"{path}?session={next(number)}"})
        return closing(Seen(seen.method, path, seen.headers, seen.body)) if path == "/up" else Reply(200)

    return scripted(play)


def upload(server, content, blob=BLOB):
    with open_registries() as registries:
        client = registries.client(server.host)
        client.put_blob("a/b", blob, content, client.start_blob("a/b", blob.digest))


def test_an_upload_says_its_length_and_is_one_request():
    with uploads([Reply(201)]) as server:
        upload(server, BytesReader(DATA))
        (put,) = [seen for seen in server.seen if seen.method == "PUT"]
        assert put.body == DATA
        assert put.headers["content-length"] == str(len(DATA))
        assert put.path == f"/up?session=0&digest=sha256%3A{BLOB.digest[7:]}"


@pytest.mark.parametrize("failure", [Reply(raw=b""), Reply(503), Reply(502)])
def test_content_is_sent_again_after_a_cut(failure):
    content = Rewinding(DATA)
    with uploads([failure, failure, Reply(201)]) as server:
        upload(server, content)
        puts = [seen for seen in server.seen if seen.method == "PUT"]
        assert [put.body for put in puts] == [DATA] * 3
        assert [put.path.partition("&")[0] for put in puts] == ["/up?session=0", "/up?session=1", "/up?session=2"]
    assert content.read_anew == 2


def test_a_whole_blob_that_is_too_large_for_a_proxy_goes_in_pieces():
    data = os.urandom((2 << 20) + 100)
    blob = Descriptor("x", digest_of(data), len(data))
    with uploads([Reply(413, body=b"Request Entity Too Large"), Reply(201)]) as server:
        upload(server, Rewinding(data), blob)
        pieces = [seen for seen in server.seen if seen.method == "PATCH"]
        assert b"".join(piece.body for piece in pieces) == data
        assert [piece.headers["content-range"] for piece in pieces] == [
            "0-1048575",
            "1048576-2097151",
            "2097152-2097251",
        ]
        assert server.seen[-1].method == "PUT"
        assert server.seen[-1].body == b""


def test_an_error_of_the_content_is_not_blamed_on_the_target():
    class Broken:
        def readinto(self, _buffer):
            raise UnreachableError("the source is gone", host="source.example")

    with uploads([Reply(201)]) as server, pytest.raises(UnreachableError, match="the source is gone"):
        upload(server, Broken())


def test_a_location_of_another_host_gets_no_credentials():

    with scripted(lambda _: Reply(201)) as other:
        login = Reply(401, {"WWW-Authenticate": 'Basic realm="x"'})
        play = registry_play(
            {("GET", "/v2/"): login, ("POST", "/v2/a/b/blobs/uploads/"): Reply(202, {"Location": f"{other.url}/up"})}
        )
        with scripted(play) as server, open_registries(Credential("me", "hunter2")) as registries:
            client = registries.client(server.host)
            opened = client.start_blob("a/b", BLOB.digest)
            assert opened == Upload(f"{other.url}/up")
            client.put_blob("a/b", BLOB, BytesReader(DATA), opened)
            assert "authorization" in server.seen[-1].headers
        assert other.seen[0].body == DATA
        assert "authorization" not in other.seen[0].headers


class Pieces:
    """Plays a registry that refuses whole blobs and loses the answer to the second piece, after it has taken it."""

    def __init__(self, reached):
        self.reached = reached
        self.content = b""
        self.lost = False

    def __call__(self, seen):
        if seen.method == "POST":
            return Reply(202, {"Location": "/up"})
        if seen.method == "PUT":
            return Reply(201) if self.content else Reply(413)
        if seen.method == "GET" and seen.path == "/up":
            return Reply(204, {"Location": "/up?again", "Range": f"0-{self.reached(len(self.content))}"})
        if seen.method != "PATCH":
            return Reply(200)
        if int(seen.headers["content-range"].partition("-")[0]) != len(self.content):
            return Reply(416)
        self.content += seen.body
        if len(self.content) > 1 << 20 and not self.lost:
            self.lost = True
            return Reply(raw=b"")
        return Reply(202, {"Location": "/up"})


def test_a_piece_whose_answer_was_lost_is_not_sent_twice():
    data = os.urandom((2 << 20) + 100)
    play = Pieces(lambda length: length - 1)
    with scripted(play) as server:
        upload(server, BytesReader(data), Descriptor("x", digest_of(data), len(data)))
    assert play.content == data


def test_a_registry_that_lost_a_piece_is_named():
    data = os.urandom((2 << 20) + 100)
    with scripted(Pieces(lambda _: 17)) as server, pytest.raises(RegistryError, match="it is at byte 17, not 2097151"):
        upload(server, BytesReader(data), Descriptor("x", digest_of(data), len(data)))
