"""Tags that name one digest for ever, by pattern."""

from collections.abc import Iterable

import msgspec

from homeport.store.names import matches_any


class ImmutableTags(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tags of repositories that are never moved or deleted once they are there."""

    repositories: tuple[str, ...]
    tags: tuple[str, ...] = ("**",)


def is_immutable(rules: Iterable[ImmutableTags], repository: str, tag: str) -> bool:
    """Tell whether a rule names a tag."""
    return any(matches_any(rule.repositories, repository) and matches_any(rule.tags, tag) for rule in rules)
