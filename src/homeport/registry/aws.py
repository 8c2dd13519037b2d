"""Who one is at Amazon, where its own tools look for that, and requests signed so.

In the order of AWS's tools: the environment, a token of a pod for a role (IRSA), the shared credentials file, the endpoint of a
container (EKS Pod Identity, ECS).
"""

import configparser
import hashlib
import hmac
import http.client
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec

from homeport.errors import AuthenticationError, ConfigError, UsageError
from homeport.oci.unreadable import UNREADABLE
from homeport.registry.addresses import is_loopback
from homeport.registry.transport import Request, Response

T = TypeVar("T")
Send = Callable[[Request], Response]

_ECR = re.compile(r"[0-9]{12}\.dkr\.ecr(-fips)?\.([a-z0-9-]+)\.(amazonaws\.com(?:\.cn)?)")
_TARGET = "AmazonEC2ContainerRegistry_V20150921"
_CONTAINER_HOSTS: Final = frozenset({"169.254.170.2", "169.254.170.23", "fd00:ec2::23"})
"""Where ECS and EKS hand out the role of a container, and nothing else (AWS SDKs reference, Container credential provider)."""
_SECONDS = 5.0
_MOST_BYTES = 1 << 20
_STS_FIELD = re.compile(r"<(AccessKeyId|SecretAccessKey|SessionToken)>([^<]{1,4096})</")


class Keys(msgspec.Struct, frozen=True):
    """An access key of AWS."""

    key: str
    secret: str
    session: str = ""

    def __repr__(self) -> str:
        return f"Keys({self.key!r})"


class _Container(msgspec.Struct, rename="pascal"):
    access_key_id: str
    secret_access_key: str
    token: str = ""


class _Repository(msgspec.Struct, rename="camel"):
    repository_name: str


class _Repositories(msgspec.Struct, rename="camel"):
    repositories: list[_Repository] = []
    next_token: str = ""


class _Refused(msgspec.Struct):
    type: str = msgspec.field(name="__type", default="")
    message: str = ""


