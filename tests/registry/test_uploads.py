"""Uploads that are cut, refused and sent in pieces."""

import os
from contextlib import contextmanager, nullcontext

import pytest

from homeport.errors import AuthenticationError, RegistryError, UnreachableError
from homeport.oci.digest import digest_of
from homeport.oci.manifest import Descriptor
from homeport.oci.transfer import Upload
from homeport.registry.credentials import Credential
from homeport.registry.transport import SILENCE_SECONDS
from homeport.registry.uploads import _closing as closing_of
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

    def seek(self, offset):
        self.read_anew += 1
        super().seek(offset)


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
        if seen.method == "HEAD":
            return Reply(404)
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


class Session:
    """Plays a registry that keeps what came of an upload, and tells where it is; `cuts` are the sizes at which it breaks off."""

    def __init__(self, *cuts, status=204):
        self.cuts = list(cuts)
        self.status = status
        self.content = b""
        self.blob = None
        self.opened = self.moved = 0
        self.forgets = lambda: False

    def takes(self, seen):
        return self.cuts.pop(0) if seen.method == "PUT" and self.cuts else None

    def location(self):
        self.moved += 1
        return f"up?moved={self.moved}"

    def __call__(self, seen):
        if seen.method == "POST":
            self.opened += 1
            self.content = b""
            return Reply(202, {"Location": f"/v2/a/b/blobs/uploads/up?moved={self.moved}"})
        if seen.method == "HEAD":
            return Reply(200 if self.blob else 404)
        if not seen.path.startswith("/v2/a/b/blobs/uploads/"):
            return Reply(200)
        assert f"moved={self.moved}" in seen.path
        if self.blob is not None or self.forgets():
            return Reply(404)
        if seen.method == "GET":
            return Reply(self.status, {"Location": self.location(), "Range": f"0-{max(len(self.content) - 1, 0)}"})
        if "content-range" in seen.headers and not seen.headers["content-range"].startswith(f"{len(self.content)}-"):
            return Reply(416)
        self.content += seen.body
        if len(seen.body) < int(seen.headers["content-length"]):
            return Reply(raw=b"")
        if digest_of(self.content) != BLOB.digest:
            return Reply(400)
        self.blob = self.content
        return Reply(201)


@contextmanager
def session(*cuts, status=204):
    play = Session(*cuts, status=status)
    with scripted(play) as server:
        server.takes = play.takes
        server.session = play
        yield server


def puts(server):
    return [seen.headers.get("content-range", "whole") for seen in server.seen if seen.method == "PUT"]


@pytest.mark.parametrize("status", [204, 200])
def test_a_cut_upload_goes_on_where_the_registry_is(status):
    content = Rewinding(DATA)
    with session(100_000, 50_000, status=status) as server:
        upload(server, content)
        assert puts(server) == ["whole", "100000-299999", "150000-299999"]
        assert server.session.blob == DATA
        assert server.session.opened == 1


def test_an_upload_that_goes_on_each_time_may_be_cut_any_number_of_times():
    with session(*[20_000] * 14) as server:
        upload(server, BytesReader(DATA))
        assert server.session.blob == DATA
        assert len(puts(server)) == 15


def test_cuts_without_progress_end():
    with session(*[0] * 9) as server:
        with pytest.raises(UnreachableError):
            upload(server, BytesReader(DATA))
        assert len(puts(server)) == 5


def test_an_upload_of_which_only_the_answer_was_lost_is_not_sent_again():
    with session() as server:
        lost = iter([True])
        play = server.session

        def losing(seen):
            reply = play(seen)
            return Reply(raw=b"") if reply.status == 201 and next(lost, False) else reply

        server.play = losing
        upload(server, BytesReader(DATA))
        assert puts(server) == ["whole"]


def test_an_upload_that_the_registry_forgot_begins_anew():
    """It was restarted, and keeps no uploads: a 404 where others go on."""
    with session(100_000) as server:
        forgotten = iter([True])
        server.session.forgets = lambda: bool(server.session.content) and next(forgotten, False)
        upload(server, BytesReader(DATA))
        assert puts(server) == ["whole", "whole"]
        assert server.session.opened == 2
        assert server.session.blob == DATA


def test_an_upload_that_is_forgotten_before_its_content_came_begins_anew():
    with uploads([Reply(404, body=b'{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}'), Reply(201)]) as server:
        upload(server, BytesReader(DATA))
        assert len([seen for seen in server.seen if seen.method == "POST"]) == 2


def test_an_upload_that_was_spoilt_where_it_was_cut_begins_anew():
    with session(100_000) as server:
        spoilt = iter([True])
        play = server.session

        def spoiling(seen):
            if seen.method == "GET" and play.content and next(spoilt, False):
                play.content = bytes(100_000)
            return play(seen)

        server.play = spoiling
        upload(server, BytesReader(DATA))
        assert puts(server) == ["whole", "100000-299999", "whole"]
        assert play.blob == DATA


