"""Passwords that clouds hand out for an hour or twelve, from the credentials that their own tools use.

Asked for only where nothing is stored for a registry: who uses a credential helper keeps it.
"""

import base64
import binascii
import os
import re
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec

from homeport.errors import AuthenticationError, ConfigError
from homeport.oci.unreadable import UNREADABLE
from homeport.registry.aws import Ecr, Send, ask_container
from homeport.registry.credentials import Credential, Resolver
from homeport.registry.transport import Request

_ACR = re.compile(r"[a-z0-9-]+\.azurecr\.(io|cn|us)")
_GOOGLE = re.compile(r"(?:.+\.)?gcr\.io|.+\.pkg\.dev")
_ACR_USER = "00000000-0000-0000-0000-000000000000"
_FRESH_SECONDS = 3600.0
"""How long a password is used; the shortest-lived, Azure's, lives three hours."""
_MOST_BYTES = 1 << 20

_METADATA_HOSTS = frozenset({"169.254.169.254"})
_METADATA_PATH = "/computeMetadata/v1/instance/service-accounts/default/token"

T = TypeVar("T")


class _Authorization(msgspec.Struct, rename="camel"):
    authorization_token: str


class _ECRAnswer(msgspec.Struct, rename="camel"):
    authorization_data: list[_Authorization]


class _Token(msgspec.Struct):
    access_token: str = ""
    refresh_token: str = ""
    expires_in: float = _FRESH_SECONDS


class CloudCredentials:
    """What is stored, and for registries of clouds what their token services hand out; any number of threads may use it."""

    def __init__(
        self,
        stored: Resolver,
        send: Send,
        environment: Mapping[str, str] = os.environ,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._stored, self._send, self._environment, self._now = stored, send, environment, now
        self._kept: dict[str, tuple[datetime, Credential | None]] = {}
        self._lock = threading.Lock()

    def resolve(self, registry: str, repository: str = "") -> Credential | None:
        """Return a credential, None for anonymous; raises AuthenticationError where a cloud gives none."""
        if found := self._stored.resolve(registry, repository):
            return found
        ask = self._way(registry)
        if ask is None:
            return None
        with self._lock:
            now = self._now()
            kept = self._kept.get(registry)
            if kept is None or now >= kept[0]:
                credential, seconds = ask()
                kept = self._kept[registry] = (now + timedelta(seconds=seconds), credential)
            return kept[1]

    def ecr(self, registry: str) -> Ecr:
        """Return the API of a registry at Amazon."""
        return Ecr(registry, self._send, self._environment, self._now)

    def _way(self, registry: str) -> Callable[[], tuple[Credential | None, float]] | None:
        """Return how to get a credential and for how many seconds it is used; None where no cloud has the registry."""
        if Ecr.has(registry):
            return lambda: (self._ecr(registry), _FRESH_SECONDS)
        if _ACR.fullmatch(registry):
            return lambda: (self._acr(registry), _FRESH_SECONDS)
        return self._google if _GOOGLE.fullmatch(registry) else None

    def _ecr(self, registry: str) -> Credential | None:
        """Exchange AWS keys for a password (Amazon ECR API reference, GetAuthorizationToken)."""
        ecr = self.ecr(registry)
        keys = ecr.keys()
        if keys is None:
            return None
        answer = ecr.call("GetAuthorizationToken", {}, keys, _ECRAnswer)
        try:
            token = answer.authorization_data[0].authorization_token
            user, _, password = base64.b64decode(token, validate=True).decode().partition(":")
        except (IndexError, binascii.Error, UnicodeDecodeError):
            raise _no_password(registry, "its answer holds none") from None
        return Credential(user, password, source="the keys of AWS")

    def _acr(self, registry: str) -> Credential | None:
        """Exchange a service principal's token for the registry's (Azure Container Registry, AAD OAuth 2.0 token exchange)."""
        names = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET")
        tenant, client, secret = (self._environment.get(name, "") for name in names)
        if not (tenant and client and secret):
            return None
        authority = self._environment.get("AZURE_AUTHORITY_HOST") or "https://login.microsoftonline.com"
        asked = {
            "grant_type": "client_credentials",
            "client_id": client,
            "client_secret": secret,
            "scope": "https://containerregistry.azure.net/.default",
        }
        login = _form(f"{authority.rstrip('/')}/{tenant}/oauth2/v2.0/token", asked)
        access = self._exchange(registry, login, _Token).access_token
        asked = {"grant_type": "access_token", "service": registry, "tenant": tenant, "access_token": access}
        token = self._exchange(registry, _form(f"https://{registry}/oauth2/exchange", asked), _Token).refresh_token
        if not token:
            raise _no_password(registry, "its answer holds none")
        return Credential(_ACR_USER, token, is_identity_token=True, source="the service principal of Azure")

    def _google(self) -> tuple[Credential | None, float]:
        """Take a service account's key as it is (Artifact Registry, Set up authentication for Docker: _json_key)."""
        file = self._environment.get("GOOGLE_APPLICATION_CREDENTIALS")
        if not file:
            return self._google_metadata()
        try:
            key = Path(file).read_text()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise ConfigError(f"cannot be read: {reason}", file=file) from None
        return Credential("_json_key", key, source=file) if '"service_account"' in key else None, _FRESH_SECONDS

    def _google_metadata(self) -> tuple[Credential | None, float]:
        """Ask the metadata service of a pod for a token of its service account; who is in no pod does not ask.

        Where Kubernetes runs elsewhere than at Google there is none, and one is nobody.
        """
        found = self._environment
        host = found.get("GCE_METADATA_HOST") or ("169.254.169.254" if found.get("KUBERNETES_SERVICE_HOST") else "")
        if not host:
            return None, _FRESH_SECONDS
        try:
            status, answer = ask_container(
                f"http://{host}{_METADATA_PATH}", {"Metadata-Flavor": "Google"}, _METADATA_HOSTS
            )
            token = msgspec.json.decode(answer, type=_Token) if status == 200 else _Token()
        except (AuthenticationError, *UNREADABLE):
            token = _Token()
        if not token.access_token:
            return None, _FRESH_SECONDS
        return Credential("oauth2accesstoken", token.access_token, source="the metadata service"), token.expires_in - 60

    def _exchange(self, registry: str, request: Request, kind: type[T]) -> T:
        response = self._send(request)
        try:
            body = response.read(_MOST_BYTES)
        finally:
            response.close()
        if response.status != 200:
            raise _no_password(registry, f"{urlsplit(request.url).hostname} answers with status {response.status}")
        try:
            return msgspec.json.decode(body, type=kind)
        except UNREADABLE:
            raise _no_password(registry, f"{urlsplit(request.url).hostname} answers with something else") from None


def _form(url: str, fields: Mapping[str, str]) -> Request:
    return Request("POST", url, {"Content-Type": "application/x-www-form-urlencoded"}, urlencode(fields).encode())


def _no_password(registry: str, reason: str) -> AuthenticationError:
    return AuthenticationError(
        f"{registry}: the cloud gives no password: {reason}",
        host=registry,
        hint="Check the cloud's credentials in the environment, or log in to the registry: docker login.",
    )
