"""How much a text looks like an image name, whatever it is called."""

import re
from typing import Final, Literal

from homeport.discovery.tree import Scalar
from homeport.errors import InvalidReferenceError
from homeport.reference import DOCKER_HUB, Reference

Sure = Literal["certain", "likely", "uncertain"]

NOTHING: Final = -1
BARE: Final = 0
"""A single word."""
PATH: Final = 1
"""A path without tag."""
TAGGED: Final = 2
"""A single word with a tag."""
TAGGED_PATH: Final = 3
"""A path with a tag, or a path in a registry that is known as one."""
FULL: Final = 4
"""A registry, a path, and a tag."""
PINNED: Final = 5
"""A name with a digest."""

_MAX: Final = 512
_SCHEME: Final = re.compile(r"(?:docker|containers)://")
_ARTIFACT: Final = re.compile(r"(?:docker|containers|oci)://", re.IGNORECASE)
_CODE: Final = frozenset(
    {"github.com", "gitlab.com", "bitbucket.org", "gitee.com", "codeberg.org", "golang.org", "gopkg.in"}
)
_REGISTRIES: Final = re.compile(
    r"docker\.io|index\.docker\.io|quay\.io|(?:.+\.)?gcr\.io|ghcr\.io|lscr\.io|nvcr\.io|registry\..+|.+\.azurecr\.io"
    r"|public\.ecr\.aws|.+\.dkr\.ecr\..+|mcr\.microsoft\.com|.+-docker\.pkg\.dev|icr\.io|cp\.icr\.io|.*\.ocir\.io|k8s\.gcr\.io"
    r"|cr\..+|docker\..+\..+|.*harbor.*|.*registry.*|.+\.jfrog\.io"
)
_LABELS: Final = re.compile(r"(?:.+\.)?(?:kubernetes\.io|k8s\.io)")
_WORDS: Final = frozenset(
    {
        "true",
        "false",
        "yes",
        "no",
        "on",
        "off",
        "none",
        "null",
        "auto",
        "default",
        "latest",
        "always",
        "never",
        "enabled",
    }
)
_TAGS: Final = frozenset(
    [
        "alpine",
        "bookworm",
        "bullseye",
        "buster",
        "canary",
        "dev",
        "develop",
        "edge",
        "latest",
        "main",
        "master",
        "nightly",
        "nonroot",
        "release",
        "rolling",
        "slim",
        "stable",
        "testing",
    ]
)
_NUMBER: Final = re.compile(r"[0-9.]+[a-z]{0,2}")


def looks(text: str, *, named: bool = False, own: str = "") -> int:
    """Tell how much a text looks like an image name: one of the constants of this module, more is surer.

    `named` means that its key calls it an image: then a word with any tag is one. `own` is a host that is known to be a registry though
    nothing in its name says so.
    """
    if (
        not text
        or len(text) > _MAX
        or (text[0] in "-/." or text[-1] in "/:.")
        or "//" in text
        or " " in text
        or text.startswith("sha256:")
    ):
        return NOTHING
    try:
        reference = Reference.parse(text)
    except InvalidReferenceError:
        return NOTHING
    host = host_of(text)
    if host in _CODE or (host and set(host) <= set("0123456789.:") and "/" not in text):
        return NOTHING
    if reference.digest:
        return PINNED
    if host:
        known = host == own or bool(_REGISTRIES.fullmatch(host.partition(":")[0]))
        if not known and _LABELS.fullmatch(host):
            return NOTHING
        if reference.tag:
            return FULL if known or not _is_word(reference.tag) else TAGGED_PATH
        return TAGGED_PATH if known else PATH
    if "/" in text:
        return TAGGED_PATH if reference.tag else PATH
    if reference.tag:
        return NOTHING if not named and _is_address(text) else TAGGED
    return NOTHING if text.lower() in _WORDS or _NUMBER.fullmatch(text) or _REGISTRIES.fullmatch(text) else BARE


def host_of(text: str) -> str:
    """Return the registry that a name spells out, empty where it leaves it to the runtime."""
    host, slash, _ = text.partition("/")
    return host if slash and (host == "localhost" or set(host) & {".", ":"}) else ""


def is_registry(text: str) -> bool:
    """Tell whether a text may stand before a repository: a host, with a path or without."""
    host, slash, path = text.rstrip("/").partition("/")
    if not (set(host) & {".", ":"} or host == "localhost" or slash) or host in _CODE or "//" in text:
        return False
    try:
        return Reference.parse(f"{host}/{path}/x" if slash else f"{host}/x").tag is None
    except InvalidReferenceError:
        return False


def is_hub_organisation(text: str) -> bool:
    """Tell whether a text names an organisation or a path, without a host."""
    try:
        reference = Reference.parse(f"{text}/x")
    except InvalidReferenceError:
        return False
    return reference.registry == DOCKER_HUB and not reference.tag


def trimmed(text: str, *, artifact: bool = False) -> tuple[int, int]:
    """Return where a name stands in a text, without blanks around it and a scheme before it.

    `artifact` allows ``oci://``, too, which elsewhere mostly names charts.
    """
    start = len(text) - len(text.lstrip())
    if scheme := (_ARTIFACT if artifact else _SCHEME).match(text, start):
        start = scheme.end()
    return start, len(text.rstrip())


def is_text(value: object) -> bool:
    """Tell whether a value is a string, not a number or a boolean that YAML writes like one."""
    return isinstance(value, str) and not (isinstance(value, Scalar) and value.style is None and value in _WORDS)


def _is_address(text: str) -> bool:
    """Tell whether a text without a slash is rather a host with its port, or a name of something else with colons."""
    name, _, tag = text.partition(":")
    if tag.isdigit():
        return name == "localhost" or name.count(".") > 0 or len(tag) in (4, 5)
    return _is_word(tag)


def _is_word(tag: str) -> bool:
    """Tell whether a tag is none that people give to images: it has no digit and is no usual word."""
    return not any(character.isdigit() for character in tag) and tag not in _TAGS
