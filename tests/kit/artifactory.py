"""A stand-in for JFrog Artifactory with the repository path method: REGISTRY/KEY/IMAGE, KEY being one of its own repositories.

It behaves as its documentation says and as reported: containerd 3556 and earthly 1017 (tokens), dotnet sdk-container-builds 382 (Accept),
RTFACT-18971 (pages of tags), renovate 17925 (Docker Hub's official images), jfrog/charts 455 (names it does not know).
"""

import base64
import re
from collections import Counter
from urllib.parse import parse_qs, urlsplit

import msgspec

from homeport.oci.digest import digest_of
from tests.kit.scripted import Reply, Seen

USER, TOKEN = "me", "eyJ2ZXIiOiIyIn0.access-token"
_PATH = re.compile(r"/v2/(?P<key>[^/]+)/(?P<image>.+?)/(?P<kind>manifests|blobs|tags|referrers)/(?P<rest>.*)")


class Artifactory:
    """Plays the registry; `keys` are its repositories. `uploads_at` is the address that it takes for its own."""

    def __init__(self, *keys: str, lists_referrers: bool = True, uploads_at: str = "") -> None:
        self.keys, self.lists_referrers, self.uploads_at = keys, lists_referrers, uploads_at
        self.host = ""
        self.page = 2
        self.content: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.tags: dict[str, list[str]] = {}
        self.uploads: dict[str, bytearray] = {}
        self.tokens: Counter[str] = Counter()
        self.refused = 0

    def put(self, key: str, image: str, name: str, body: bytes, media_type: str = "application/octet-stream") -> str:
        """Keep a manifest, or a blob, under its digest and under a tag."""
        digest = digest_of(body)
        self.content[f"{key}/{image}", digest] = self.content[f"{key}/{image}", name] = media_type, body
        if not name.startswith("sha256:"):
            self.tags.setdefault(f"{key}/{image}", []).append(name)
        return digest

    def __call__(self, seen: Seen) -> Reply:
        url = urlsplit(seen.path)
        if url.path.endswith("/v2/token"):
            return self._token(url.path.split("/")[-3], parse_qs(url.query), seen)
        found = _PATH.fullmatch(url.path)
        if found is None or found["key"] not in self.keys:
            realm = self._challenge("null", "")
            return (
                realm
                if url.path == "/v2/"
                else _error(400, f"Unsupported docker v2 repository request for '{url.path}'")
            )
        if not self._is_allowed(found["key"], found["image"], seen):
            self.refused += 1
            # A HEAD is told no scope; the scope of a GET lacks the repository's key.
            verbs = {"GET": "pull", "HEAD": ""}.get(seen.method, "pull,push")
            return self._challenge(found["key"], f"repository:{found['image']}:{verbs}" if verbs else "")
        if "application/vnd" in seen.headers.get("accept", "") and found["kind"] in ("blobs", "tags"):
            return _error(406, "Not Acceptable")
        return self._answer(found, parse_qs(url.query), seen)

    def _challenge(self, key: str, scope: str) -> Reply:
        said = f'Bearer realm="http://{self.host}/artifactory/api/docker/{key}/v2/token",service="{self.host}"'
        return _error(
            401, "authentication is required", {"WWW-Authenticate": said + (f',scope="{scope}"' if scope else "")}
        )

    def _token(self, key: str, query: dict[str, list[str]], seen: Seen) -> Reply:
        basic = base64.b64encode(f"{USER}:{TOKEN}".encode()).decode()
        if seen.headers.get("authorization") != f"Basic {basic}":
            return _error(401, "Wrong username was used")
        self.tokens[key] += 1
        text = f"{key} {' '.join(query.get('scope', []))}"
        answer = {"token": base64.urlsafe_b64encode(text.encode()).decode(), "expires_in": 3600}
        return Reply(200, {"Content-Type": "application/json"}, msgspec.json.encode(answer))

    def _is_allowed(self, key: str, image: str, seen: Seen) -> bool:
        """A token of another repository's realm is no good, and neither is one without a scope."""
        token = seen.headers.get("authorization", "").removeprefix("Bearer ")
        of_key, _, scopes = base64.urlsafe_b64decode(token).decode().partition(" ")
        verb = "pull" if seen.method in ("GET", "HEAD") else "push"
        names = [scope.rpartition(":") for scope in scopes.split()]
        wanted = (f"repository:{image}", f"repository:{key}/{image}")
        return of_key == key and any(name in wanted and verb in verbs.split(",") for name, _, verbs in names)

    def _answer(self, found: "re.Match[str]", query: dict[str, list[str]], seen: Seen) -> Reply:
        repository, kind, rest = f"{found['key']}/{found['image']}", found["kind"], found["rest"]
        if kind == "tags":
            return self._list(repository, found["image"], query)
        if kind == "referrers":
            return self._referrers() if self.lists_referrers else _error(404, "not found")
        if kind == "manifests" and seen.method == "PUT":
            self.put(found["key"], found["image"], rest, seen.body, seen.headers["content-type"])
            return Reply(201, {"Docker-Content-Digest": digest_of(seen.body)})
        if seen.method in ("POST", "PATCH", "PUT"):
            return self._upload(found, query, seen)
        if held := self.content.get((repository, rest)):
            headers = {"Content-Type": held[0], "Docker-Content-Digest": digest_of(held[1])}
            return Reply(200, headers, held[1])
        return _error(404, "The named manifest is not known to the registry.")

    def _upload(self, found: "re.Match[str]", query: dict[str, list[str]], seen: Seen) -> Reply:
        number = found["rest"].removeprefix("uploads/") or str(len(self.uploads) + 1)
        received = self.uploads.setdefault(number, bytearray())
        received += seen.body
        if seen.method == "PUT":
            digest = query["digest"][0]
            self.put(found["key"], found["image"], digest, bytes(received))
            return Reply(201, {"Docker-Content-Digest": digest})
        base = self.uploads_at or f"http://{self.host}"
        location = f"{base}/v2/{found['key']}/{found['image']}/blobs/uploads/{number}"
        return Reply(202, {"Location": location, "Range": f"0-{max(len(received) - 1, 0)}"})

    def _list(self, repository: str, image: str, query: dict[str, list[str]]) -> Reply:
        tags = sorted(self.tags.get(repository, []))
        after = query.get("last", [""])[0]
        rest = [tag for tag in tags if tag > after]
        page = rest[: self.page]
        # The link lacks the key.
        link = (
            {"Link": f'</v2/{image}/tags/list?last={page[-1]}&n={self.page}>; rel="next"'}
            if len(rest) > len(page)
            else {}
        )
        body = msgspec.json.encode({"name": image, "tags": page})
        return Reply(200, {"Content-Type": "application/json", **link}, body)

    def _referrers(self) -> Reply:
        kind = "application/vnd.oci.image.index.v1+json"
        return Reply(
            200, {"Content-Type": kind}, msgspec.json.encode({"schemaVersion": 2, "mediaType": kind, "manifests": []})
        )


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Reply:
    """Errors have a status and no code."""
    body = msgspec.json.encode({"errors": [{"status": status, "message": message}]})
    return Reply(status, {"Content-Type": "application/json;charset=ISO-8859-1", **(headers or {})}, body)
