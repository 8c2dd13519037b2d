"""How large a request a registry takes, found without sending one: a proxy before it may take less than a layer has."""

from typing import Final

from homeport.oci.digest import digest_of
from homeport.oci.manifest import Descriptor
from homeport.registry.client import RegistryClient

MOST: Final = 8 << 30
_LEAST_EXPONENT: Final = 16
_CONTINUE: Final = 100
_TOO_LARGE: Final = 413


def body_limit(client: RegistryClient, repository: str) -> int | None:
    """Return how many bytes are taken in one request, rounded down to a power of two and at most MOST; None where nothing tells.

    Sizes are announced, with Expect: 100-continue, and no byte of them is sent: the answer comes after the head. Proxies refuse by the
    announced length (nginx client_max_body_size, Traefik maxRequestBodyBytes, Cloudflare). Raises RegistryError.
    """
    most = MOST.bit_length() - 1
    state = _takes(client, repository, most)
    if state is not False:
        return MOST if state else None
    low, high = _LEAST_EXPONENT - 1, most
    while high - low > 1:
        middle = (low + high) // 2
        state = _takes(client, repository, middle)
        if state is None:
            return None
        low, high = (middle, high) if state else (low, middle)
    return 1 << low if low >= _LEAST_EXPONENT else 0


def _takes(client: RegistryClient, repository: str, exponent: int) -> bool | None:
    """Announce a blob; an upload of its own for each, as what is broken off may spoil it."""
    blob = Descriptor("", digest_of(b"never sent"), 1 << exponent)
    upload = client.start_blob(repository, blob.digest)
    if upload is None:
        return None
    try:
        return {_CONTINUE: True, _TOO_LARGE: False}.get(client.announce_blob(repository, blob, upload))
    finally:
        client.cancel_upload(repository, upload)
