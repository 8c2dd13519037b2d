"""Manifests that were read a moment ago, answered without a task of their own: most of what a busy registry is asked for.

It decides nothing by itself. Whoever is not known at once, whatever is not in order or not at hand, takes the ordinary way,
which gives the same answer: the gate, the route and the reply are made by the same functions.
"""

from typing import TypeVar

from homeport.errors import InvalidReferenceError
from homeport.server.access import Action
from homeport.server.gate import Gate
from homeport.server.manifests import manifest_reply
from homeport.server.replies import Refusal, head_of
from homeport.server.routes import Endpoint, Route, parse_route
from homeport.store.protocol import Store

REMEMBERED = 8192

RawHeaders = list[tuple[bytes, bytes]]
_K = TypeVar("_K")
_V = TypeVar("_V")


class Quick:
    """Answers GET and HEAD of manifests where nothing has to be waited for."""

    def __init__(self, store: Store, gate: Gate) -> None:
        self._store, self._gate = store, gate
        self._routes: dict[bytes, Route | None] = {}
        self._heads: dict[tuple[str, str], bytes] = {}

    def answer(self, method: bytes, url: bytes, headers: RawHeaders) -> tuple[bytes, str, Route, str] | None:
        """Return a whole answer, the user, the route and the manifest's digest; None where the ordinary way must be taken."""
        route = self._routes[url] if url in self._routes else self._learn(url)
        if route is None:
            return None
        authorization = ""
        for name, value in headers:
            if name == b"authorization":
                if authorization:
                    return None
                authorization = value.decode("latin-1")
        identity = self._gate.known(authorization)
        if identity is None or not self._gate.may(identity, route.repository, Action.PULL):
            return None
        manifest = self._store.manifest_now(route.repository, route.identifier)
        if manifest is None:
            return None
        key = (manifest.digest, manifest.media_type)
        head = self._heads.get(key)
        if head is None:
            head = _bounded(self._heads)[key] = head_of(manifest_reply(manifest))
        return (head + manifest.body if method == b"GET" else head), identity.user, route, manifest.digest

    def _learn(self, url: bytes) -> Route | None:
        """Read a path; parameters, of which `ns` is the usual one, do not change what a manifest is."""
        try:
            route: Route | None = parse_route("GET", url.partition(b"?")[0])
        except (Refusal, InvalidReferenceError):
            route = None
        if route and route.endpoint is not Endpoint.MANIFEST:
            route = None
        _bounded(self._routes)[url[:4096]] = route
        return route


def _bounded(memory: dict[_K, _V]) -> dict[_K, _V]:
    """Make room for one more."""
    while len(memory) >= REMEMBERED:
        del memory[next(iter(memory))]
    return memory
