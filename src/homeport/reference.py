"""Image names, read as Docker, containerd and the kubelet read them.

The grammar is that of github.com/distribution/reference (reference.go, normalize.go):
``[host[:port]/]path[:tag][@digest]``.
"""

import re
from typing import Final

import msgspec

from homeport.errors import InvalidReferenceError
from homeport.oci.digest import is_digest

DOCKER_HUB: Final = "docker.io"
MAX_PATH: Final = 255

_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_HOST_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = re.compile(rf"(?:{_HOST_LABEL}(?:\.{_HOST_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_IDENTIFIER = re.compile(r"[a-f0-9]{64}")


class Reference(msgspec.Struct, frozen=True, order=True):
    """An image name in full: registry, repository (its path there), tag and digest, of which either may be absent."""

    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str, default_registry: str = DOCKER_HUB) -> "Reference":
        """Read a name; one without a registry is of the default registry. Raises InvalidReferenceError.

        A name without tag and digest stays so here; see `pinned` for what a runtime pulls.
        """
        if _IDENTIFIER.fullmatch(text):
            raise _invalid(text, "64 hexadecimal characters are an image's id, not a name")
        rest, at, digest = text.partition("@")
        if at and not is_digest(digest):
            raise _invalid(text, f"{digest[:80]!r} is not a digest")
        registry, path = split_registry(rest, default_registry)
        path, colon, tag = path.partition(":")
        if colon and not _TAG.fullmatch(tag):
            raise _invalid(text, f"{tag[:140]!r} is not a tag")
        if not _HOST.fullmatch(registry):
            raise _invalid(text, f"{registry[:80]!r} is not a host")
        if path != path.lower():
            raise _invalid(text, "a repository is written in lower case")
        if len(path) > MAX_PATH:
            raise _invalid(text, f"a repository has at most {MAX_PATH} characters")
        if not _PATH.fullmatch(path):
            raise _invalid(text, f"{path!r} is not a repository")
        return cls(registry, path, tag or None, digest or None)

    @property
    def name(self) -> str:
        """Registry and repository, without tag and digest."""
        return f"{self.registry}/{self.repository}"

    @property
    def pinned(self) -> "Reference":
        """The reference as a runtime pulls it: without tag and digest it is ``:latest``."""
        return self if self.tag or self.digest else msgspec.structs.replace(self, tag="latest")

    @property
    def identifier(self) -> str:
        """What a registry is asked for: the digest where there is one, else the tag, else ``latest``."""
        return self.digest or self.tag or "latest"

    def __str__(self) -> str:
        return self.name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def split_registry(text: str, default_registry: str = DOCKER_HUB) -> tuple[str, str]:
    """Split a name into its registry and the rest, with Docker Hub's ``library/`` added (normalize.go splitDockerDomain)."""
    host, slash, path = text.partition("/")
    if not slash or not (host == "localhost" or set(host) & {".", ":"} or host.lower() != host):
        host, path = default_registry, text
    if host == "index.docker.io":
        host = DOCKER_HUB
    if host == DOCKER_HUB and "/" not in path:
        path = f"library/{path}"
    return host, path


def is_tag(text: str) -> bool:
    """Tell whether a text may stand as a tag."""
    return bool(_TAG.fullmatch(text))


def is_repository(text: str) -> bool:
    """Tell whether a text may stand as a repository's path in a registry."""
    return len(text) <= MAX_PATH and bool(_PATH.fullmatch(text))


def is_host(text: str) -> bool:
    """Tell whether a text may stand as a registry: a host with an optional port."""
    return bool(_HOST.fullmatch(text))


def _invalid(text: str, reason: str) -> InvalidReferenceError:
    shown = text if len(text) <= 160 else text[:157] + "..."
    return InvalidReferenceError(
        f"{shown!r} is not an image name: {reason}",
        hint="A name is [host[:port]/]path[:tag][@digest], the path in lower case.",
    )
