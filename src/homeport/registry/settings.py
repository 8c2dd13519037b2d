"""Where registries are and how they are reached: endpoints, plain HTTP, trust."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from homeport.errors import UsageError
from homeport.reference import DOCKER_HUB, is_host
from homeport.registry.addresses import is_loopback

ENDPOINTS_VARIABLE = "HOMEPORT_ENDPOINTS"
DOCKER_HUB_HOST = "registry-1.docker.io"

CERTS_DIRS = (
    "~/.config/containers/certs.d",
    "/etc/containers/certs.d",
    "~/.config/docker/certs.d",
    "/etc/docker/certs.d",
)
"""Where podman (containers-certs.d(5)) and Docker look for a registry's certificates; the first with a folder for it counts."""


class Endpoint(msgspec.Struct, frozen=True):
    """Where the registry of a name is reached: ``host[:port]``, and the schemes to try in turn."""

    name: str
    host: str
    schemes: tuple[str, ...] = ("https",)

    @property
    def is_override(self) -> bool:
        """Whether the registry is reached elsewhere than its name says."""
        return endpoint_name(self.host) != self.name

    @property
    def credential_name(self) -> str:
        """The registry whose credentials are used: those of the name are never shown to another host."""
        return endpoint_name(self.host)

    @property
    def shown(self) -> str:
        """The name for a message, with the host where that is another one."""
        return f"{self.name} (at {self.host})" if self.is_override else self.name


class Certificates(msgspec.Struct, frozen=True):
    """Files of one registry: authorities to trust, and certificates with keys to show."""

    authorities: tuple[Path, ...] = ()
    clients: tuple[tuple[Path, Path], ...] = ()


class Settings(msgspec.Struct, frozen=True):
    """How registries are reached; hosts are written ``host[:port]``."""

    plain_http: frozenset[str] = frozenset()
    insecure: frozenset[str] = frozenset()
    ca_files: tuple[str, ...] = ()
    endpoints: dict[str, str] = {}
    certs_dirs: tuple[str, ...] = CERTS_DIRS
    connections: int = 32
    """The most requests to one host at a time, of each kind: short ones, downloads, uploads."""

    @classmethod
    def of(
        cls,
        *,
        plain_http: Iterable[str] = (),
        insecure: Iterable[str] = (),
        ca_files: Iterable[str | Path] = (),
        endpoints: Iterable[str] = (),
        environment: Mapping[str, str] = os.environ,
    ) -> "Settings":
        """Read what was typed (``NAME=URL`` for endpoints) over what HOMEPORT_ENDPOINTS says; raises UsageError."""
        listed = [part.strip() for part in environment.get(ENDPOINTS_VARIABLE, "").split(",") if part.strip()]
        settings = cls(
            plain_http=frozenset(map(_host, plain_http)),
            insecure=frozenset(map(_host, insecure)),
            ca_files=tuple(map(str, ca_files)),
            endpoints=dict(map(_override, (*listed, *endpoints))),
        )
        for file in settings.ca_files:
            if not Path(file).is_file():
                raise UsageError(f"--ca-file {file}: there is no such file", hint="Name a file of PEM certificates.")
        return settings

    def endpoint(self, registry: str) -> Endpoint:
        """Return where a registry is reached."""
        if url := self.endpoints.get(registry):
            parts = urlsplit(url)
            return Endpoint(registry, parts.netloc, (parts.scheme,))
        host = DOCKER_HUB_HOST if registry == DOCKER_HUB else registry
        if {registry, host} & self.plain_http:
            return Endpoint(registry, host, ("http",))
        return Endpoint(registry, host, ("https", "http") if is_loopback(split_port(host)[0]) else ("https",))

    def is_insecure(self, host: str) -> bool:
        """Tell whether a host's certificate is taken unseen, because someone asked for it by name."""
        return host in self.insecure or endpoint_name(host) in self.insecure

    def certificates(self, host: str) -> Certificates:
        """Find the files that belong to a host in the certs.d folders, Docker's and podman's."""
        for base in self.certs_dirs:
            for name in dict.fromkeys((endpoint_name(host), host)):
                folder = Path(base).expanduser() / name
                if folder.is_dir():
                    return _certificates(folder)
        return Certificates()


def endpoint_name(host: str) -> str:
    """Return the registry's name in references for the host that answers for it."""
    return DOCKER_HUB if host == DOCKER_HUB_HOST else host


def split_port(host: str) -> tuple[str, int | None]:
    """Split ``host[:port]``; an IPv6 address stands in brackets."""
    name, colon, port = host.rpartition(":")
    return (name, int(port)) if colon and port.isdigit() and not host.endswith("]") else (host, None)


def _certificates(folder: Path) -> Certificates:
    pairs = ((file, file.with_suffix(".key")) for file in sorted(folder.glob("*.cert")))
    clients = tuple((certificate, key) for certificate, key in pairs if key.is_file())
    return Certificates(tuple(sorted(folder.glob("*.crt"))), clients)


def _host(text: str) -> str:
    if not is_host(text):
        raise UsageError(
            f"{text!r} is not a registry's host",
            hint="Write host[:port] without a scheme, for example registry.example.com:5000.",
        )
    return text


def _override(text: str) -> tuple[str, str]:
    name, _, url = text.partition("=")
    parts = urlsplit(url)
    if not is_host(name) or parts.scheme not in ("http", "https") or not is_host(parts.netloc) or parts.path.strip("/"):
        raise UsageError(
            f"{text!r} does not say where a registry is reached",
            hint="Write NAME=URL, for example docker.io=https://cache.example.com; the URL has no path.",
        )
    return name, url
