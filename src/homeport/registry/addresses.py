"""Which addresses may be dialled, when it is a registry that names them.

A registry names addresses that its clients then visit: the realm that hands out tokens, redirects, uploads. An evil one would
have us visit our own network for it (SSRF). So a host is resolved first, the address is judged, and that very address is dialled.
"""

import socket
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from homeport.errors import BlockedAddressError

CONNECT_SECONDS = 10.0

_METADATA_NAMES = frozenset({"metadata.google.internal", "metadata.goog"})
_METADATA = frozenset(
    map(
        ip_address,
        (
            "169.254.169.254",  # AWS, Azure, Google, and most others
            "169.254.170.2",  # AWS ECS tasks
            "169.254.170.23",  # AWS EKS pod identity
            "fd00:ec2::254",  # AWS
            "fd00:ec2::23",  # AWS EKS pod identity
            "fd20:ce::254",  # Google
            "100.100.100.200",  # Alibaba
            "192.0.0.192",  # Oracle
            "168.63.129.16",  # Azure's host agent
        ),
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")


class Reach(IntEnum):
    """How far away an address is; who is far must not name what is near."""

    PUBLIC = 0
    PRIVATE = 1
    LOCAL = 2
    """This machine or this link."""


def reach_of(text: str) -> Reach:
    """Judge a numeric address."""
    address = _embedded(ip_address(text.partition("%")[0]))
    if address.is_loopback or address.is_link_local or address.is_unspecified:
        return Reach.LOCAL
    return Reach.PUBLIC if address.is_global and not address.is_multicast else Reach.PRIVATE


def is_metadata(host: str) -> bool:
    """Tell whether a host, by name or number, hands out a cloud machine's credentials."""
    name = host.strip("[]").rstrip(".").lower()
    try:
        return _embedded(ip_address(name.partition("%")[0])) in _METADATA
    except ValueError:
        return name in _METADATA_NAMES


def is_loopback(host: str) -> bool:
    """Tell whether a registry's host (without port) is this machine by its name, as Docker decides it."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def check_named(url: str, *, by: str, plain_http: bool) -> None:
    """Refuse an address that a registry named when its form alone forbids it; raises BlockedAddressError."""
    parts = urlsplit(url)
    allowed = ("https", "http") if plain_http else ("https",)
    if parts.scheme not in allowed or not parts.hostname:
        raise BlockedAddressError(
            f"{by} sends us to {shown(url)}, which is not an https address",
            host=by,
            hint="Credentials and content travel over https only; the registry's operator has to correct the address.",
        )


def check_host(host: str, limit: Reach) -> None:
    """Refuse a host for what it says of itself, unresolved; raises BlockedAddressError."""
    if is_metadata(host):
        raise _blocked(host, "a metadata service")
    if literal_reach(host, limit) > limit:
        raise _blocked(host, "an address of an inner network")


def literal_reach(host: str, unknown: Reach) -> Reach:
    """Judge a host that is written as a number; one that is a name counts as `unknown`."""
    try:
        return reach_of(host.strip("[]"))
    except ValueError:
        return unknown


def dial(host: str, port: int, limit: Reach, timeout: float = CONNECT_SECONDS) -> tuple[socket.socket, Reach]:
    """Connect to the first address of a host that answers and lies within the limit; raises OSError, BlockedAddressError."""
    check_host(host, limit)
    failure: OSError | None = None
    for family, kind, protocol, _, address in socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM):
        number = str(address[0])
        check_host(number, limit)
        try:
            return _connect(family, kind, protocol, address, timeout), reach_of(number)
        except OSError as error:
            failure = error
    raise failure or OSError(f"{host} has no address")


def shown(url: str) -> str:
    """Return an address as it may be printed: without user, password, query and fragment, which may hold secrets."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"[:200]


def origin(url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port: who shares them is one and the same peer (RFC 6454)."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _connect(family: int, kind: int, protocol: int, address: tuple[object, ...], timeout: float) -> socket.socket:
    connection = socket.socket(family, kind, protocol)
    try:
        connection.settimeout(timeout)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.connect(address)
    except BaseException:
        connection.close()
        raise
    return connection


def _embedded(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 one leads to, where it does: mapped, 6to4, NAT64."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour or address


def _blocked(host: str, what: str) -> BlockedAddressError:
    return BlockedAddressError(
        f"{host} is not dialled: it is {what}",
        host=host,
        hint="A registry may name addresses as far away as its own, never nearer ones; ask who runs it.",
    )
