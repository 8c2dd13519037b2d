"""Which endpoint a path means. Pure.

Names of repositories contain slashes, so a path is read from its end; a component of a name may itself be called
``blobs`` or ``tags``. Each component is decoded once and must then match its grammar: nothing else reaches a store.
"""

from enum import StrEnum
from urllib.parse import unquote_to_bytes

import msgspec

from homeport.oci.digest import is_digest
from homeport.oci.error_codes import ErrorCode
from homeport.reference import is_repository, is_tag
from homeport.server.replies import Refusal

MAX_PATH = 4096


class Endpoint(StrEnum):
    """The endpoints of the distribution specification, the catalog and what tells of it."""

    PING = "ping"
    CATALOG = "catalog"
    EXTENSIONS = "extensions"
    TAGS = "tags"
    MANIFEST = "manifest"
    BLOB = "blob"
    UPLOADS = "uploads"
    UPLOAD = "upload"
    REFERRERS = "referrers"


METHODS: dict[Endpoint, tuple[str, ...]] = {
    Endpoint.PING: ("GET", "HEAD"),
    Endpoint.CATALOG: ("GET", "HEAD"),
    Endpoint.EXTENSIONS: ("GET", "HEAD"),
    Endpoint.TAGS: ("GET", "HEAD"),
    Endpoint.MANIFEST: ("GET", "HEAD", "PUT", "DELETE"),
    Endpoint.BLOB: ("GET", "HEAD", "DELETE"),
    Endpoint.UPLOADS: ("POST",),
    Endpoint.UPLOAD: ("GET", "HEAD", "PATCH", "PUT", "DELETE"),
    Endpoint.REFERRERS: ("GET", "HEAD"),
}


class Route(msgspec.Struct, frozen=True):
    """An endpoint with its repository and what is named there: a tag, a digest or an upload's id."""

    endpoint: Endpoint
    repository: str = ""
    identifier: str = ""


def parse_route(method: str, raw_path: bytes) -> Route:
    """Read the path of a request, as it was sent; raises Refusal."""
    route = _route(raw_path)
    allowed = METHODS[route.endpoint]
    if method not in allowed:
        raise Refusal(
            405, ErrorCode.UNSUPPORTED, f"{method[:20]} does nothing here", headers=(("allow", ", ".join(allowed)),)
        )
    return route


def _route(raw_path: bytes) -> Route:
    parts = [_decoded(part) for part in raw_path.split(b"/")] if len(raw_path) <= MAX_PATH else []
    match parts:
        case ["", "v2"] | ["", "v2", ""]:
            return Route(Endpoint.PING)
        case ["", "v2", "_catalog"]:
            return Route(Endpoint.CATALOG)
        case ["", "v2", "_oci", "ext", "discover"]:
            return Route(Endpoint.EXTENSIONS)
        case ["", "v2", *name, "tags", "list"]:
            return Route(Endpoint.TAGS, _name(name))
        case ["", "v2", *name, "manifests", identifier]:
            return Route(Endpoint.MANIFEST, _name(name), _identifier(identifier))
        case ["", "v2", *name, "blobs", "uploads"] | ["", "v2", *name, "blobs", "uploads", ""]:
            return Route(Endpoint.UPLOADS, _name(name))
        case ["", "v2", *name, "blobs", "uploads", session] if not is_digest(session):
            return Route(Endpoint.UPLOAD, _name(name), session)
        case ["", "v2", *name, "blobs", digest]:
            return Route(Endpoint.BLOB, _name(name), _digest(digest))
        case ["", "v2", *name, "referrers", digest]:
            return Route(Endpoint.REFERRERS, _name(name), _digest(digest))
    raise Refusal(404, ErrorCode.UNSUPPORTED, "there is no such endpoint")


def _decoded(part: bytes) -> str:
    """Decode a component once; what is not UTF-8 becomes characters that no grammar knows."""
    return unquote_to_bytes(part).decode("utf-8", "replace")


def _name(parts: list[str]) -> str:
    name = "/".join(parts)
    if any("/" in part for part in parts) or not is_repository(name):
        raise Refusal(400, ErrorCode.NAME_INVALID, "the repository's name is invalid", detail={"name": name[:300]})
    return name


def _digest(text: str) -> str:
    if not is_digest(text):
        raise Refusal(400, ErrorCode.DIGEST_INVALID, "the digest is invalid", detail={"digest": text[:300]})
    return text


def _identifier(text: str) -> str:
    if ":" in text:
        return _digest(text)
    if not is_tag(text):
        raise Refusal(400, ErrorCode.MANIFEST_INVALID, "the tag is invalid", detail={"tag": text[:300]})
    return text
