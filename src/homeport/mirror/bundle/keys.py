"""Keys in PEM that sign bundles and check signatures; `openssl pkeyutl -sign -rawin` makes the same ones.

Ed25519 (RFC 8032), or ECDSA over P-256 with SHA-256, written in DER, with the nonces of RFC 6979. Signatures of others, as cosign
makes them for images, may also be ECDSA over P-384 with SHA-384 (cosign 2: SHA-256), or RSA (PKCS #1 v1.5) with SHA-256.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    SECP384R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, HashAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from homeport.errors import UsageError
from homeport.mirror.bundle.signature import Signer

_MOST_BYTES: Final = 1 << 14
_FEWEST_RSA_BITS: Final = 2048
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
        if not isinstance(key, Ed25519PublicKey | RSAPublicKey | EllipticCurvePublicKey):
            raise UsageError(f"{file} is a key of another kind", hint=_MAKE)
        if isinstance(key, EllipticCurvePublicKey) and not isinstance(key.curve, SECP256R1 | SECP384R1):
            raise UsageError(f"{file} is a key over another curve, {key.curve.name}", hint=_MAKE)
        if isinstance(key, RSAPublicKey) and key.key_size < _FEWEST_RSA_BITS:
            raise UsageError(f"{file} is an RSA key of only {key.key_size} bits", hint=_MAKE)
        self._key = key

    def has_signed(self, body: bytes, signature: bytes) -> bool:
        """Tell whether a signature of bytes is this key's."""
        if isinstance(self._key, EllipticCurvePublicKey):
            hashes: list[HashAlgorithm] = [SHA256()] if _is_p256(self._key) else [SHA384(), SHA256()]
            return any(_holds(partial(self._key.verify, signature, body, ECDSA(each))) for each in hashes)
        if isinstance(self._key, RSAPublicKey):
            return _holds(partial(self._key.verify, signature, body, PKCS1v15(), SHA256()))
        return _holds(partial(self._key.verify, signature, body))


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


def _holds(verify: Callable[[], None]) -> bool:
    try:
        verify()
    except InvalidSignature:
        return False
    return True


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
