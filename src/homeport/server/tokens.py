"""A token service: a login once, then short-lived signed tokens that say what they are for (Docker's token scheme)."""

import re
import secrets
import time
from collections.abc import Callable, Iterable
from typing import Final

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from homeport.reference import is_repository
from homeport.server.access import Action, Identity

LIFETIME: Final = 300
"""Seconds; clients take 60 for granted and ask again after a 401."""

REMEMBERED: Final = 4096
SERVICE: Final = "homeport"
MAX_SCOPES: Final = 64

_SCOPE = re.compile(r"repository(?:\([a-z0-9]+\))?:(.+):([a-z*,]*)")


class _Access(msgspec.Struct):
    type: str = ""
    name: str = ""
    actions: list[str] = []


class _Claims(msgspec.Struct):
    sub: str
    iss: str
    aud: str
    exp: int
    access: list[_Access]


class Tokens:
    """Signs tokens and reads them; a key lives as long as the process, or as its owner wants it to."""

    def __init__(
        self, *, lifetime: int = LIFETIME, key: bytes | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self.lifetime, self._clock = lifetime, clock
        self._key = OctKey.import_key(key or secrets.token_bytes(32))
        self._known: dict[str, tuple[Identity, int]] = {}

    def challenge(self, origin: str, repository: str, action: Action | None) -> str:
        """Write the challenge that sends a client to this service; what pushes may pull, too."""
        scope = ""
        if repository and action:
            actions = "pull,push" if action is Action.PUSH else action.value
            scope = f',scope="repository:{repository}:{actions}"'
        return f'Bearer realm="{origin}/token",service="{SERVICE}"{scope}'

    def issue(self, user: str, grants: Iterable[tuple[str, Action]]) -> str:
        """Sign a token for a user, "" for nobody."""
        now = int(self._clock())
        actions: dict[str, list[str]] = {}
        for repository, action in grants:
            actions.setdefault(repository, []).append(action.value)
        claims = {
            "sub": user,
            "iss": SERVICE,
            "aud": SERVICE,
            "iat": now,
            "exp": now + self.lifetime,
            "jti": secrets.token_hex(8),
            "access": [{"type": "repository", "name": name, "actions": given} for name, given in actions.items()],
        }
        return jwt.encode({"alg": "HS256", "typ": "JWT"}, claims, self._key)

    def remembered(self, authorization: str) -> Identity | None:
        """Return whose token this is, if it was read before and is still good."""
        known = self._known.get(authorization)
        return known[0] if known and self._clock() < known[1] else None

    def read(self, authorization: str) -> Identity:
        """Return whose token this is; raises LookupError."""
        try:
            token = jwt.decode(authorization[7:].strip(), self._key, algorithms=["HS256"])
            claims = msgspec.convert(token.claims, _Claims)
        except (JoseError, msgspec.ValidationError, ValueError):
            raise LookupError("the token is not one of this registry") from None
        if claims.iss != SERVICE or claims.aud != SERVICE or self._clock() >= claims.exp:
            raise LookupError("the token has expired")
        identity = Identity(
            claims.sub, frozenset((entry.name, Action(given)) for entry in claims.access for given in entry.actions)
        )
        while len(self._known) >= REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[authorization] = identity, claims.exp
        return identity


def parse_scopes(texts: Iterable[str]) -> list[tuple[str, Action]]:
    """Read `scope` parameters, each of one or more scopes; what is not a repository's is left out, `*` is everything."""
    wanted: list[tuple[str, Action]] = []
    for text in [scope for many in texts for scope in many.split(" ")][:MAX_SCOPES]:
        match = _SCOPE.fullmatch(text)
        if match and is_repository(match[1]):
            named = set(match[2].split(","))
            wanted += [(match[1], action) for action in Action if named & {action.value, "*"}]
    return wanted
