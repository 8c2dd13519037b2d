"""Certificates of server and clients, and what happens when their files change."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import trustme

from homeport.server.app import Registry
from homeport.server.run import Listen, RegistryServer
from homeport.server.tls import Certificate
from homeport.store.memory import MemoryStore


class Files:
    """Certificate and key of a server, and the authorities of its clients."""

    def __init__(self, folder: Path) -> None:
        self.cert, self.key, self.client_ca = (folder / name for name in ("cert.pem", "key.pem", "clients.pem"))
        self.server_ca, self.clients = trustme.CA(), trustme.CA()
        self.renew(self.server_ca)
        self.trust(self.clients)

    def renew(self, authority: trustme.CA) -> None:
        issued = authority.issue_cert("127.0.0.1", "localhost")
        issued.private_key_pem.write_to_path(str(self.key))
        issued.cert_chain_pems[0].write_to_path(str(self.cert))

    def trust(self, authority: trustme.CA) -> None:
        self.client_ca.write_bytes(authority.cert_pem.bytes())


@pytest.fixture
def files(tmp_path) -> Files:
    return Files(tmp_path)


@contextmanager
def serving(certificate: Certificate) -> Iterator[tuple[str, int]]:
    ready = threading.Event()
    listen = Listen("127.0.0.1", 0)
    server = RegistryServer(Registry(MemoryStore()), listen, tls=certificate, on_ready=lambda _url: ready.set())
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert ready.wait(10)
        yield listen.socket.getsockname()
    finally:
        server.should_exit = True
        thread.join()


def ask(address: tuple[str, int], server_ca: trustme.CA, client: trustme.LeafCert | None = None, name: str = "") -> str:
    """Return the first line of an answer, or why there is none; without a name none is told to the server."""
    context = ssl.create_default_context()
    context.check_hostname = bool(name)
    server_ca.configure_trust(context)
    if client:
        client.configure_cert(context)
    try:
        with (
            closing(socket.create_connection(address, timeout=30)) as plain,
            context.wrap_socket(plain, server_hostname=name or None) as connection,
        ):
            connection.sendall(b"GET /v2/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            return connection.recv(1000).split(b"\r\n")[0].decode()
    except (ssl.SSLError, ConnectionError) as error:
        return str(error)


OK = "HTTP/1.1 200 OK"


@pytest.mark.parametrize("name", ["", "localhost"])
def test_a_renewed_certificate_counts_for_the_next_connection(files, name):
    certificate, renewed = Certificate(files.cert, files.key), trustme.CA()
    with serving(certificate) as address:
        assert ask(address, files.server_ca, name=name) == OK
        assert not certificate.refresh()
        files.renew(renewed)
        certificate.refresh()
        assert ask(address, renewed, name=name) == OK
        assert "CERTIFICATE_VERIFY_FAILED" in ask(address, files.server_ca, name=name)


def test_files_that_do_not_fit_together_yet_leave_the_old_ones_in_use(files):
    """The server looks at them by itself too, at any time: each step leaves what does not fit, until the last."""
    certificate, renewed = Certificate(files.cert, files.key), trustme.CA()
    with serving(certificate) as address:
        files.cert.write_bytes(renewed.issue_cert("127.0.0.1").cert_chain_pems[0].bytes())
        assert not certificate.refresh()
        files.cert.unlink()
        assert not certificate.refresh()
        assert ask(address, files.server_ca) == OK
        files.renew(renewed)
        certificate.refresh()
        assert ask(address, renewed) == OK


def test_the_server_looks_at_the_files_by_itself(files):
    certificate = Certificate(files.cert, files.key)
    server = RegistryServer(Registry(MemoryStore()), listen := Listen("127.0.0.1", 0), tls=certificate)
    files.renew(trustme.CA())
    asyncio.run(server.on_tick(50))
    assert not certificate.refresh(), "it was read already"
    listen.socket.close()


@pytest.mark.parametrize("name", ["", "localhost"])
def test_only_clients_with_a_certificate_of_the_authorities_get_in(files, name):
    certificate = Certificate(files.cert, files.key, files.client_ca)
    mine, other = files.clients.issue_cert("me"), trustme.CA()
    with serving(certificate) as address:
        assert ask(address, files.server_ca, mine, name) == OK
        assert ask(address, files.server_ca, name=name) != OK
        assert ask(address, files.server_ca, other.issue_cert("me"), name) != OK
        files.trust(other)
        certificate.refresh()
        assert ask(address, files.server_ca, mine, name) != OK, "an authority that was taken away is trusted still"
        assert ask(address, files.server_ca, other.issue_cert("me"), name) == OK


def test_no_session_goes_on_after_its_authority_is_gone(files):
    certificate = Certificate(files.cert, files.key, files.client_ca)
    context = ssl.create_default_context()
    context.check_hostname = False
    files.server_ca.configure_trust(context)
    files.clients.issue_cert("me").configure_cert(context)

    def connect(session: ssl.SSLSession | None) -> ssl.SSLSession | None:
        with (
            closing(socket.create_connection(address, timeout=30)) as plain,
            context.wrap_socket(plain, session=session) as connection,
        ):
            connection.sendall(b"GET /v2/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            assert connection.recv(1000).startswith(OK.encode())
            assert not connection.session_reused
            return connection.session

    with serving(certificate) as address:
        connect(connect(None))
