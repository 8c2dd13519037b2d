"""Downloads that are cut, lied to and resumed."""

import os
import threading
import tracemalloc

import pytest

from homeport.errors import ContentError, ForbiddenError, UnreachableError
from homeport.oci.digest import digest_of
from homeport.oci.manifest import Descriptor
from homeport.registry import downloads
from homeport.registry.credentials import Credential
from homeport.registry.settings import Settings
from tests.kit.clients import open_registries, read_all
from tests.kit.scripted import Reply, Seen, scripted

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
    (wait,) = waits
    assert wait.reason.startswith(f"blob {BLOB.digest[:19]} at byte 150000 of 300000: ")


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


def test_a_download_keeps_its_place_while_a_cut_is_mended():
    """Else others take it, wait for a place to upload, and this one's upload never ends."""

    def answer(seen, number):
        return rest_of(seen) if "range" in seen.headers else Reply(body=DATA, cut_at=None if number else 1000)

    settings = Settings(connections=1)
    with serving(answer) as server, open_registries(settings=settings) as registries:
        client = registries.client(server.host)
        entered = threading.Event()

        def second():
            with client.open_blob("a/b", BLOB):
                entered.set()

        with client.open_blob("a/b", BLOB) as reader:
            thread = threading.Thread(target=second)
            thread.start()
            assert read_all(reader, 1000) == DATA
            assert not entered.is_set()
        thread.join(30)
        assert entered.is_set()


@pytest.mark.parametrize("offset", [0, 120_000, 250_000])
def test_going_back_fetches_little_again_and_verifies_all(offset, monkeypatch):
    monkeypatch.setattr(downloads, "_MARK", 50_000)
    with (
        serving(lambda seen, _number: rest_of(seen) if "range" in seen.headers else Reply(body=DATA)) as server,
        open_registries() as registries,
        registries.client(server.host).open_blob("a/b", BLOB) as reader,
    ):
        buffer = memoryview(bytearray(10_000))
        for _ in range(25):
            reader.readinto(buffer)
        for _ in range(2):
            reader.seek(offset)
            assert read_all(reader) == DATA[offset:]
        asked = {0: [None] * 2, 120_000: ["bytes=100000-"] * 2, 250_000: ["bytes=250000-"]}
        assert ranges(server)[1:] == asked[offset]


def test_what_came_otherwise_the_second_time_is_refused(monkeypatch):
    lie = bytes([DATA[0] ^ 1]) + DATA[1:]
    with (
        serving(lambda _seen, number: Reply(body=lie if number else DATA)) as server,
        open_registries() as registries,
        registries.client(server.host).open_blob("a/b", BLOB) as reader,
    ):
        read_all(reader)
        reader.seek(100_000)
        with pytest.raises(ContentError, match="the content that came has another digest"):
            read_all(reader)


def test_a_signed_address_that_is_out_of_date_is_asked_for_anew():
    """Object stores answer 403 to it; after a cut the registry is asked again too, and Authorization never follows."""
    signed = iter(range(100))

    def store(seen):
        number = int(seen.path.rpartition("=")[2])
        if number == 0:
            return Reply(403, body=b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>")
        return Reply(body=DATA, cut_at=100_000) if number == 1 else rest_of(seen)

    with scripted(store) as cdn:

        def registry(seen):
            if seen.path == PATH and "authorization" in seen.headers:
                return Reply(307, {"Location": f"{cdn.url}/blob?signature={next(signed)}"})
            login = {"WWW-Authenticate": 'Basic realm="r"'}
            return Reply(200) if "authorization" in seen.headers else Reply(401, login)

        with (
            scripted(registry) as server,
            open_registries(Credential("me", "hunter2")) as registries,
            registries.client(server.host).open_blob("a/b", BLOB) as reader,
        ):
            assert read_all(reader, 10_000) == DATA
    assert [seen.path for seen in cdn.seen] == [f"/blob?signature={number}" for number in range(3)]
    assert all("authorization" not in seen.headers for seen in cdn.seen)


def test_an_object_store_that_refuses_twice_is_believed():
    with scripted(lambda _: Reply(403)) as cdn:
        moved = Reply(302, {"Location": f"{cdn.url}/blob"})
        with (
            serving(lambda _seen, _number: moved) as server,
            pytest.raises(ForbiddenError, match=f"redirected to {cdn.url}/blob"),
        ):
            download(server)
        assert len(cdn.seen) == 2


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
