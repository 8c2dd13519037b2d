"""Who a client is behind proxies: X-Forwarded-For counts only as far as those who wrote it are trusted."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

RawHeaders = Iterable[tuple[bytes, bytes]]


class Proxies:
    """The proxies in front of the registry, by address or network; without any, a client is whoever connects."""

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        """Raises ValueError where one is neither an address nor a network."""
        self._networks = tuple(ip_network(text) for text in trusted)

    def client(self, peer: str, headers: RawHeaders) -> str:
        """Return the address of the client: the last one in the chain that is not a trusted proxy's."""
        if not self._networks or not self._is_trusted(peer):
            return peer
        said = ",".join(value.decode("latin-1") for name, value in headers if name == b"x-forwarded-for")
        for text in reversed(said.split(",")):
            address = _address(text)
            if address is None:
                break  # what a proxy wrote before this cannot be told from what its client made up
            peer = str(address)
            if not self._is_trusted(peer):
                break
        return peer

    def _is_trusted(self, text: str) -> bool:
        address = _address(text)
        return address is not None and any(address in network for network in self._networks)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address, also with a port, as some proxies write it; an IPv4 address in the form of IPv6 is the former."""
    text = text.strip()
    host = text.rpartition(":")[0] if text.startswith("[") or text.count(":") == 1 else text
    try:
        address = ip_address(host.strip("[]") or text.strip("[]"))
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
