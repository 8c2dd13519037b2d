"""Lists: tags, repositories, and what refers to a manifest."""

from asyncio import to_thread
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

from homeport.oci.error_codes import ErrorCode
from homeport.oci.manifest import Descriptor, parse_manifest
from homeport.oci.media_types import OCI_INDEX
from homeport.server.replies import Headers, Refusal, Reply, json_reply
from homeport.server.requests import Request
from homeport.store.protocol import Store

PAGE = 10_000
"""The longest list in one answer, also where no length is asked for."""


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
        request, "/v2/_catalog", lambda after, limit: store.repositories(after=after, limit=limit)
    )
    return json_reply({"repositories": found}, headers=headers)


async def referrers(store: Store, request: Request) -> Reply:
    """List the manifests that refer to a digest, as an index (end-12); an unknown digest has none."""
    wanted = request.parameter("artifactType")
    wanted = wanted.replace(" ", "+") if wanted else wanted  # a plus that was not escaped; types hold no spaces
    manifests = await to_thread(store.referrers, request.route.repository, request.route.identifier)
    found: list[Descriptor] = []
    for raw in manifests:
        manifest = parse_manifest(raw)
        if wanted in (None, manifest.artifact_type):
            found.append(
                Descriptor(
                    raw.media_type,
                    raw.digest,
                    len(raw.body),
                    annotations=manifest.annotations,
                    artifact_type=manifest.artifact_type,
                )
            )
    headers: Headers = (("oci-filters-applied", "artifactType"),) if wanted else ()
    index: dict[str, Any] = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found}
    return json_reply(index, headers=headers, media_type=OCI_INDEX)


async def _page(request: Request, path: str, page: Callable[[str, int], list[str]]) -> tuple[list[str], Headers]:
    """Return a page of a sorted list, and a link to the next one if there is more."""
    asked = request.parameter("n")
    if asked is not None and not (asked.isascii() and asked.isdecimal() and len(asked) < 19):
        raise Refusal(400, ErrorCode.UNSUPPORTED, "n is not a number")
    limit = PAGE if asked is None else min(int(asked), PAGE)
    found = await to_thread(page, request.parameter("last") or "", limit + 1)
    if len(found) <= limit or not limit:
        return found[:limit], ()
    query = urlencode({"n": limit, "last": found[limit - 1]})
    return found[:limit], (("link", f'<{path}?{query}>; rel="next"'),)
