"""The signature of a bundle: that of its checksums by one key, beside them as SIGNATURE."""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from homeport.errors import ContentError
from homeport.mirror.bundle.contents import CONTENTS, SIGNATURE, SUMS
from homeport.store.files import Files, read_whole
from homeport.store.oci_layout import MOST_INDEX_BYTES

_MOST_BYTES: Final = 1 << 10

Signer = Callable[[bytes], bytes]
"""Returns the signature of bytes, always the same for the same bytes."""


class VerifyKey(Protocol):
    """A public key."""

    @property
    def name(self) -> str:
        """What it is called in messages."""

    def has_signed(self, body: bytes, signature: bytes) -> bool:
        """Tell whether a signature of bytes is this key's."""


def check_signature(files: Files, keys: Sequence[VerifyKey]) -> None:
    """Raise ContentError unless the checksums of a bundle are signed by one of the keys."""
    named = " or ".join(key.name for key in keys)
    if files.size(CONTENTS) is None or files.size(SIGNATURE) is None:
        raise ContentError(
            f"{files.name()} is not signed; it is to be signed by {named}",
            hint="Nothing of it was used. A bundle is signed when it is made: homeport bundle save --sign-key KEY",
        )
    body, signature = read_whole(files, SUMS, MOST_INDEX_BYTES), read_whole(files, SIGNATURE, _MOST_BYTES)
    if not any(key.has_signed(body, signature) for key in keys):
        raise ContentError(
            f"{files.name()} is not signed by {named}, or was changed since",
            hint="Nothing of it was used. Get it again from where you trust it, or the right public key.",
        )
