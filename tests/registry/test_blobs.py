"""Downloads that are cut, lied to and resumed; uploads that are cut and refused."""

import os
import tracemalloc

import pytest

from homeport.errors import ContentError, UnreachableError
from homeport.oci.digest import digest_of
from homeport.oci.manifest import Descriptor
from homeport.oci.transfer import Upload
from tests.kit.clients import open_registries, read_all
from tests.kit.images import BytesReader
from tests.kit.scripted import Reply, Seen, registry_play, scripted

DATA = os.urandom(300_000)
BLOB = Descriptor("application/octet-stream", digest_of(DATA), len(DATA))
PATH = f"/v2/a/b/blobs/{BLOB.digest}"


def serving(answer):
    """Play a registry whose blob is answered by a function of the request and of how often it was asked for."""
    count = iter(range(1000))

    def play(seen: Seen) -> Reply:
        return answer(seen, next(count)) if seen.path == PATH else Reply(200)

    return scripted(play)


def rest_of(seen):
    """Answer a Range as a registry should."""
    start = int(seen.headers["range"].removeprefix("bytes=").removesuffix("-"))
    return Reply(206, {"Content-Range": f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"}, DATA[start:])


def download(server, waits=None, step=1 << 16):
    with open_registries(waits=waits) as registries, registries.client(server.host).open_blob("a/b", BLOB) as reader:
        return read_all(reader, step)


def ranges(server):
    return [seen.headers.get("range") for seen in server.seen if seen.path == PATH]


def test_a_cut_is_resumed_where_it_came():
    def answer(seen, number):
        if number == 0:
            return Reply(body=DATA, cut_at=150_000)
        return rest_of(seen)

    waits = []
    with serving(answer) as server:
        assert download(server, waits, step=10_000) == DATA
        assert ranges(server) == [None, "bytes=150000-"]
    assert len(waits) == 1


def test_many_cuts_with_progress_are_no_failure():
    def answer(seen, number):
        whole = rest_of(seen) if number else Reply(body=DATA)
        return Reply(whole.status, whole.headers, whole.body, announced=len(whole.body), cut_at=10_000)

    with serving(answer) as server:
        assert download(server, step=10_000) == DATA
        assert len(ranges(server)) == 30


def test_cuts_without_progress_end():
    waits = []
    with serving(lambda _seen, _number: Reply(body=DATA, cut_at=0)) as server:
        with pytest.raises(UnreachableError, match="cut off 5 times at byte 0 of 300000"):
            download(server, waits)
        assert len(ranges(server)) == 5
    assert len(waits) == 4


def test_a_registry_without_ranges_starts_anew_and_the_content_goes_on():
    with serving(lambda _seen, number: Reply(body=DATA, cut_at=None if number else 100_000)) as server:
        assert download(server, step=10_000) == DATA
        assert ranges(server) == [None, "bytes=100000-"]


def test_a_resumed_part_that_is_another_is_refused():
    def answer(_seen, number):
        if number == 0:
            return Reply(body=DATA, cut_at=100_000)
        return Reply(206, {"Content-Range": "bytes 99999-299999/300000"}, DATA[100_000:])

    with serving(answer) as server, pytest.raises(ContentError, match="bytes from 100000 were asked for"):
        download(server, step=10_000)


def test_a_digest_that_lies_is_found_before_the_last_byte_is_out():
    lie = DATA[:-1] + bytes([DATA[-1] ^ 1])
    got = bytearray()

    def read(reader):
        buffer = memoryview(bytearray(1 << 16))
        while count := reader.readinto(buffer):
            got.extend(buffer[:count])

    with (
        serving(lambda _seen, _number: Reply(body=lie)) as server,
        open_registries() as registries,
        registries.client(server.host).open_blob("a/b", BLOB) as reader,
        pytest.raises(ContentError, match=f"{BLOB.digest}: the content that came has another digest"),
    ):
        read(reader)
    assert len(got) < len(DATA)


@pytest.mark.parametrize("change", [lambda data: data + b"x", lambda data: data[:-1]])
def test_an_announced_length_that_is_not_the_right_one_is_refused_unread(change):
    with (
        serving(lambda _seen, _number: Reply(body=change(DATA))) as server,
        pytest.raises(ContentError, match="bytes are announced, 300000 are right"),
    ):
        download(server)


def test_more_than_the_size_is_refused_where_no_length_was_announced():
    raw = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + DATA + b"x"
    with (
        serving(lambda _seen, _number: Reply(raw=raw)) as server,
        pytest.raises(ContentError, match="more than 300000 bytes came"),
    ):
        download(server)


def test_content_without_an_announced_length_is_read_to_its_end():
    raw = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + DATA
    with serving(lambda _seen, _number: Reply(raw=raw)) as server:
        assert download(server) == DATA


def test_content_in_chunks_is_read_to_its_end():
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (DATA[:1000], DATA[1000:]))
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    with serving(lambda _seen, _number: Reply(raw=raw)) as server:
        assert download(server) == DATA


def test_an_empty_blob_is_verified_too():
    empty = Descriptor("x", digest_of(b"x"), 0)
    with scripted(lambda _: Reply(200)) as server, open_registries() as registries, pytest.raises(ContentError):
        registries.client(server.host).open_blob("a/b", empty).__enter__()


def test_what_is_not_read_is_no_harm():
    with serving(lambda _seen, _number: Reply(body=DATA)) as server, open_registries() as registries:
        client = registries.client(server.host)
        for _ in range(20):
            with client.open_blob("a/b", BLOB) as reader:
                reader.readinto(memoryview(bytearray(10)))


class Rewinding(BytesReader):
    """Content that can be read once more, as a download can."""

    def __init__(self, data):
        super().__init__(data)
        self.data = data
        self.rewound = 0

    def rewind(self):
        self.rewound += 1
        super().__init__(self.data)


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
def test_content_that_can_be_rewound_is_sent_again(failure):
    content = Rewinding(DATA)
    with uploads([failure, failure, Reply(201)]) as server:
        upload(server, content)
        puts = [seen for seen in server.seen if seen.method == "PUT"]
        assert [put.body for put in puts] == [DATA] * 3
        assert [put.path.partition("&")[0] for put in puts] == ["/up?session=0", "/up?session=1", "/up?session=2"]
    assert content.rewound == 2


def test_content_that_cannot_be_rewound_is_not():
    with uploads([Reply(raw=b""), Reply(201)]) as server, pytest.raises(UnreachableError):
        upload(server, BytesReader(DATA))


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
    from homeport.registry.credentials import Credential

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


def test_a_large_blob_needs_no_more_memory_than_a_small_one():
    size = 32 << 20
    data = bytes(size)
    blob = Descriptor("x", digest_of(data), size)
    path = f"/v2/a/b/blobs/{blob.digest}"
    reply = Reply(body=data)
    with scripted(lambda seen: reply if seen.path == path else Reply(200)) as server, open_registries() as registries:
        client = registries.client(server.host)
        client.ping()
        tracemalloc.start()
        try:
            with client.open_blob("a/b", blob) as reader:
                buffer = memoryview(bytearray(1 << 20))
                while reader.readinto(buffer):
                    pass
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    # The scripted server slices its reply once; all else is the reader's.
    assert peak < size + (6 << 20)
