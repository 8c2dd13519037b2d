"""The option --platform."""

from collections.abc import Iterable

from homeport.cli.progress import tell
from homeport.errors import UsageError
from homeport.mirror.platforms import is_platform


def check_platforms(platforms: Iterable[str]) -> None:
    """Refuse what is no os/architecture; raises UsageError."""
    for each in platforms:
        if not is_platform(each):
            raise UsageError(f"{each!r} is not a platform", hint="Write os/architecture, for example linux/amd64.")


def warn_of_other_digests(platforms: tuple[str, ...], form: str = "table") -> None:
    """Say loudly what --rebuild-index does; raises UsageError where no platform is named."""
    if not platforms:
        raise UsageError("--rebuild-index is about platforms", hint="Add --platform, or leave --rebuild-index out.")
    tell(
        "warning",
        f"--rebuild-index: images of more than {', '.join(platforms)} get ANOTHER DIGEST at the target; a name with a digest "
        "will not find them, and a signature of the whole image does not fit",
        form,
    )
