import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.errors import BlockedAddressError
from homeport.registry import addresses
from homeport.registry.addresses import Reach, check_host, check_named, dial, is_metadata, origin, reach_of, shown


@pytest.mark.parametrize(
    ("address", "reach"),
    [
        ("8.8.8.8", Reach.PUBLIC),
        ("2606:4700::1111", Reach.PUBLIC),
        ("10.1.2.3", Reach.PRIVATE),
        ("172.16.0.1", Reach.PRIVATE),
        ("192.168.0.1", Reach.PRIVATE),
        ("100.64.0.1", Reach.PRIVATE),
        ("fd12::1", Reach.PRIVATE),
        ("224.0.0.1", Reach.PRIVATE),
        ("198.18.0.1", Reach.PRIVATE),
        ("127.0.0.1", Reach.LOCAL),
        ("127.9.9.9", Reach.LOCAL),
        ("::1", Reach.LOCAL),
        ("0.0.0.0", Reach.LOCAL),
        ("::", Reach.LOCAL),
        ("169.254.1.1", Reach.LOCAL),
        ("fe80::1%eth0", Reach.LOCAL),
        ("::ffff:10.0.0.1", Reach.PRIVATE),
        ("::ffff:127.0.0.1", Reach.LOCAL),
        ("64:ff9b::7f00:1", Reach.LOCAL),
        ("2002:0a00:0001::1", Reach.PRIVATE),
    ],
)
def test_reach(address, reach):
    assert reach_of(address) == reach


@given(st.ip_addresses())
def test_every_address_has_a_reach(address):
    assert reach_of(str(address)) in Reach


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "[::ffff:a9fe:a9fe]",
        "[fd00:ec2::254]",
        "FD00:EC2::254",
        "metadata.google.internal",
        "Metadata.Google.Internal.",
        "100.100.100.200",
        "169.254.170.2",
    ],
)
def test_metadata_is_never_dialled(host):
    assert is_metadata(host)
    with pytest.raises(BlockedAddressError, match="metadata"):
        check_host(host, Reach.LOCAL)
    with pytest.raises(BlockedAddressError, match="metadata"):
        dial(host, 80, Reach.LOCAL)


def test_a_name_that_leads_to_metadata_is_not_dialled(monkeypatch):
    resolve(monkeypatch, {"innocent.example": ["169.254.169.254"]})
    with pytest.raises(BlockedAddressError, match=r"169\.254\.169\.254.*metadata"):
        dial("innocent.example", 80, Reach.LOCAL)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.3.4", "::1", "::ffff:192.168.1.1"])
def test_a_public_registry_may_not_name_inner_addresses(monkeypatch, address):
    resolve(monkeypatch, {"token.example": [address]})
    with pytest.raises(BlockedAddressError, match="inner network"):
        dial("token.example", 443, Reach.PUBLIC)
    with pytest.raises(BlockedAddressError, match="inner network"):
        check_host(address, Reach.PUBLIC)


def test_one_inner_address_among_public_ones_is_enough_to_refuse(monkeypatch):
    resolve(monkeypatch, {"token.example": ["10.0.0.1", "8.8.8.8"]})
    with pytest.raises(BlockedAddressError):
        dial("token.example", 443, Reach.PUBLIC)


def test_a_private_registry_may_name_private_addresses_but_not_this_machine(monkeypatch):
    check_host("10.0.0.1", Reach.PRIVATE)
    resolve(monkeypatch, {"token.example": ["127.0.0.1"]})
    with pytest.raises(BlockedAddressError):
        dial("token.example", 443, Reach.PRIVATE)


def test_what_is_dialled_is_what_was_judged(monkeypatch):
    """A name that answers otherwise when it is asked again (DNS rebinding) is asked only once."""
    answers = [["203.0.113.1"], ["127.0.0.1"]]
    dialled = []
    monkeypatch.setattr(addresses, "reach_of", lambda _: Reach.PUBLIC)
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, **_: found(answers.pop(0), port))
    monkeypatch.setattr(addresses, "_connect", lambda _f, _k, _p, address, _t: dialled.append(address[0]))
    dial("rebinding.example", 443, Reach.PUBLIC)
    assert dialled == ["203.0.113.1"]
    assert len(answers) == 1


def test_the_next_address_is_tried_when_one_does_not_answer(monkeypatch):
    with socket.create_server(("127.0.0.2", 0)) as server:
        port = server.getsockname()[1]
        resolve(monkeypatch, {"two.example": ["127.0.0.1", "127.0.0.2"]})
        connection, reach = dial("two.example", port, Reach.LOCAL)
        with connection:
            assert connection.getpeername()[0] == "127.0.0.2"
            assert reach == Reach.LOCAL


@pytest.mark.parametrize(
    "url", ["http://auth.example/token", "ftp://auth.example", "file:///etc/passwd", "token", "", "https:///x"]
)
def test_what_a_registry_names_is_https(url):
    with pytest.raises(BlockedAddressError, match="not an https address"):
        check_named(url, by="registry.example", plain_http=False)


def test_a_plain_registry_may_name_plain_addresses():
    check_named("http://auth.example/token", by="registry.example", plain_http=True)
    check_named("https://auth.example/token", by="registry.example", plain_http=True)
    with pytest.raises(BlockedAddressError):
        check_named("gopher://auth.example/token", by="registry.example", plain_http=True)


def test_shown_addresses_hide_what_may_be_secret():
    assert shown("https://user:pass@host:5/a/b?X-Amz-Signature=secret#f") == "https://host:5/a/b"


def test_origin_knows_default_ports():
    assert origin("https://Host/a") == origin("https://host:443/b")
    assert origin("http://host/") != origin("https://host/")
    assert origin("https://host:5000/") != origin("https://host/")


def resolve(monkeypatch, names):
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, **_: found(names[host], port))


def found(numbers, port):
    return [
        (socket.AF_INET6 if ":" in number else socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, port))
        for number in numbers
    ]
