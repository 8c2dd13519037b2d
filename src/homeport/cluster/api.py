"""Talking to a Kubernetes API server: lists page by page, and what went wrong in one sentence."""

import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Final, NoReturn, Self

import httpx2
import msgspec
from lightkube.config.client_adapter import Client, ConnectionParams
from lightkube.config.kubeconfig import SingleConfig
from lightkube.core.exceptions import ConfigError as LightkubeConfigError

from homeport.cluster.kinds import KNOWN, Kind, is_custom, path_of
from homeport.cluster.served import DISCOVERY, Groups
from homeport.errors import ClusterError, UsageError
from homeport.mirror.workers import Workers, outcome
from homeport.oci.unreadable import UNREADABLE

_PAGE: Final = 500
_SILENCE: Final = 30.0
"""Seconds without a byte after which an API server counts as gone."""

FIELD_MANAGER: Final = "homeport"
"""Who owns the fields that are set (server-side apply, `metadata.managedFields`)."""

JSON_PATCH: Final = "application/json-patch+json"
_METADATA: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
_APPLY: Final = "application/apply-patch+yaml"
_NO_RIGHT: Final = re.compile(r'User "[^"]*" cannot \w+ resource')
_MANAGER: Final = re.compile(r'conflict with "([^"]*)"')


class _ListMeta(msgspec.Struct):
    continue_: str = msgspec.field(name="continue", default="")


class _List(msgspec.Struct):
    metadata: _ListMeta = msgspec.field(default_factory=_ListMeta)
    items: list[msgspec.Raw] | None = None
    """Read one by one: a page of objects as Python has them takes ten times the room of its bytes."""


class _Cause(msgspec.Struct):
    message: str = ""


class _Details(msgspec.Struct):
    causes: list[_Cause] = []


class _Status(msgspec.Struct):
    """Why a request failed (apimachinery, meta/v1 Status)."""

    message: str = ""
    reason: str = ""
    metadata: _ListMeta = msgspec.field(default_factory=_ListMeta)
    details: _Details | None = None


class Choice(msgspec.Struct, frozen=True):
    """Which objects of a kind, by selectors in the words of kubectl; with `metadata` nothing else of them is sent."""

    labels: str = ""
    fields: str = ""
    metadata: bool = False

    @property
    def query(self) -> dict[str, str]:
        """The parameters of a list."""
        chosen = {"labelSelector": self.labels, "fieldSelector": self.fields}
        return {name: value for name, value in chosen.items() if value}


ALL: Final = Choice()


class ConflictError(ClusterError):
    """Other field managers own what was to be set: `managers`. Empty, another writer came between reading and writing."""

    def __init__(self, message: str, managers: tuple[str, ...] = ()) -> None:
        super().__init__(message, status=409, hint="Run the same command again: it looks at what is there now.")
        self.managers = managers


