"""Logins from an htpasswd file, bcrypt only."""

import asyncio
import base64
import binascii
import hmac
import os
import re
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

import bcrypt

from homeport.errors import ConfigError, UsageError

REMEMBERED: Final = 4096
"""How many proven passwords are remembered, as keyed hashes, so that bcrypt runs once for each."""

AT_ONCE: Final = 2
"""How many bcrypt computations run at a time: each takes a core for a good part of a second."""

COST: Final = 11
MAX_PASSWORD: Final = 72

_BCRYPT = re.compile(r"\$2[aby]\$(?:0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")


class LoginError(LookupError):
    """Nobody knows this user with this password."""


class Login(Protocol):
    """How the registry learns who asks, from the Authorization header."""

    def remembered(self, authorization: str) -> str | None:
        """Return the user if this login was checked before and is still good."""

    async def check(self, authorization: str) -> str:
        """Return the user; raises LoginError."""


class HtpasswdLogin:
    """Basic authentication against an htpasswd file, which is read again when it changes."""

    def __init__(self, path: Path) -> None:
        """Read the file; raises UsageError."""
        self._path = path
        self._key = secrets.token_bytes(32)
        self._proven: OrderedDict[bytes, None] = OrderedDict()
        self._running: dict[bytes, asyncio.Task[bool]] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._state = self._stat()
        self._users = read_htpasswd(path)
        self._decoy = _decoy(self._users)

    def remembered(self, authorization: str) -> str | None:
        """Return the user of a login that was proven with the hash that the file has now."""
        self._refresh()
        try:
            user, password = _credentials(authorization)
        except LoginError:
            return None
        hashed = self._users.get(user)
        if hashed is None or (proof := self._proof(hashed, password)) not in self._proven:
            return None
        self._proven.move_to_end(proof)
        return user

    async def check(self, authorization: str) -> str:
        """Return the user; raises LoginError. An unknown user takes as long as a wrong password."""
        if user := self.remembered(authorization):
            return user
        user, password = _credentials(authorization)
        hashed = self._users.get(user)
        proof = self._proof(hashed or self._decoy, password)
        if not await self._prove(proof, password, hashed or self._decoy) or hashed is None:
            raise LoginError("user or password is wrong")
        self._proven[proof] = None
        if len(self._proven) > REMEMBERED:
            self._proven.popitem(last=False)
        return user

    def _proof(self, hashed: bytes, password: bytes) -> bytes:
        return hmac.digest(self._key, b"\0".join((hashed, password)), "sha256")

    async def _prove(self, proof: bytes, password: bytes, hashed: bytes) -> bool:
        """Run bcrypt once for all requests that bring the same password at the same time."""
        task = self._running.get(proof)
        if task is None:
            task = self._running[proof] = asyncio.create_task(self._compute(password, hashed))
            task.add_done_callback(lambda _: self._running.pop(proof, None))
        return await asyncio.shield(task)

    async def _compute(self, password: bytes, hashed: bytes) -> bool:
        async with self._slots:
            return await asyncio.to_thread(_matches, password, hashed)

    def _refresh(self) -> None:
        """Read the file again if it changed; while it cannot be read, the users stay as they were."""
        state = self._stat()
        if state != self._state:
            try:
                self._users = read_htpasswd(self._path)
            except UsageError:
                return
            self._state = state

    def _stat(self) -> tuple[int, int, int]:
        try:
            status = os.stat(self._path)  # noqa: PTH116 - asked for each request
        except OSError:
            return (0, 0, 0)
        return (status.st_mtime_ns, status.st_size, status.st_ino)


def read_htpasswd(path: Path) -> dict[str, bytes]:
    """Read users and their bcrypt hashes; raises UsageError, with the line."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(
            f"cannot read {path}: {reason}", hint="Make it with `homeport registry user add USER --htpasswd FILE`."
        ) from None
    users: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        user, _, hashed = line.strip().partition(":")
        if not user or not _BCRYPT.fullmatch(hashed):
            raise ConfigError(
                "this is not a user with a bcrypt hash",
                file=str(path),
                line=number,
                hint="Write it with `htpasswd -B FILE USER`; other kinds of hashes are too weak.",
            )
        users[user] = hashed.encode()
    return users


def add_user(path: Path, user: str, password: str) -> None:
    """Add a user to a file, which is made if there is none, or give one another password; raises UsageError."""
    if not user or ":" in user or user.strip() != user or not user.isprintable() or user.startswith("#"):
        raise UsageError(f"{user!r} cannot be a user", hint="A name has no colon and no space at its ends.")
    if not password:
        raise UsageError("the password is empty", hint="Write it to stdin, in one line.")
    if len(password.encode()) > MAX_PASSWORD:
        raise UsageError(f"the password is longer than {MAX_PASSWORD} bytes", hint="bcrypt does not see the rest.")
    users = read_htpasswd(path) if path.exists() else {}
    users[user] = bcrypt.hashpw(password.encode(), bcrypt.gensalt(COST))
    text = b"".join(name.encode() + b":" + hashed + b"\n" for name, hashed in users.items())
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UsageError(f"cannot write {path}: {error.strerror}", hint="Name a file that you may write.") from None


def _decoy(users: Mapping[str, bytes]) -> bytes:
    """Make up a hash, as costly to compare with as the file's first."""
    cost = int(next(iter(users.values()), b"$2b$10$")[4:6])
    return bcrypt.gensalt(cost) + secrets.token_hex(16)[:31].encode()


def _credentials(header: str) -> tuple[str, bytes]:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        raise LoginError("a login is needed")
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return user.decode(), password if colon else b""
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise LoginError("the login cannot be read") from None


def _matches(password: bytes, hashed: bytes) -> bool:
    # bcrypt takes 72 bytes; htpasswd cuts longer passwords when it hashes them, so they are cut here too.
    return bcrypt.checkpw(password[:72], hashed)
