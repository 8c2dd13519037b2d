import pytest

from homeport.server.proxies import Proxies

BEHIND = Proxies(["10.0.0.0/8", "fd00::1"])


@pytest.mark.parametrize(
    ("peer", "said", "client"),
    [
        ("10.0.0.1", ["192.0.2.7"], "192.0.2.7"),
        ("10.0.0.1", ["1.1.1.1, 192.0.2.7"], "192.0.2.7"),
        ("10.0.0.1", ["1.1.1.1", "192.0.2.7, 10.9.9.9"], "192.0.2.7"),
        ("10.0.0.1", ["192.0.2.7:4711"], "192.0.2.7"),
        ("fd00::1", ["[2001:db8::7]:4711"], "2001:db8::7"),
        ("10.0.0.1", ["2001:db8::7"], "2001:db8::7"),
        ("::ffff:10.0.0.1", ["192.0.2.7"], "192.0.2.7"),
        ("10.0.0.1", ["10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["192.0.2.7, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["192.0.2.7, unknown, 10.0.0.3"], "10.0.0.3"),
        ("192.0.2.1", ["192.0.2.7"], "192.0.2.1"),
        ("fd00::2", ["192.0.2.7"], "fd00::2"),
    ],
)
def test_the_client_is_who_the_last_trusted_proxy_saw(peer, said, client):
    headers = [(b"x-forwarded-for", line.encode()) for line in said]
    assert BEHIND.client(peer, [(b"host", b"x"), *headers]) == client


def test_without_a_trusted_proxy_the_header_means_nothing():
    assert Proxies().client("10.0.0.1", [(b"x-forwarded-for", b"192.0.2.7")]) == "10.0.0.1"
