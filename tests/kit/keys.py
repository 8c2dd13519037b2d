"""Key pairs in PEM files, as openssl makes them."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)


def write_keys(folder: Path, name: str, kind: str = "ed25519", password: str = "") -> tuple[Path, Path]:
    """Write a private key and its public one; return their files. `kind` is as for `generate`."""
    key = generate(kind)
    private, public = folder / f"{name}.key", folder / f"{name}.pub"
    encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


def generate(kind: str) -> PrivateKeyTypes:
    """Make a private key: ed25519, p256, p384, secp256k1, rsa or rsa1024."""
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind.startswith("rsa"):
        return rsa.generate_private_key(65537, int(kind.removeprefix("rsa") or 2048))
    curves = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "secp256k1": ec.SECP256K1()}
    return ec.generate_private_key(curves[kind])
