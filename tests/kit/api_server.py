"""A small stand-in for the Kubernetes API server: lists by page, rights per user, documented Status objects.

What it answers is what kube-apiserver 1.36 answers; tests/peers runs the same tests against that one.
"""

import json
import re
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

ADMIN = "admin"

PLURALS = {
    "Pod": "pods",
    "Secret": "secrets",
    "ServiceAccount": "serviceaccounts",
    "Namespace": "namespaces",
    "Node": "nodes",
    "Event": "events",
    "Deployment": "deployments",
    "StatefulSet": "statefulsets",
    "DaemonSet": "daemonsets",
    "ReplicaSet": "replicasets",
    "ReplicationController": "replicationcontrollers",
    "CronJob": "cronjobs",
    "Job": "jobs",
    "PodTemplate": "podtemplates",
    "RedisEnterpriseCluster": "redisenterpriseclusters",
    "Subscription": "subscriptions",
}


NOT_SERVED = (404, "404 page not found\n")

_PATH = re.compile(
    r"(?P<root>/api/v1|/apis/(?P<group>[^/]+)(?:/[^/]+)?)"
    r"(?:/namespaces/(?P<namespace>[^/]+)(?=/))?(?:/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?)?"
)


class StandIn:
    """Objects and rights behind an API on loopback; a user's name is its token."""

    def __init__(self, folder: Path, port: int) -> None:
        self.server = f"http://127.0.0.1:{port}"
        self.requests: list[str] = []
        self.tokens = {ADMIN: ADMIN}
        self._folder = folder
        self._objects: dict[str, list[dict[str, Any]]] = {
            path: [] for path in ("/api/v1", "/apis/apps/v1", "/apis/batch/v1")
        }
        self._rights: set[tuple[str, str, str]] = set()
        self._remembers = True

    def create(self, value: dict[str, Any]) -> dict[str, Any]:
        """Keep an object and return it with a uid."""
        kept: dict[str, Any] = json.loads(json.dumps(value))
        kept["metadata"].setdefault("uid", str(uuid.uuid4()))
        self._objects[_root(kept["apiVersion"])].append(kept)
        return kept

    def define(self, group: str, kind: str, version: str) -> None:
        """Serve a custom resource."""
        assert kind in PLURALS
        self._objects.setdefault(f"/apis/{group}/{version}", [])

    def expire_lists(self) -> None:
        """Answer 410 to the next page that is asked for, with a token to go on with."""
        self._remembers = False

    def grant(self, user: str, plurals: Sequence[str], namespace: str = "") -> None:
        """Let a user list and get kinds (``cronjobs.batch``), in one namespace or in all."""
        self._rights |= {(user, plural, namespace) for plural in plurals}

    def kubeconfig(self, user: str = ADMIN) -> Path:
        """Write a kubeconfig for a user and return its path."""
        self.tokens.setdefault(user, user)
        path = self._folder / f"{user}.kubeconfig"
        path.write_text(yaml.safe_dump(kubeconfig(self.server, user, self.tokens[user])))
        return path

    def answer(self, path: str, token: str) -> tuple[int, dict[str, Any] | str]:
        """Answer a GET."""
        self.requests.append(path)
        user = next((name for name, known in self.tokens.items() if known == token), None)
        if user is None:
            return status(401, "Unauthorized", "Unauthorized")
        match = _PATH.fullmatch(urlsplit(path).path)
        if match is None:
            return NOT_SERVED
        if not match["plural"]:
            known = any(root.startswith(f"/apis/{match['group']}/") for root in self._objects)
            return (200, {"kind": "APIGroup", "name": match["group"]}) if known else NOT_SERVED
        if user != ADMIN and not self._may(user, match):
            return _forbidden(user, match)
        found = [value for value in self._objects.get(match["root"], ()) if _fits(value, match)]
        if match["root"] not in self._objects:
            return NOT_SERVED
        if match["name"]:
            resource = _resource(match)
            return (200, found[0]) if found else status(404, "NotFound", f'{resource} "{match["name"]}" not found')
        query = parse_qs(urlsplit(path).query)
        found = [value for value in found if _selected(value, query)]
        if "continue" in query and not self._remembers:
            self._remembers = True
            code, body = status(
                410, "Expired", "The provided continue parameter is too old to display a consistent list result."
            )
            return code, body | {"metadata": {"continue": query["continue"][0]}}
        return 200, page(found, match["plural"], query)

    def _may(self, user: str, match: re.Match[str]) -> bool:
        wanted = {(user, _resource(match), ""), (user, _resource(match), match["namespace"] or "")}
        return bool(wanted & self._rights)


