"""Options about keys: what signs a bundle, and what checks that it was signed."""

import sys
from collections.abc import Sequence
from getpass import getpass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from homeport.errors import UsageError
from homeport.mirror.bundle.signature import Signer, VerifyKey
from homeport.mirror.signatures import Demand

VerifyKeys = Annotated[tuple[Path, ...], Parameter(name="--verify-key", negative="", show_default=False)]


def open_sign_key(file: Path, password_file: Path | None) -> Signer:
    """Return what signs with a private key; the password of an encrypted one is read, or asked for. Raises UsageError."""
    _require_cryptography()
    from homeport.mirror.bundle.keys import open_signer

    return open_signer(file, lambda: _password(file, password_file))


def read_verify_keys(files: Sequence[Path]) -> tuple[VerifyKey, ...]:
    """Read public keys; raises UsageError."""
    if not files:
        return ()
    _require_cryptography()
    from homeport.mirror.bundle.keys import PublicKey

    return tuple(map(PublicKey, files))


def read_demands(texts: Sequence[str]) -> tuple[Demand, ...]:
    """Read what images are to be signed by, KEY or PATTERN=KEY; raises UsageError."""
    if not texts:
        return ()
    _require_cryptography()
    from homeport.mirror.bundle.keys import PublicKey

    split = [("*", "", text) if Path(text).exists() else text.rpartition("=") for text in texts]
    return tuple(Demand(PublicKey(Path(file)), pattern or "*") for pattern, _, file in split)


def _password(file: Path, password_file: Path | None) -> bytes:
    if password_file is None:
        if not sys.stdin.isatty():
            raise UsageError(f"{file} is encrypted", hint="Name the file of its password: --sign-password-file FILE")
        return getpass(f"password of {file}: ").encode()
    try:
        return password_file.read_bytes().removesuffix(b"\n").removesuffix(b"\r")
    except OSError as error:
        raise UsageError(f"--sign-password-file {password_file}: {error.strerror}") from None


def _require_cryptography() -> None:
    try:
        import cryptography  # noqa: F401 - only its presence counts
    except ImportError:
        raise UsageError("signatures need one more package", hint="Install it: pip install 'homeport[sign]'.") from None
