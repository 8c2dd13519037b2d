"""The gate before the registry: who asks, and whether they may. Every way to an answer leads through here."""

import msgspec

from homeport.oci.error_codes import ErrorCode
from homeport.server.access import Action, Identity, Rules
from homeport.server.login import Login
from homeport.server.replies import Refusal
from homeport.server.routes import Route
from homeport.server.tokens import Tokens

NOBODY = Identity()


class Asking(msgspec.Struct, frozen=True):
    """A request as the gate sees it: who it says that it is, where it came to, and what it wants."""

    authorization: str
    origin: str
    route: Route | None
    action: Action | None

    @property
    def repository(self) -> str:
        """The repository that is asked for; "" where none is."""
        return self.route.repository if self.route else ""


class Gate:
    """Knows people by their login or their token, and lets them do what the rules say."""

    def __init__(
        self,
        login: Login | None = None,
        *,
        rules: Rules | None = None,
        tokens: Tokens | None = None,
        read_only: bool = False,
    ) -> None:
        """Without a login, everybody is nobody; without rules, everybody who gets in may do everything."""
        self.login, self.tokens, self.read_only = login, tokens, read_only
        self.rules = rules or (Rules.closed() if login else Rules.open())

    def known(self, authorization: str) -> Identity | None:
        """Return who asks if that needs no thought: nobody, or somebody whose login or token was seen before."""
        if not authorization or not self.login:
            return NOBODY
        if self.tokens and (identity := self.tokens.remembered(authorization)):
            return identity
        user = self.login.remembered(authorization)
        return Identity(user) if user else None

    async def identify(self, asking: Asking) -> Identity:
        """Return who asks; raises Refusal with 401."""
        identity = self.known(asking.authorization)
        if identity is None:
            try:
                identity = await self._identify(asking.authorization)
            except LookupError as error:
                raise self._unauthorized(asking, str(error)) from None
        anonymous = not identity.user and identity.grants is None
        if self.login and anonymous and (not self.rules.open_to_all or not asking.repository):
            # Also where pulls are open to all: podman and skopeo learn from the ping alone how to log in.
            raise self._unauthorized(asking, "a login is needed")
        return identity

    def may(self, identity: Identity, repository: str, action: Action) -> bool:
        """Tell whether somebody may do something in a repository."""
        if identity.grants is not None and (repository, action) not in identity.grants:
            return False
        return self.rules.allows(identity.user, repository, action)

    def check(self, identity: Identity, asking: Asking) -> None:
        """Raise Refusal unless somebody may do this."""
        action, repository = asking.action, asking.repository
        if action is None:
            return
        if self.read_only and action is not Action.PULL:
            raise Refusal(405, ErrorCode.UNSUPPORTED, "the registry is read-only for now")
        if self.may(identity, repository, action):
            return
        if self.login and (not identity.user or self._would_help(identity, repository, action)):
            raise self._unauthorized(asking, "a login is needed", narrow=identity.grants is not None)
        raise Refusal(
            403,
            ErrorCode.DENIED,
            f"{identity.user or 'nobody'} may not {action} here",
            detail={"repository": repository, "action": action},
        )

    async def _identify(self, authorization: str) -> Identity:
        """Check a login or a token; raises LookupError with what is wrong."""
        if self.tokens and authorization[:7].lower() == "bearer ":
            return self.tokens.read(authorization)
        if not self.login:
            return NOBODY
        return Identity(await self.login.check(authorization))

    def _would_help(self, identity: Identity, repository: str, action: Action) -> bool:
        """Tell whether another token would do: it was not asked for this, but the rules allow it."""
        return identity.grants is not None and self.rules.allows(identity.user, repository, action)

    def _unauthorized(self, asking: Asking, message: str, *, narrow: bool = False) -> Refusal:
        challenge = 'Basic realm="homeport", charset="UTF-8"'
        if self.tokens:
            challenge = self.tokens.challenge(asking.origin, asking.repository, asking.action)
            challenge += ',error="insufficient_scope"' if narrow else ""
        return Refusal(401, ErrorCode.UNAUTHORIZED, message, headers=(("www-authenticate", challenge),))