class Ecr:
    """The API of one Amazon ECR registry (Amazon ECR API reference)."""

    def __init__(self, registry: str, send: Send, environment: Mapping[str, str], now: Callable[[], datetime]) -> None:
        match = _ECR.fullmatch(registry)
        if match is None:
            raise UsageError(
                f"{registry} is no registry of Amazon ECR",
                hint="Other registries make a repository when it is pushed to: leave --create-repositories out.",
            )
        fips, self._region, self._domain = match.groups()
        host = f"{'ecr-fips' if fips else 'api.ecr'}.{self._region}.{self._domain}"
        self._url = (environment.get("AWS_ENDPOINT_URL_ECR") or f"https://{host}").rstrip("/") + "/"
        self._registry, self._send, self._environment, self._now = registry, send, environment, now

    @staticmethod
    def has(registry: str) -> bool:
        """Tell whether a registry is one of Amazon's."""
        return bool(_ECR.fullmatch(registry))

    def keys(self) -> Keys | None:
        """Find out who one is; None: nobody. Raises AuthenticationError, ConfigError."""
        found = self._environment
        if found.get("AWS_ACCESS_KEY_ID") and found.get("AWS_SECRET_ACCESS_KEY"):
            return Keys(found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"], found.get("AWS_SESSION_TOKEN", ""))
        if found.get("AWS_WEB_IDENTITY_TOKEN_FILE") and found.get("AWS_ROLE_ARN"):
            return self._web_identity(found["AWS_WEB_IDENTITY_TOKEN_FILE"], found["AWS_ROLE_ARN"])
        return _shared_file(found) or self._container()

    def call(self, action: str, fields: Mapping[str, object], keys: Keys, kind: type[T]) -> T:
        """Do one action; raises AuthenticationError."""
        body = msgspec.json.encode(fields)
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"{_TARGET}.{action}"}
        signed = sign(self._url, headers, body, keys, region=self._region, service="ecr", now=self._now())
        status, answer = self._exchange(Request("POST", self._url, signed, body))
        if status != 200:
            raise self._refusal(action, status, answer)
        return self._read(answer, kind)

    def create(self, repositories: Iterable[str]) -> list[str]:
        """Create the repositories that are missing, and return them; raises AuthenticationError."""
        keys = self.keys()
        if keys is None:
            raise AuthenticationError(
                f"{self._registry}: no keys of AWS are found, so no repository can be created",
                host=self._registry,
                hint="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the pod a role; docker login is not enough.",
            )
        missing = dict.fromkeys(repositories)
        for name in self._existing(keys):
            missing.pop(name, None)
        for name in missing:
            try:
                self.call("CreateRepository", {"repositoryName": name}, keys, dict)
            except AuthenticationError as error:
                if "RepositoryAlreadyExists" not in error.message:  # then another run was quicker
                    raise
        return list(missing)

    def _existing(self, keys: Keys) -> Iterable[str]:
        fields: dict[str, object] = {"maxResults": 1000}
        while True:
            page = self.call("DescribeRepositories", fields, keys, _Repositories)
            yield from (each.repository_name for each in page.repositories)
            if not page.next_token:
                return
            fields["nextToken"] = page.next_token

    def _web_identity(self, file: str, role: str) -> Keys:
        """Exchange a pod's token for the keys of its role (AWS STS API reference, AssumeRoleWithWebIdentity)."""
        form = {
            "Action": "AssumeRoleWithWebIdentity",
            "Version": "2011-06-15",
            "RoleArn": role,
            "RoleSessionName": self._environment.get("AWS_ROLE_SESSION_NAME") or "homeport",
            "WebIdentityToken": _text(file),
        }
        url = self._environment.get("AWS_ENDPOINT_URL_STS") or f"https://sts.{self._region}.{self._domain}"
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        status, answer = self._exchange(Request("POST", url.rstrip("/") + "/", headers, urlencode(form).encode()))
        fields = dict(_STS_FIELD.findall(answer.decode(errors="replace")))
        if status != 200 or not {"AccessKeyId", "SecretAccessKey"} <= fields.keys():
            raise self._refusal("AssumeRoleWithWebIdentity", status, b"")
        return Keys(fields["AccessKeyId"], fields["SecretAccessKey"], fields.get("SessionToken", ""))

    def _container(self) -> Keys | None:
        """Ask the endpoint that is beside a container, which is near by definition; no other address is asked so."""
        found = self._environment
        relative, url = (
            found.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
            found.get("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
        )
        if relative:
            url = f"http://169.254.170.2/{relative.lstrip('/')}"
        if not url:
            return None
        token = found.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
        if file := found.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):
            token = _text(file)
        status, answer = ask_container(url, {"Authorization": token} if token else {})
        if status != 200:
            raise self._refusal("the endpoint of the container", status, b"")
        role = self._read(answer, _Container)
        return Keys(role.access_key_id, role.secret_access_key, role.token)

    def _exchange(self, request: Request) -> tuple[int, bytes]:
        response = self._send(request)
        try:
            return response.status, response.read(_MOST_BYTES)
        finally:
            response.close()

    def _read(self, answer: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(answer, type=kind)
        except UNREADABLE:
            raise self._refusal("the cloud", 200, b"") from None

    def _refusal(self, action: str, status: int, answer: bytes) -> AuthenticationError:
        try:
            refused = msgspec.json.decode(answer, type=_Refused)
        except UNREADABLE:
            refused = _Refused()
        what = "the cloud creates no repository" if action == "CreateRepository" else "the cloud gives no password"
        said = ": ".join(filter(None, (refused.type.rpartition("#")[2], refused.message[:200])))
        return AuthenticationError(
            f"{self._registry}: {what}: {action}: status {status}{f': {said}' if said else ''}",
            host=self._registry,
            hint="Check the cloud's credentials in the environment and what their role may do.",
        )


def ask_container(url: str, headers: Mapping[str, str], hosts: frozenset[str] = _CONTAINER_HOSTS) -> tuple[int, bytes]:
    """Ask the endpoint that hands out a container's role: plain HTTP, to this machine or a few link-local addresses."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "http" or not (host in hosts or is_loopback(host)):
        raise ConfigError(
            f"{url[:100]!r} is no endpoint of a container",
            file="the environment",
            field="AWS_CONTAINER_CREDENTIALS_FULL_URI",
            hint="Amazon sets it to http://169.254.170.23/v1/credentials, or to an address of this machine.",
        )
    connection = http.client.HTTPConnection(host, parts.port or 80, timeout=_SECONDS)
    try:
        connection.request("GET", parts.path + (f"?{parts.query}" if parts.query else ""), headers=dict(headers))
        response = connection.getresponse()
        return response.status, response.read(_MOST_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise AuthenticationError(
            f"the endpoint of the container does not answer: {error}", hint="Look at the pod's role association."
        ) from None
    finally:
        connection.close()


def _shared_file(found: Mapping[str, str]) -> Keys | None:
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


def _text(file: str) -> str:
    try:
        return Path(file).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}", file=file) from None


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