def _resource(match: re.Match[str]) -> str:
    return f"{match['plural']}.{match['group']}" if match["group"] else match["plural"]


def _fits(value: dict[str, Any], match: re.Match[str]) -> bool:
    metadata = value["metadata"]
    return (
        PLURALS[value["kind"]] == match["plural"]
        and (not match["namespace"] or metadata.get("namespace") == match["namespace"])
        and (not match["name"] or metadata["name"] == match["name"])
    )


def _selected(value: dict[str, Any], query: dict[str, list[str]]) -> bool:
    """Judge equality alone, of labels and of a pod's phase or an event's reason."""
    labels = dict(pair.split("=") for each in query.get("labelSelector", ()) for pair in each.split(","))
    fields = dict(pair.split("=") for each in query.get("fieldSelector", ()) for pair in each.split(","))
    known = {"status.phase": (value.get("status") or {}).get("phase"), "reason": value.get("reason")}
    owned = value["metadata"].get("labels") or {}
    return all(owned.get(name) == wanted for name, wanted in labels.items()) and all(
        known[name] == wanted for name, wanted in fields.items()
    )


def _forbidden(user: str, match: re.Match[str]) -> tuple[int, dict[str, Any]]:
    verb, what = ("get", f'{_resource(match)} "{match["name"]}"') if match["name"] else ("list", _resource(match))
    scope = f'in the namespace "{match["namespace"]}"' if match["namespace"] else "at the cluster scope"
    plural, group = match["plural"], match["group"] or ""
    message = f'{what} is forbidden: User "{user}" cannot {verb} resource "{plural}" in API group "{group}" {scope}'
    return status(403, "Forbidden", message)


def page(found: list[dict[str, Any]], plural: str, query: dict[str, list[str]]) -> dict[str, Any]:
    """Return one page of a list, its items without the kind that the list says already."""
    limit, start = int(query.get("limit", ["0"])[0]) or len(found), int(query.get("continue", ["0"])[0])
    items = [{name: value for name, value in item.items() if name not in ("apiVersion", "kind")} for item in found]
    metadata = {"resourceVersion": "1"} | ({"continue": str(start + limit)} if start + limit < len(found) else {})
    return {"kind": f"{plural}List", "apiVersion": "v1", "metadata": metadata, "items": items[start : start + limit]}


def status(code: int, reason: str, message: str) -> tuple[int, dict[str, Any]]:
    """Return a failure as the API server words it (apimachinery, meta/v1 Status)."""
    body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message}
    return code, body | {"reason": reason, "code": code}


def kubeconfig(server: str, user: str, token: str, authority: str = "") -> dict[str, Any]:
    """Return a kubeconfig with one context, named like its user."""
    cluster = {"server": server} | ({"certificate-authority": authority} if authority else {})
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": user, "context": {"cluster": "test", "user": user}}],
        "current-context": user,
    }


def _root(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


@contextmanager
def running(folder: Path) -> Iterator[StandIn]:
    """Serve a stand-in until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            code, body = stand_in.answer(self.path, token)
            content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Type", "text/plain" if isinstance(body, str) else "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Stay silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        stand_in = StandIn(folder, server.server_port)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield stand_in
        finally:
            server.shutdown()
            thread.join()
