"""Keys in PEM that sign bundles and check signatures; `openssl pkeyutl -sign -rawin` makes the same ones.

Ed25519 (RFC 8032), or ECDSA over P-256 with SHA-256, written in DER, with the nonces of RFC 6979.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from homeport.errors import UsageError
from homeport.mirror.bundle.signature import Signer

_MOST_BYTES: Final = 1 << 14
_MAKE = "Keys are Ed25519, or ECDSA over P-256, in PEM: openssl genpkey -algorithm ed25519 -out homeport.key"
_MAKE_PUBLIC = "It is made of the private one: openssl pkey -in homeport.key -pubout -out homeport.pub"


class PublicKey:
    """A key that checks signatures."""

    def __init__(self, file: Path) -> None:
        """Read a PEM file; raises UsageError."""
        self.name = str(file)
        try:
            key = load_pem_public_key(_read(file))
        except (ValueError, UnsupportedAlgorithm):
            raise UsageError(f"{file} is no public key in PEM", hint=_MAKE_PUBLIC) from None
        if not _is_p256(key) and not isinstance(key, Ed25519PublicKey):
            raise UsageError(f"{file} is a key of another kind", hint=_MAKE)
        self._key = key

    def has_signed(self, body: bytes, signature: bytes) -> bool:
        """Tell whether a signature of bytes is this key's."""
        try:
            if isinstance(self._key, Ed25519PublicKey):
                self._key.verify(signature, body)
            elif isinstance(self._key, EllipticCurvePublicKey):
                self._key.verify(signature, body, ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True


def open_signer(file: Path, password: Callable[[], bytes]) -> Signer:
    """Return what signs with the private key in a PEM file; `password` is called for that of an encrypted one.

    Raises UsageError.
    """
    key = _private_key(file, password)
    if isinstance(key, Ed25519PrivateKey):
        return key.sign
    if isinstance(key, EllipticCurvePrivateKey) and _is_p256(key):
        return lambda body: key.sign(body, ECDSA(SHA256(), deterministic_signing=True))
    raise UsageError(f"{file} is a key of another kind", hint=_MAKE)


def _private_key(file: Path, password: Callable[[], bytes]) -> object:
    pem = _read(file)
    try:
        return load_pem_private_key(pem, None)
    except TypeError:  # how it says that a password is wanted
        pass
    except (ValueError, UnsupportedAlgorithm):
        raise UsageError(f"{file} is no private key in PEM", hint=_MAKE) from None
    try:
        return load_pem_private_key(pem, password())
    except (ValueError, UnsupportedAlgorithm):
        raise UsageError(f"{file} cannot be decrypted: the password is wrong") from None


def _is_p256(key: object) -> bool:
    return isinstance(key, EllipticCurvePrivateKey | EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1)


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(_MOST_BYTES)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None
