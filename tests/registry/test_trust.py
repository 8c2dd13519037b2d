"""TLS: whom the client believes, and what it shows."""

import ssl

import pytest
import trustme

from homeport.errors import RegistryError, TLSError, UsageError
from homeport.registry.settings import Settings
from tests.kit.clients import open_registries
from tests.kit.scripted import registry_play, scripted


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def server(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with scripted(registry_play({}), tls=context) as running:
        yield running


def ping(server, **options):
    with open_registries(settings=Settings.of(**options, environment={})) as registries:
        registries.client(server.host).ping()


def test_a_ca_file(server, authority, tmp_path):
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    ping(server, ca_files=[tmp_path / "ca.pem"])
    assert server.asked() == ["/v2/", "/v2/"]


def test_a_folder_of_certs_d(server, authority, tmp_path):
    folder = tmp_path / server.host
    folder.mkdir()
    authority.cert_pem.write_to_path(str(folder / "ca.crt"))
    with open_registries(settings=Settings(certs_dirs=(str(tmp_path),))) as registries:
        registries.client(server.host).ping()


def test_verification_off_by_name_alone(server):
    ping(server, insecure=[server.host])
    with pytest.raises(TLSError):
        ping(server, insecure=["127.0.0.1:1"])


def test_a_certificate_of_another_name(authority, tmp_path):
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("other.example").configure_cert(context)
    with (
        scripted(registry_play({}), tls=context) as server,
        pytest.raises(TLSError, match=r"not trusted: .*127\.0\.0\.1"),
    ):
        ping(server, ca_files=[tmp_path / "ca.pem"])


def test_a_client_certificate_is_shown(authority, tmp_path):
    folder = tmp_path / "certs.d"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    with scripted(registry_play({}), tls=context) as server:
        (folder / server.host).mkdir(parents=True)
        authority.cert_pem.write_to_path(str(folder / server.host / "ca.crt"))
        with open_registries(settings=Settings(certs_dirs=(str(folder),))) as registries, pytest.raises(RegistryError):
            registries.client(server.host).ping()
        mine = authority.issue_cert("me@example.com")
        mine.private_key_pem.write_to_path(str(folder / server.host / "client.key"))
        mine.cert_chain_pems[0].write_to_path(str(folder / server.host / "client.cert"))
        with open_registries(settings=Settings(certs_dirs=(str(folder),))) as registries:
            registries.client(server.host).ping()
        assert server.asked() == ["/v2/", "/v2/"]


def test_a_plain_server_where_tls_is_wanted(monkeypatch):
    monkeypatch.setattr("homeport.registry.settings.is_loopback", lambda _: False)
    with scripted(registry_play({})) as server, pytest.raises(TLSError, match="no TLS") as caught:
        ping(server)
    assert f"--plain-http {server.host}" in caught.value.hint


def test_a_file_that_holds_no_certificates(server, tmp_path):
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(UsageError, match=r"ca\.pem: holds no certificates"):
        ping(server, ca_files=[tmp_path / "ca.pem"])
