"""The option --platform."""

from collections.abc import Iterable

from homeport.errors import UsageError
from homeport.mirror.platforms import is_platform


def check_platforms(platforms: Iterable[str]) -> None:
    """Refuse what is no os/architecture; raises UsageError."""
    for each in platforms:
        if not is_platform(each):
            raise UsageError(f"{each!r} is not a platform", hint="Write os/architecture, for example linux/amd64.")
