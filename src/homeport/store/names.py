"""The names that a store lets in: the one gate between a request and a path."""

from homeport.errors import InvalidReferenceError
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
