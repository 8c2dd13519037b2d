"""Passwords that clouds hand out for an hour or twelve, from the credentials that their own tools use.

Asked for only where nothing is stored for a registry: who uses a credential helper keeps it.
"""

import base64
import binascii
import hashlib
import hmac
import os
import re
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec

from homeport.errors import AuthenticationError, ConfigError
from homeport.oci.unreadable import UNREADABLE
from homeport.registry.credentials import Credential, Resolver
from homeport.registry.transport import Request, Response

_ECR = re.compile(r"[0-9]{12}\.dkr\.ecr(-fips)?\.([a-z0-9-]+)\.(amazonaws\.com(?:\.cn)?)")
_ACR = re.compile(r"[a-z0-9-]+\.azurecr\.(io|cn|us)")
_GOOGLE = re.compile(r"(?:.+\.)?gcr\.io|.+\.pkg\.dev")
_ACR_USER = "00000000-0000-0000-0000-000000000000"
_FRESH_SECONDS = 3600.0
"""How long a password is used; the shortest-lived, Azure's, lives three hours."""
_MOST_BYTES = 1 << 20

T = TypeVar("T")
Send = Callable[[Request], Response]


class _Authorization(msgspec.Struct, rename="camel"):
    authorization_token: str


class _ECRAnswer(msgspec.Struct, rename="camel"):
    authorization_data: list[_Authorization]


class _Token(msgspec.Struct):
    access_token: str = ""
    refresh_token: str = ""


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
            if kept is None or (now - kept[0]).total_seconds() > _FRESH_SECONDS:
                kept = self._kept[registry] = (now, ask())
            return kept[1]

    def _way(self, registry: str) -> Callable[[], Credential | None] | None:
        if match := _ECR.fullmatch(registry):
            fips, region, domain = match.groups()
            return lambda: self._ecr(registry, region, f"{'ecr-fips' if fips else 'api.ecr'}.{region}.{domain}")
        if _ACR.fullmatch(registry):
            return lambda: self._acr(registry)
        return self._google if _GOOGLE.fullmatch(registry) else None

    def _ecr(self, registry: str, region: str, host: str) -> Credential | None:
        """Exchange AWS keys for a password (Amazon ECR API reference, GetAuthorizationToken)."""
        keys = self._aws_keys()
        if keys is None:
            return None
        url = self._environment.get("AWS_ENDPOINT_URL_ECR") or f"https://{host}"
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken",
        }
        signed = sign(url, headers, b"{}", keys, region=region, service="ecr", now=self._now())
        answer = self._exchange(registry, Request("POST", url.rstrip("/") + "/", signed, b"{}"), _ECRAnswer)
        try:
            token = answer.authorization_data[0].authorization_token
            user, _, password = base64.b64decode(token, validate=True).decode().partition(":")
        except (IndexError, binascii.Error, UnicodeDecodeError):
            raise _no_password(registry, "its answer holds none") from None
        return Credential(user, password, source="the keys of AWS")

    def _aws_keys(self) -> "Keys | None":
        """Find keys where AWS's tools do first: the environment, then the shared credentials file."""
        import configparser

        found = self._environment
        if found.get("AWS_ACCESS_KEY_ID") and found.get("AWS_SECRET_ACCESS_KEY"):
            return Keys(found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"], found.get("AWS_SESSION_TOKEN", ""))
        home = Path(found.get("HOME") or Path.home())
        file = Path(found.get("AWS_SHARED_CREDENTIALS_FILE") or home / ".aws" / "credentials")
        profiles = configparser.RawConfigParser(default_section="")
        try:
            profiles.read(file)
            section = profiles[found.get("AWS_PROFILE") or "default"]
        except KeyError:
            return None
        except (configparser.Error, OSError) as error:
            raise ConfigError(f"cannot be read: {type(error).__name__}", file=str(file)) from None
        key, secret = section.get("aws_access_key_id", ""), section.get("aws_secret_access_key", "")
        return Keys(key, secret, section.get("aws_session_token", "")) if key and secret else None

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

    def _google(self) -> Credential | None:
        """Take a service account's key as it is (Artifact Registry, Set up authentication for Docker: _json_key)."""
        file = self._environment.get("GOOGLE_APPLICATION_CREDENTIALS")
        if not file:
            return None
        try:
            key = Path(file).read_text()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise ConfigError(f"cannot be read: {reason}", file=file) from None
        return Credential("_json_key", key, source=file) if '"service_account"' in key else None

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


class Keys(msgspec.Struct, frozen=True):
    """An access key of AWS."""

    key: str
    secret: str
    session: str = ""

    def __repr__(self) -> str:
        return f"Keys({self.key!r})"


def sign(
    url: str, headers: Mapping[str, str], body: bytes, keys: Keys, *, region: str, service: str, now: datetime
) -> dict[str, str]:
    """Return the headers of a POST to the root of a service, with AWS's Signature Version 4 (IAM user guide)."""
    moment, day = f"{now:%Y%m%dT%H%M%SZ}", f"{now:%Y%m%d}"
    session = {"X-Amz-Security-Token": keys.session} if keys.session else {}
    sent = {**headers, "X-Amz-Date": moment, **session}
    lowered = sorted({"host": urlsplit(url).netloc, **{name.lower(): text for name, text in sent.items()}}.items())
    names = ";".join(name for name, _ in lowered)
    lines = "".join(f"{name}:{text.strip()}\n" for name, text in lowered)
    canonical = "\n".join(("POST", "/", "", lines, names, hashlib.sha256(body).hexdigest()))
    scope = f"{day}/{region}/{service}/aws4_request"
    text = "\n".join(("AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = f"AWS4{keys.secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    authorization = f"AWS4-HMAC-SHA256 Credential={keys.key}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**sent, "Authorization": authorization}


def _form(url: str, fields: Mapping[str, str]) -> Request:
    return Request("POST", url, {"Content-Type": "application/x-www-form-urlencoded"}, urlencode(fields).encode())


def _no_password(registry: str, reason: str) -> AuthenticationError:
    return AuthenticationError(
        f"{registry}: the cloud gives no password: {reason}",
        host=registry,
        hint="Check the cloud's credentials in the environment, or log in to the registry: docker login.",
    )
