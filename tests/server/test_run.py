import signal
import socket
import ssl
import threading

import pytest

from homeport.errors import UsageError
from homeport.oci.digest import digest_of
from homeport.server.app import Registry
from homeport.server.http import Limits
from homeport.server.run import Listen, RegistryServer
from homeport.server.tls import Certificate
from homeport.store.memory import MemoryStore
from tests.kit.servers import write_certificate


def test_signals_stop_the_server_while_it_runs_and_are_given_back():
    listen = Listen("127.0.0.1", 0)
    server = RegistryServer(Registry(MemoryStore()), listen)
    before = signal.getsignal(signal.SIGTERM)
    with server.capture_signals():
        signal.raise_signal(signal.SIGTERM)
    assert server.should_exit
    assert signal.getsignal(signal.SIGTERM) is before
    listen.socket.close()


@pytest.mark.parametrize("forced", [False, True])
def test_who_does_not_end_in_time_is_hung_up_on_in_silence(caplog, forced):
    """One reads nothing of its download, one sends nothing more of its upload."""
    store, content, ready = MemoryStore(), bytes(20_000_000), threading.Event()
    upload = store.open_upload("app", store.start_upload("app"))
    assert upload
    upload.write(content)
    upload.commit(digest_of(content))
    session = store.start_upload("app")
    listen = Listen("127.0.0.1", 0)
    limits = Limits(grace_seconds=600 if forced else 0)
    server = RegistryServer(Registry(store), listen, on_ready=lambda _url: ready.set(), limits=limits)
    thread = threading.Thread(target=server.run)
    thread.start()
    assert ready.wait(30)
    address = listen.socket.getsockname()
    with socket.create_connection(address, 30) as reader, socket.create_connection(address, 30) as sender:
        reader.sendall(f"GET /v2/app/blobs/{digest_of(content)} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        assert reader.recv(15) == b"HTTP/1.1 200 OK"
        sender.sendall(
            f"PATCH /v2/app/blobs/uploads/{session} HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n".encode()
        )
        sender.sendall(b"12345")
        server.should_exit, server.force_exit = True, forced
        thread.join(60)
    assert not thread.is_alive()
    assert [record.getMessage() for record in caplog.records if record.name != "homeport"] == []


@pytest.mark.parametrize(
    "text",
    ["", "5000", ":5000", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:65536", "http://127.0.0.1:5000"],
)
def test_what_is_no_address_is_refused_with_an_example(text):
    with pytest.raises(UsageError) as caught:
        Listen.parse(text)
    assert "HOST:PORT" in caught.value.hint or "address of this machine" in caught.value.hint


def test_port_0_picks_one_and_is_told():
    listen = Listen.parse("127.0.0.1:0")
    host, _, port = listen.host.partition(":")
    assert (host, int(port)) == listen.socket.getsockname()
    assert listen.is_loopback
    listen.socket.close()


def test_an_ipv6_address_stands_in_brackets():
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        listen = Listen.parse("[::1]:0")
    except UsageError:
        pytest.skip("no IPv6 here")
    assert listen.host.startswith("[::1]:")
    assert listen.is_loopback
    listen.socket.close()


def test_every_address_is_not_loopback():
    listen = Listen.parse("0.0.0.0:0")
    assert not listen.is_loopback
    listen.socket.close()


def test_a_port_that_is_taken_is_told():
    taken = Listen.parse("127.0.0.1:0")
    taken.socket.listen()
    with pytest.raises(UsageError, match="Address already in use"):
        Listen.parse(taken.host)
    taken.socket.close()


def test_a_certificate_and_its_key_are_loaded(tmp_path):
    _, certificate, key = write_certificate(tmp_path)
    context = Certificate(certificate, key).context
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_a_key_of_another_certificate_is_refused(tmp_path):
    _, certificate, _ = write_certificate(tmp_path)
    (tmp_path / "other").mkdir()
    _, _, key = write_certificate(tmp_path / "other")
    with pytest.raises(UsageError, match="KEY_VALUES_MISMATCH"):
        Certificate(certificate, key)


def test_files_that_are_no_certificate_are_refused(tmp_path):
    (tmp_path / "text").write_text("hello")
    for path, reason in ((tmp_path / "none", "No such file"), (tmp_path / "text", "certificate")):
        with pytest.raises(UsageError, match=reason) as caught:
            Certificate(path, path)
        assert "PEM" in caught.value.hint
