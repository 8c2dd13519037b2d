"""The names that a store lets in: the one gate between a request and a path."""

import re
from collections.abc import Iterable
from functools import lru_cache

from homeport.errors import InvalidReferenceError, TagFixedError
from homeport.reference import is_repository, is_tag


def check_repository(text: str) -> str:
    """Return a repository's name, or raise InvalidReferenceError."""
    if not is_repository(text):
        raise InvalidReferenceError(f"{text[:80]!r} is not a repository")
    return text


def check_tag(text: str) -> str:
    """Return a tag, or raise InvalidReferenceError."""
    if not is_tag(text):
        raise InvalidReferenceError(f"{text[:140]!r} is not a tag")
    return text


def check_fixed(tag: str, named: str | None, wanted: str) -> None:
    """Raise TagFixedError where a tag that is fixed names something else than what it is to name."""
    if named not in (None, wanted):
        raise TagFixedError(f"the tag {tag} is immutable and names {named}", hint="Push it under another tag.")


def matches_any(patterns: Iterable[str], name: str) -> bool:
    """Tell whether a name matches a pattern: `*` stays within a component, `**` does not, `?` is one character."""
    return any(_compiled(pattern).fullmatch(name) for pattern in patterns)


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*|\*|\?)", pattern)
    signs = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(signs.get(part, re.escape(part)) for part in parts), re.DOTALL)
