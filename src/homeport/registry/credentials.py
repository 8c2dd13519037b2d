"""Who one is at a registry: what Docker, podman and their credential helpers have stored."""

import base64
import binascii
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from homeport.errors import ConfigError, UsageError
from homeport.oci.unreadable import UNREADABLE
from homeport.reference import DOCKER_HUB

DOCKER_HUB_KEY = "https://index.docker.io/v1/"
HELPER_SECONDS = 30.0

_DOCKER_HUB_NAMES = frozenset({"index.docker.io", "registry-1.docker.io", DOCKER_HUB})
_TOKEN_USER = "<token>"  # noqa: S105 - the user name by which helpers mark an identity token (docker-credential-helpers)
_NOT_FOUND = "credentials not found"


class Credential(msgspec.Struct, frozen=True):
    """A user with a password, or an identity token, which only a token service takes."""

    username: str
    secret: str
    is_identity_token: bool = False
    source: str = ""
    """The file that holds it or names the helper."""
    helper: str = ""
    """``docker-credential-X`` where one gave it; what it gives may expire."""

    def __repr__(self) -> str:
        kind = "identity token" if self.is_identity_token else "password"
        return f"Credential({self.username!r}, {kind} from {self.helper or self.source})"

    @property
    def identity(self) -> str:
        """Who this is, for a message."""
        return "an identity token" if self.is_identity_token else f"user {self.username}"


class Resolver(Protocol):
    """Knows who one is at a registry."""

    def resolve(self, registry: str, repository: str = "") -> Credential | None:
        """Return a credential, None for anonymous."""


class OneCredential(msgspec.Struct, frozen=True):
    """One identity, stored nowhere, whatever registry asks; None is nobody."""

    credential: Credential | None

    def resolve(self, registry: str, repository: str = "") -> Credential | None:  # noqa: ARG002  # always the same
        """Return the credential."""
        return self.credential


class _Entry(msgspec.Struct):
    auth: str = ""
    username: str = ""
    password: str = ""
    identitytoken: str = ""


class _File(msgspec.Struct, rename="camel"):
    auths: dict[str, _Entry | None] = {}
    cred_helpers: dict[str, str] = {}
    creds_store: str = ""


class _Answer(msgspec.Struct, rename="pascal"):
    username: str = ""
    secret: str = ""


class Credentials:
    """The stored credentials, files read once and each helper asked once per registry; any number of threads may use it."""

    def __init__(self, files: tuple[Path, ...]) -> None:
        self._paths = files
        self._files: list[tuple[Path, _File]] | None = None
        self._answers: dict[tuple[str, str], Credential | None] = {}
        self._lock = threading.Lock()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Credentials":
        """Look where Docker and podman keep them (docker-login(1), containers-auth.json(5))."""
        return cls(tuple(_places(environment)))

    def resolve(self, registry: str, repository: str = "") -> Credential | None:
        """Return what is stored for a registry, or for the repository's path in it; None: anonymous.

        The first file that knows the registry counts; in it a helper for the registry, then what is written, then the
        general store. Raises ConfigError for a file that cannot be read, UsageError for a helper that fails.
        """
        with self._lock:
            for path, file in self._load():
                if found := self._look_up(path, file, registry, repository):
                    return found
        return None

    def _load(self) -> list[tuple[Path, _File]]:
        if self._files is None:
            self._files = [(path, _read(path)) for path in self._paths if path.is_file()]
        return self._files

    def _look_up(self, path: Path, file: _File, registry: str, repository: str) -> Credential | None:
        for name, helper in file.cred_helpers.items():
            if normalized(name) == normalized(registry):
                return self._ask(helper, registry, path)
        written = {normalized(name): entry for name, entry in file.auths.items()}
        for key in _keys(registry, repository):
            if (entry := written.get(key)) and (found := _from_entry(entry, path, key)):
                return found
        return self._ask(file.creds_store, registry, path) if file.creds_store else None

    def _ask(self, helper: str, registry: str, path: Path) -> Credential | None:
        key = helper, registry
        if key not in self._answers:
            self._answers[key] = _ask_helper(helper, DOCKER_HUB_KEY if registry == DOCKER_HUB else registry, path)
        return self._answers[key]


