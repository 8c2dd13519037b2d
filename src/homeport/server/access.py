"""Who may do what where. Pure: rules in, decisions out."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import lru_cache

import msgspec

from homeport.server.routes import Endpoint
from homeport.store.names import matches_any


class Action(StrEnum):
    """What a rule allows in a repository."""

    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"


class Identity(msgspec.Struct, frozen=True):
    """Who asks: a user, or nobody (""); a token narrows what the rules give to its grants."""

    user: str = ""
    grants: frozenset[tuple[str, Action]] | None = None


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What some people may do in some repositories. `*` stands for any user who is logged in."""

    repositories: tuple[str, ...]
    allow: tuple[Action, ...]
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    anonymous: bool = False


EVERYTHING = tuple(Action)


class Rules:
    """Decides by rules: what no rule allows is forbidden."""

    def __init__(self, rules: Iterable[Rule], groups: Mapping[str, Iterable[str]] | None = None) -> None:
        """`groups` names the users of each group."""
        self._rules = tuple(rules)
        self._groups = {name: frozenset(users) for name, users in (groups or {}).items()}
        self.allows = lru_cache(maxsize=65536)(self._allows)
        self.open_to_all = any(rule.anonymous for rule in self._rules)

    @classmethod
    def closed(cls) -> "Rules":
        """Allow everything to everybody who is logged in."""
        return cls((Rule(("**",), EVERYTHING, users=("*",)),))

    @classmethod
    def open(cls) -> "Rules":
        """Allow everything to everybody."""
        return cls((Rule(("**",), EVERYTHING, anonymous=True),))

    def _allows(self, user: str, repository: str, action: Action) -> bool:
        return any(
            action in rule.allow and self._means(rule, user) and matches_any(rule.repositories, repository)
            for rule in self._rules
        )

    def _means(self, rule: Rule, user: str) -> bool:
        if rule.anonymous:
            return True
        named = user in rule.users or "*" in rule.users
        return bool(user) and (named or any(user in self._groups.get(group, ()) for group in rule.groups))


def action_of(endpoint: Endpoint, method: str) -> Action | None:
    """Return what a request does to its repository; None where it names none."""
    if endpoint in (Endpoint.PING, Endpoint.CATALOG, Endpoint.EXTENSIONS):
        return None
    if endpoint in (Endpoint.UPLOADS, Endpoint.UPLOAD) or method == "PUT":
        return Action.PUSH
    return Action.DELETE if method == "DELETE" else Action.PULL
