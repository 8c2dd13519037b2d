"""Which credentials the kubelet tries for an image.

The rules are those of Kubernetes 1.36, pkg/credentialprovider/keyring.go and config.go. The kubelet tries what matches, the most
specific key first, and no more: an image with a match is never pulled anonymously.
"""

import base64
import binascii
import ipaddress
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from homeport.errors import HomeportError
from homeport.reference import DOCKER_HUB, Reference
from homeport.registry.credentials import Credential

_FALLBACK_KEY: Final = "index.docker.io"
"""Docker's own name for Docker Hub: it serves Docker Hub's images where no other key does."""

_HOST = re.compile(r"(\[[^\[\]]*\]|[A-Za-z0-9\-._~!$&'()*+,;=<>\"\x80-\U0010ffff]*)(?::([0-9]*))?")
_BAD_URL = re.compile(r"[\x00-\x1f\x7f]|%(?![0-9a-fA-F]{2})")
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")


class UnreadableCredentialsError(HomeportError):
    """The kubelet cannot read a pull secret: every pull of a pod that names it fails."""


class Entry(msgspec.Struct, frozen=True):
    """A credential and the key it stands under, without scheme and API path: ``host[:port][/path]``."""

    key: str
    credential: Credential


class Keyring(msgspec.Struct, frozen=True):
    """The credentials of one or more pull secrets; `ignored` says in sentences what the kubelet passes over."""

    entries: tuple[Entry, ...] = ()
    ignored: tuple[str, ...] = ()

    @classmethod
    def of(cls, auths: Any) -> "Keyring":
        """Read the `auths` of a docker configuration; raises UnreadableCredentialsError."""
        if auths is None:
            return cls()
        if not isinstance(auths, Mapping):
            raise UnreadableCredentialsError("its auths are not a mapping")
        entries, ignored = [], []
        for written, fields in auths.items():
            credential = _credential(written, fields)
            key = _normalised(written)
            if key is None:
                ignored.append(f"the kubelet ignores the key {written!r}: it is not [https://]host[:port][/path]")
            else:
                entries.append(Entry(key, credential))
        return cls(tuple(entries), tuple(ignored))

    def match(self, reference: Reference) -> list[Credential]:
        """Return the credentials that the kubelet tries for an image, in its order; none means an anonymous pull."""
        ranked = sorted(self.entries, key=lambda entry: entry.key, reverse=True)
        found = [entry.credential for entry in ranked if _matches(entry.key, reference)]
        if found or reference.registry != DOCKER_HUB:
            return found
        return [entry.credential for entry in ranked if entry.key == _FALLBACK_KEY]

    def __add__(self, other: "Keyring") -> "Keyring":
        return Keyring(self.entries + other.entries, self.ignored + other.ignored)


def encode_auth(username: str, password: str) -> str:
    """Return the `auth` field of a docker configuration."""
    return base64.b64encode(f"{username}:{password}".encode()).decode()


def _normalised(written: str) -> str | None:
    """Return a key as the keyring keeps it, None where Go's url.Parse refuses it."""
    rest = re.split(r"[?#]", re.sub(r"^https?://", "", written, count=1), maxsplit=1)[0]
    authority, slash, path = rest.partition("/")
    host, path = authority.rpartition("@")[2], unquote(slash + path)
    if not _is_url_host(host) or _BAD_URL.search(written):
        return None
    if path.startswith(("/v1/", "/v2/")):
        path = path[3:]
    return host if path == "/" else host + path


def _is_url_host(host: str) -> bool:
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    if not match[1].startswith("["):
        return True
    try:
        return bool(ipaddress.IPv6Address(match[1][1:-1]))
    except ValueError:
        return False


def _matches(key: str, reference: Reference) -> bool:
    """Tell whether a key serves an image: ports equal, host labels alike one by one, path a plain prefix."""
    host, slash, path = key.partition("/")
    labels, port = _split_host(host)
    target_labels, target_port = _split_host(reference.registry)
    return (
        port == target_port
        and len(labels) == len(target_labels)
        and f"/{reference.repository}".startswith(slash + path)
        and all(_label_matches(pattern, label) for pattern, label in zip(labels, target_labels, strict=True))
    )


def _split_host(host: str) -> tuple[list[str], str]:
    """Split a host into its labels and its port; the brackets of an IPv6 host go with the port (net.SplitHostPort)."""
    match = re.fullmatch(r"\[(.*)\]:(.*)", host) or re.fullmatch(r"([^\[\]:]*):(.*)", host)
    name, port = match.groups() if match else (host, "")
    return name.split("."), port


def _label_matches(pattern: str, label: str) -> bool:
    """Match one label; ``*`` stands for any characters. A bracket opens a character class, so ``[::1]`` is never itself."""
    if pattern.startswith("["):
        return False
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), label, re.DOTALL) is not None


def _credential(key: str, fields: Any) -> Credential:
    """Read one entry; `auth` wins over `username` and `password`, and no user is an anonymous pull. Raises UnreadableCredentialsError."""
    if fields is not None and not isinstance(fields, Mapping):
        raise UnreadableCredentialsError(f"its entry for {key!r} is not a mapping")
    known = {name.lower(): value for name, value in (fields or {}).items()}
    texts = {name: known.get(name) or "" for name in ("username", "password", "email", "auth")}
    if not all(isinstance(text, str) for text in texts.values()):
        raise UnreadableCredentialsError(f"its entry for {key!r} holds a field that is not a text")
    if not texts["auth"]:
        return Credential(texts["username"], texts["password"])
    decoded = _decode_base64(texts["auth"])
    if decoded is None or ":" not in decoded:
        raise UnreadableCredentialsError(f"its auth for {key!r} is not the base64 of USER:PASSWORD")
    username, _, password = decoded.partition(":")
    return Credential(username, password)


def _decode_base64(text: str) -> str | None:
    """Decode standard base64, padded or not; line ends do not count (Go's encoding/base64)."""
    text = re.sub(r"[\r\n]", "", text)
    padded = text if text.endswith("=") else text + "=" * (-len(text) % 4)
    if not _BASE64.fullmatch(padded) or len(padded) % 4:
        return None
    try:
        return base64.b64decode(padded, validate=True).decode(errors="replace")
    except binascii.Error:
        return None