def normalized(name: str) -> str:
    """Return the registry, with the path where there is one, that a key of ``auths`` means."""
    bare = name.partition("://")[2] or name
    bare = bare.rstrip("/")
    host, slash, path = bare.partition("/")
    if path in ("v1", "v2"):
        slash = path = ""
    return (DOCKER_HUB if host in _DOCKER_HUB_NAMES else host) + slash + path


def _places(environment: Mapping[str, str]) -> Iterator[Path]:
    home = Path(environment.get("HOME") or Path.home())
    if explicit := environment.get("REGISTRY_AUTH_FILE"):
        yield Path(explicit)
    yield Path(environment.get("DOCKER_CONFIG") or home / ".docker") / "config.json"
    if runtime := environment.get("XDG_RUNTIME_DIR"):
        yield Path(runtime) / "containers" / "auth.json"
    yield Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "containers" / "auth.json"


def _read(path: Path) -> _File:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_File)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=str(path)) from None
    except UNREADABLE as error:
        raise ConfigError(
            f"is no file of stored credentials: {error}",
            file=str(path),
            hint="Repair it, or name another one by DOCKER_CONFIG (a folder) or REGISTRY_AUTH_FILE.",
        ) from None


def _keys(registry: str, repository: str) -> Iterator[str]:
    """Yield the names under which a repository's credential may be written, the most specific first."""
    parts = [normalized(registry), *filter(None, repository.split("/"))]
    for length in range(len(parts), 0, -1):
        yield "/".join(parts[:length])


def _from_entry(entry: _Entry, path: Path, key: str) -> Credential | None:
    if entry.identitytoken:
        return Credential(entry.username, entry.identitytoken, is_identity_token=True, source=str(path))
    username, password = entry.username, entry.password
    if entry.auth:
        try:
            username, _, password = base64.b64decode(entry.auth, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise ConfigError(
                "is not the Base64 of USER:PASSWORD",
                file=str(path),
                field=f'auths["{key}"].auth',
                hint=f"Log in again: docker login {key.partition('/')[0]}",
            ) from None
    # Docker pads stored passwords with NUL (docker/cli configfile, decodeAuth).
    password = password.rstrip("\0")
    return Credential(username, password, source=str(path)) if username and password else None


def _ask_helper(helper: str, server: str, path: Path) -> Credential | None:
    import subprocess

    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run(
            [program, "get"], input=server.encode(), capture_output=True, timeout=HELPER_SECONDS, check=False
        )
    except OSError as error:
        raise _helper_failed(program, server, path, (error.strerror or str(error)).lower()) from None
    except subprocess.TimeoutExpired:
        raise _helper_failed(program, server, path, f"no answer in {HELPER_SECONDS:g} s") from None
    if done.returncode:
        # Helpers print their errors on stdout; that text never holds a secret, an answer would.
        if _NOT_FOUND in done.stdout.decode(errors="replace").lower():
            return None
        raise _helper_failed(program, server, path, f"exit code {done.returncode}")
    try:
        answer = msgspec.json.decode(done.stdout, type=_Answer)
    except UNREADABLE:
        raise _helper_failed(program, server, path, "its answer is not the JSON that helpers speak") from None
    if not answer.secret:
        return None
    return Credential(
        answer.username,
        answer.secret,
        is_identity_token=answer.username == _TOKEN_USER,
        source=str(path),
        helper=program,
    )


def _helper_failed(program: str, server: str, path: Path, reason: str) -> UsageError:
    return UsageError(
        f"{program} gives no credentials for {server}: {reason}",
        hint=f"{path} names this helper; repair it, or set DOCKER_CONFIG to a folder whose config.json does not.",
    )
