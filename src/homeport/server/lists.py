"""Lists: tags, repositories, and what refers to a manifest."""

from asyncio import to_thread
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from homeport.errors import ContentError
from homeport.oci.error_codes import ErrorCode
from homeport.oci.manifest import MAX_MANIFEST_BYTES, Descriptor, RawManifest, parse_manifest
from homeport.oci.media_types import OCI_INDEX
from homeport.server.replies import Headers, Refusal, Reply, json_reply, warning
from homeport.server.requests import Request
from homeport.server.routes import Route
from homeport.store.protocol import Store

PAGE = 10_000
"""The longest list in one answer, also where no length is asked for."""

REFERRERS = 1000
"""The most referrers in one answer."""

_EXTENSIONS = (
    {
        "name": "_oci",
        "url": "https://github.com/opencontainers/distribution-spec/blob/main/extensions/_oci.md",
        "description": "what there is beyond the specification",
        "endpoints": ["_oci/ext/discover"],
    },
    {
        "name": "_catalog",
        "url": "https://distribution.github.io/distribution/spec/api/#listing-repositories",
        "description": "the repositories, page by page",
        "endpoints": ["_catalog"],
    },
)


async def tags(store: Store, request: Request) -> Reply:
    """List the tags of a repository, sorted, page by page (end-8)."""
    name = request.route.repository

    def page(after: str, limit: int) -> list[str]:
        found = store.tags(name, after=after, limit=limit)
        if found is None:
            raise Refusal(404, ErrorCode.NAME_UNKNOWN, "the registry has no such repository", detail={"name": name})
        return found

    found, headers = await _page(request, f"/v2/{quote(name)}/tags/list", page)
    return json_reply({"name": name, "tags": found}, headers=headers)


async def catalog(store: Store, request: Request) -> Reply:
    """List the repositories, page by page; not in the specification, but tools expect it."""
    found, headers = await _page(
        request,
        "/v2/_catalog",
        lambda after, limit: store.repositories(after=after, limit=limit, keep=request.may_pull),
    )
    return json_reply({"repositories": found}, headers=headers)


async def referrers(store: Store, request: Request) -> Reply:
    """List the manifests that refer to a digest, as an index (end-12); an unknown digest has none."""
    wanted = request.parameter("artifactType")
    wanted = wanted.replace(" ", "+") if wanted else wanted  # a plus that was not escaped; types hold no spaces
    limit, after = _limit(request, REFERRERS), request.parameter("last") or ""
    page = await to_thread(_referrers, store, request.route, wanted, after, limit)
    headers: Headers = (("oci-filters-applied", "artifactType"),) if wanted else ()
    if page.spoilt:
        headers += (warning(f"not listed, because the disk has spoilt it: {', '.join(page.spoilt)}"),)
    if page.more and page.found:
        query: dict[str, str | int] = {"n": limit, "last": page.found[-1].digest}
        if wanted:
            query["artifactType"] = wanted
        path = f"/v2/{quote(request.route.repository)}/referrers/{request.route.identifier}"
        headers += (_next(path, query),)
    index: dict[str, Any] = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": page.found}
    return json_reply(index, headers=headers, media_type=OCI_INDEX)


async def extensions(_store: Store, _request: Request) -> Reply:
    """List what there is beyond the specification (its extensions/_oci.md)."""
    return json_reply({"extensions": _EXTENSIONS})


class _Page(msgspec.Struct):
    found: list[Descriptor] = []
    spoilt: list[str] = []
    more: bool = False


def _referrers(store: Store, route: Route, wanted: str | None, after: str, limit: int) -> _Page:
    """Describe what refers to a digest until a page is full; clients take no more than MAX_MANIFEST_BYTES at a time."""
    page, room = _Page(), MAX_MANIFEST_BYTES - 1024
    for digest in (digest for digest in store.referrers(route.repository, route.identifier) if digest > after):
        try:
            descriptor = _described(store.get_manifest(route.repository, digest))
        except ContentError:
            page.spoilt.append(digest)
            continue
        if descriptor is None or wanted not in (None, descriptor.artifact_type):
            continue
        room -= len(msgspec.json.encode(descriptor)) + 1
        if page.found and (room < 0 or len(page.found) >= limit):
            page.more = True
            break
        page.found.append(descriptor)
    return page if limit else _Page()


def _described(raw: RawManifest | None) -> Descriptor | None:
    if raw is None:
        return None
    manifest = parse_manifest(raw)
    return Descriptor(
        raw.media_type,
        raw.digest,
        len(raw.body),
        annotations=manifest.annotations,
        artifact_type=manifest.artifact_type,
    )


async def _page(request: Request, path: str, page: Callable[[str, int], list[str]]) -> tuple[list[str], Headers]:
    """Return a page of a sorted list, and a link to the next one if there is more."""
    limit = _limit(request, PAGE)
    found = await to_thread(page, request.parameter("last") or "", limit + 1)
    if len(found) <= limit or not limit:
        return found[:limit], ()
    return found[:limit], (_next(path, {"n": limit, "last": found[limit - 1]}),)


def _limit(request: Request, most: int) -> int:
    asked = request.parameter("n")
    if asked is not None and not (asked.isascii() and asked.isdecimal() and len(asked) < 19):
        raise Refusal(400, ErrorCode.UNSUPPORTED, "n is not a number")
    return most if asked is None else min(int(asked), most)


def _next(path: str, query: Mapping[str, str | int]) -> tuple[str, str]:
    return "link", f'<{path}?{urlencode(query)}>; rel="next"'