def test_a_registry_that_was_still_taking_in_what_came_is_asked_again():
    """Distribution v3 names an offset while the request that was cut is not done; the next PUT finds another (416)."""
    with session(100_000) as server:
        play = server.session
        told = iter([Reply(204, {"Range": "0-49999", "Location": "up?moved=0"})])
        server.play = lambda seen: (
            next(told, None) or play(seen) if seen.method == "GET" and play.content else play(seen)
        )
        upload(server, BytesReader(DATA))
        assert puts(server) == ["whole", "50000-299999", "100000-299999"]
        assert play.blob == DATA


def test_an_upload_whose_place_is_never_right_begins_anew():
    with session(100_000) as server:
        play = server.session
        server.play = lambda seen: Reply(416) if "content-range" in seen.headers else play(seen)
        upload(server, BytesReader(DATA))
        assert puts(server) == ["whole", "100000-299999", "100000-299999", "whole"]
        assert play.blob == DATA


@pytest.mark.parametrize(("shown", "offset"), [("0-0", 0), ("0-9", 10), ("bytes=0-9", 10)])
def test_where_an_upload_is_may_be_nowhere(shown, offset):
    """``0-0`` is said of an upload of one byte and of an empty one."""
    play = registry_play({("GET", "/up"): [Reply(204, {"Range": shown, "Location": "/next"})]})
    with scripted(play) as server, open_registries() as registries:
        found = registries.client(server.host).find_upload("a/b", Upload("/up"))
        assert found == Upload(f"http://{server.host}/next", offset)


def test_a_registry_that_names_more_than_there_is_is_not_believed():
    with session(100_000) as server:
        play = server.session
        told = iter([Reply(204, {"Range": "0-399999"})])
        server.play = lambda seen: (
            next(told, None) or play(seen) if seen.method == "GET" and play.content else play(seen)
        )
        upload(server, BytesReader(DATA))
        assert puts(server) == ["whole", "whole"]
        assert play.blob == DATA


@pytest.mark.parametrize("refused", [1, 9])
def test_a_token_that_runs_out_while_content_streams_is_renewed_once(refused):
    tokens = iter(f"t{number}" for number in range(99))
    with session() as server:
        play = server.session
        refusals = iter([True] * refused)

        def guarded(seen):
            if seen.path.startswith("/token"):
                return Reply(200, body=f'{{"token":"{next(tokens)}"}}'.encode())
            if "authorization" not in seen.headers or (seen.method == "PUT" and next(refusals, False)):
                return Reply(401, {"WWW-Authenticate": f'Bearer realm="{server.url}/token"'})
            return play(seen)

        server.play = guarded
        with nullcontext() if refused == 1 else pytest.raises(AuthenticationError):
            upload(server, BytesReader(DATA))
        first, second = (seen.headers["authorization"] for seen in server.seen if seen.method == "PUT")
        assert first != second
        assert (play.blob == DATA) == (refused == 1)


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


def test_pieces_are_as_large_as_the_registry_wants_them():
    data = os.urandom(5 << 19)
    blob = Descriptor("x", digest_of(data), len(data))
    patches = []

    def play(seen: Seen) -> Reply:
        if seen.method == "POST":
            return Reply(202, {"Location": "/up", "OCI-Chunk-Min-Length": str(2 << 20)})
        if seen.method == "PATCH":
            patches.append(len(seen.body))
            return Reply(202, {"Location": "/up"})
        is_whole = seen.method == "PUT" and seen.headers.get("content-length") != "0"
        return Reply(413 if is_whole else 201 if seen.method == "PUT" else 200)

    with scripted(play) as server:
        upload(server, BytesReader(data), blob)
    assert patches == [2 << 20, 1 << 19]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_where_mounting_is_refused_the_blob_is_uploaded(status):
    def play(seen: Seen) -> Reply:
        if "mount=" in seen.path:
            return Reply(status)
        return Reply(202, {"Location": "/up"}) if seen.method == "POST" else Reply(200)

    with scripted(play) as server, open_registries() as registries:
        opened = registries.client(server.host).start_blob("a/b", BLOB.digest, mount_from="secret/c")
        assert opened == Upload(f"http://{server.host}/up")


def test_a_registry_gets_time_to_store_a_large_blob():
    """Some hash and move all of it before they answer, at 10 MiB a second or more."""
    large = Descriptor("x", BLOB.digest, 10 << 30)
    assert closing_of("a/b", large, Upload("/up"), None).silence >= SILENCE_SECONDS + 1000
    assert closing_of("a/b", BLOB, Upload("/up"), None).silence < SILENCE_SECONDS + 1


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