class Api:
    """One API server, as one user."""

    def __init__(self, config: SingleConfig) -> None:
        """Prepare a connection; raises UsageError where certificates or tokens cannot be read."""
        self.context = config.context_name
        self.namespace = config.context.namespace or "default"
        self.server = config.cluster.server
        self._custom: tuple[Kind, ...] | None = None
        self._headers, self._extensions = _headers(config), _extensions(config)
        parameters = ConnectionParams(
            timeout=httpx2.Timeout(_SILENCE), proxy=getattr(config.cluster, "proxy_url", None) or None
        )
        try:
            self._client = Client(config, parameters)
        except (OSError, ValueError, LightkubeConfigError) as error:
            raise UsageError(
                f"context {self.context!r}: certificate or key cannot be read: {error}",
                hint="`kubectl config view --minify` shows which files it names.",
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._client.close()

    def objects(self, kind: Kind, namespace: str | None = None, choice: Choice = ALL) -> Iterator[dict[str, Any]]:
        """Yield the objects of a kind, of one namespace or of all, a page in memory at a time; raises ClusterError.

        An optional kind that the cluster does not know has no objects.
        """
        if kind.optional and not self._knows(kind.group):
            return
        for version in kind.versions:
            try:
                yield from self._pages(kind, version, namespace, choice)
            except ClusterError as error:
                if error.status != 404 or (version == kind.versions[-1] and not kind.optional):
                    raise
            else:
                return

    def get(self, path: str) -> dict[str, Any] | None:
        """Return one object, None where there is none; raises ClusterError."""
        response = self._ask(path, {})
        if response.status_code == 404:
            return None
        if response.status_code != 200:
            self._refuse(response, f"get {path}")
        found: dict[str, Any] = self._decode(response, dict[str, Any])
        return found

    def path(self, value: Mapping[str, Any]) -> str:
        """Return where an object is kept; raises ClusterError for a kind that the cluster does not know."""
        group = value["apiVersion"].rpartition("/")[0]
        kind = KNOWN.get((group, value["kind"]))
        kind = kind or next((it for it in self.custom_kinds() if (it.group, it.name) == (group, value["kind"])), None)
        if kind is None:
            raise ClusterError(f"the cluster does not know the kind {value['kind']} of {value['apiVersion']}")
        return path_of(value, kind)

    def custom_kinds(self) -> tuple[Kind, ...]:
        """Return the kinds of custom resources that the cluster has; none where it cannot say. Asked once; raises ClusterError.

        One request tells them all, and every user may make it (Kubernetes 1.26 and newer, aggregated discovery).
        """
        if self._custom is None:
            response = self._ask("/apis", {}, accept=DISCOVERY)
            groups = self._decode(response, Groups) if response.status_code == 200 else Groups()
            self._custom = tuple(kind for kind in groups.kinds() if is_custom(kind.group))
        return self._custom

    def create(self, value: Mapping[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Create an object and return it; raises ClusterError, with status 409 where there is one of its name."""
        path = self.path(value).rpartition("/")[0]
        return self._write("POST", path, value, f"create {shown(value)}", dry_run=dry_run)

    def replace(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """Write an object whole, as it was read at its resourceVersion; raises ConflictError and ClusterError."""
        return self._write("PUT", self.path(value), value, f"replace {shown(value)}")

    def apply(self, configuration: Mapping[str, Any], *, force: bool = False, dry_run: bool = False) -> dict[str, Any]:
        """Set the fields of a configuration and own them (server-side apply); raises ConflictError and ClusterError.

        With `force` they are taken from other field managers.
        """
        return self._write(
            "PATCH",
            self.path(configuration),
            configuration,
            f"change {shown(configuration)}",
            dry_run=dry_run,
            content_type=_APPLY,
            force=force,
        )

    def patch(
        self, value: Mapping[str, Any], operations: Sequence[Mapping[str, Any]], *, dry_run: bool = False
    ) -> dict[str, Any]:
        """Change an object by a JSON patch (RFC 6902), all of it or nothing; raises ClusterError."""
        return self._write(
            "PATCH", self.path(value), operations, f"change {shown(value)}", dry_run=dry_run, content_type=JSON_PATCH
        )

    def delete(self, value: Mapping[str, Any]) -> None:
        """Delete this very object; one that is gone, or another of its name, is left as it is. Raises ClusterError."""
        preconditions = {"preconditions": {"uid": value["metadata"]["uid"]}}
        response = self._ask(self.path(value), {}, "DELETE", preconditions)
        if response.status_code not in (200, 202, 404, 409):
            self._refuse(response, f"delete {shown(value)}")

    def _write(
        self,
        method: str,
        path: str,
        content: object,
        doing: str,
        *,
        dry_run: bool = False,
        content_type: str = "application/json",
        force: bool = False,
    ) -> dict[str, Any]:
        query = {"fieldManager": FIELD_MANAGER, **({"dryRun": "All"} if dry_run else {})}
        query |= {"force": "true"} if force else {}
        response = self._ask(path, query, method, content, content_type=content_type)
        if response.status_code in (200, 201):
            kept: dict[str, Any] = self._decode(response, dict[str, Any])
            return kept
        if content_type == JSON_PATCH and response.status_code == 422 and "test failed" in _explanation(response):
            raise ConflictError(f"cannot {doing}: it was changed since it was read")
        if response.status_code != 409:
            self._refuse(response, doing)
        status = self._decode(response, _Status)
        causes = [cause.message for cause in (status.details or _Details()).causes]
        managers = [match[1] for cause in causes if (match := _MANAGER.match(cause))]
        raise ConflictError(f"cannot {doing}: {status.message}", tuple(dict.fromkeys(managers)))

    def _knows(self, group: str) -> bool:
        """Tell whether an API group is served. Its absence would read as a missing right: rights are checked first."""
        return self._ask(f"/apis/{group}", {}).status_code != 404

    def _pages(self, kind: Kind, version: str, namespace: str | None, choice: Choice) -> Iterator[dict[str, Any]]:
        """Yield a list's objects; while those of a page are looked at the next one is on its way."""
        page = self._page(kind, version, namespace, choice, "")
        ahead = Workers(1, "pages")
        try:
            while True:
                items, token = page.items or (), page.metadata.continue_
                ask = partial(self._page, kind, version, namespace, choice, token)
                coming = ahead.submit(ask) if token else None
                for raw in items:
                    # Lists leave out what their own kind says already.
                    item = msgspec.json.decode(raw, type=dict[str, Any])
                    yield {**item, "apiVersion": kind.api_version(version), "kind": kind.name}
                if coming is None:
                    return
                page = outcome(coming)
        finally:
            ahead.stop()

    def _page(self, kind: Kind, version: str, namespace: str | None, choice: Choice, token: str) -> _List:
        query = {"limit": str(_PAGE), **choice.query, **({"continue": token} if token else {})}
        accept = _METADATA if choice.metadata else "application/json"
        response = self._ask(kind.path(version, namespace), query, accept=accept)
        if response.status_code == 410 and token:
            # The list is older than the server remembers. Its token goes on with the objects of now (API concepts,
            # "410 Gone").
            return _List(self._decode(response, _Status).metadata)
        if response.status_code != 200:
            where = f" in namespace {namespace}" if namespace else " in all namespaces" if kind.namespaced else ""
            self._refuse(response, f"list {kind}{where}")
        found: _List = self._decode(response, _List)
        return found

    def _ask(
        self,
        path: str,
        query: dict[str, str],
        method: str = "GET",
        content: object = None,
        *,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> httpx2.Response:
        headers = (
            [("Accept", accept), *self._headers, ("Content-Type", content_type)]
            if method != "GET"
            else [("Accept", accept), *self._headers]
        )
        body = msgspec.json.encode(content) if method != "GET" else None
        try:
            return self._client.request(
                method, path, params=query, headers=headers, content=body, extensions=self._extensions
            )
        except httpx2.TimeoutException:
            raise self._unreachable(f"was silent for {_SILENCE:.0f} seconds") from None
        except httpx2.HTTPError as error:
            root = _root(error)
            if isinstance(root, ssl.SSLError):
                raise ClusterError(
                    f"no trusted connection to the API server {self.server}: {root}",
                    hint=f"Check certificate-authority and server of context {self.context!r} in the kubeconfig.",
                ) from None
            reason = (isinstance(root, OSError) and root.strerror) or str(root) or type(root).__name__
            raise self._unreachable(f"does not answer: {reason}") from None
        except httpx2.InvalidURL as error:
            raise UsageError(f"context {self.context!r}: {self.server!r} is not a server: {error}") from None

    def _unreachable(self, what: str) -> ClusterError:
        return ClusterError(
            f"the API server {self.server} {what}",
            hint=f"Is the cluster of context {self.context!r} up, and is the VPN or proxy on? `kubectl version` asks it as well.",
        )

    def _refuse(self, response: httpx2.Response, doing: str) -> NoReturn:
        """Say what came back instead of an answer."""
        status = response.status_code
        if status == 401:
            raise ClusterError(
                f"the API server {self.server} does not accept the token or certificate of context {self.context!r}",
                status=status,
                hint="It may have expired: log in again, and try `kubectl auth whoami`.",
            )
        if status == 403 and (_NO_RIGHT.search(_explanation(response)) or not _explanation(response)):
            raise ClusterError(f"no right to {doing}", status=status, hint=_explanation(response))
        raise ClusterError(
            f"cannot {doing}: the API server answered {status}. {_explanation(response)}".strip(), status=status
        )

    def _decode(self, response: httpx2.Response, kind: type[Any]) -> Any:
        try:
            return msgspec.json.decode(response.content, type=kind)
        except UNREADABLE:
            raise ClusterError(
                f"{self.server} answers {response.status_code} with something that is not of a Kubernetes API",
                status=response.status_code,
                hint=f"Check the server of context {self.context!r}; a proxy or a log-in page may stand before it.",
            ) from None


def shown(value: Mapping[str, Any]) -> str:
    """Name an object for people: ``Deployment/redis/operator``."""
    metadata = value["metadata"]
    return "/".join(filter(None, (value["kind"], metadata.get("namespace"), metadata["name"])))


def _explanation(response: httpx2.Response) -> str:
    """Return the server's own words."""
    try:
        return msgspec.json.decode(response.content, type=_Status).message
    except UNREADABLE:
        return response.text.strip().partition("\n")[0][:200]


def _root(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


def _headers(config: SingleConfig) -> list[tuple[str, str]]:
    """Ask as the user that a kubeconfig impersonates, where it does."""
    headers = []
    if user := getattr(config.user, "impersonated", None):
        headers.append(("Impersonate-User", user))
    groups = getattr(config.user, "impersonated_groups", None) or ()
    return headers + [("Impersonate-Group", group) for group in groups]


def _extensions(config: SingleConfig) -> dict[str, Any]:
    name = getattr(config.cluster, "tls_server_name", None)
    return {"sni_hostname": name} if name else {}
