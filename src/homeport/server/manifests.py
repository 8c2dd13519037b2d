"""Manifests: stored and served byte for byte."""

from asyncio import to_thread

import msgspec

from homeport.errors import ContentError, TagFixedError
from homeport.oci.digest import digest_of, is_digest
from homeport.oci.error_codes import ErrorCode
from homeport.oci.manifest import MAX_MANIFEST_BYTES, Manifest, RawManifest, media_type_in, parse_manifest
from homeport.oci.media_types import IMAGE_TYPES, INDEX_TYPES, SCHEMA1, SCHEMA1_SIGNED
from homeport.oci.unreadable import UNREADABLE
from homeport.reference import is_tag
from homeport.server.replies import Headers, Refusal, Reply, warning
from homeport.server.requests import Request
from homeport.store.protocol import Store

MAX_TAGS = 100
"""How many tags one PUT may name; the specification asks for at least 10."""

_KNOWN_TYPES = IMAGE_TYPES | INDEX_TYPES | {SCHEMA1, SCHEMA1_SIGNED}


class _Stated(msgspec.Struct, rename="camel"):
    media_type: str = ""


async def get_manifest(store: Store, request: Request) -> Reply:
    """Answer GET and HEAD with what was stored, whatever the client would accept (end-3)."""
    try:
        manifest = store.get_manifest(request.route.repository, request.route.identifier)
    except ContentError as error:
        if request.method != "HEAD":
            raise
        # A client looks before it pushes, and only a push mends this.
        raise _unknown(request, warning(error.message)) from None
    if manifest is None:
        if request.method == "GET" and store.tags(request.route.repository, limit=1) is None:
            # Whoever is about to push learns that there is nothing to look for.
            name = request.route.repository
            raise Refusal(404, ErrorCode.NAME_UNKNOWN, "the registry has no such repository", detail={"name": name})
        raise _unknown(request)
    return manifest_reply(manifest)


def manifest_reply(manifest: RawManifest) -> Reply:
    """Answer with a manifest as it was stored."""
    headers = (("content-type", manifest.media_type), ("docker-content-digest", manifest.digest))
    return Reply(200, headers, manifest.body)


async def put_manifest(store: Store, request: Request) -> Reply:
    """Store a manifest under a digest or a tag, or a digest with tags (end-7)."""
    raw = _read(request, await request.body(MAX_MANIFEST_BYTES))
    manifest = _parse(raw)
    identifier, repository = request.route.identifier, request.route.repository
    extra = _tags(request)
    tags = extra if is_digest(identifier) else [identifier, *extra]
    subject = manifest.subject.digest if manifest.subject else None
    # An index may lack children: a mirror of some platforms keeps the index, and so its digest, as it was.
    needs = [blob.digest for blob in manifest.blobs] if raw.media_type in IMAGE_TYPES else []
    missing = await to_thread(
        store.put_manifest, repository, raw, tags=tags, needs=needs, subject=subject, fixed=request.fixed
    )
    if missing:
        raise Refusal(
            400,
            ErrorCode.MANIFEST_BLOB_UNKNOWN,
            "the manifest names blobs that the repository does not hold",
            detail={"digests": list(missing)},
        )
    headers: Headers = (
        ("location", f"/v2/{repository}/manifests/{raw.digest}"),
        ("docker-content-digest", raw.digest),
    )
    if subject:
        headers += (("oci-subject", subject),)
    if extra:
        headers += (("oci-tag", ", ".join(extra)),)
    return Reply(201, headers)


async def delete_manifest(store: Store, request: Request) -> Reply:
    """Delete a tag, or a manifest and with it all its tags (end-9)."""
    repository, identifier = request.route.repository, request.route.identifier
    if is_digest(identifier):
        deleted = await to_thread(store.delete_manifest, repository, identifier, fixed=request.fixed)
    elif request.fixed(identifier):
        raise TagFixedError(f"the tag {identifier} is immutable")
    else:
        deleted = await to_thread(store.delete_tag, repository, identifier)
    if not deleted:
        raise _unknown(request)
    return Reply(202)


def _read(request: Request, body: bytes) -> RawManifest:
    """Name a body by the digest of the URL's algorithm, and take its type from the header without parameters."""
    identifier = request.route.identifier
    digest = digest_of(body, identifier.partition(":")[0]) if is_digest(identifier) else digest_of(body)
    if is_digest(identifier) and digest != identifier:
        raise Refusal(400, ErrorCode.DIGEST_INVALID, f"the manifest received is {digest}", detail={"digest": digest})
    said = request.headers.get("content-type", "").partition(";")[0].strip()
    inside = media_type_in(body)
    if not said and not inside:
        raise Refusal(400, ErrorCode.MANIFEST_INVALID, "the manifest has no media type")
    return RawManifest(body, said or inside, digest)


def _parse(raw: RawManifest) -> Manifest:
    """Check what is known; a type that is not known is kept unread, as long as it is a JSON object."""
    try:
        stated = msgspec.json.decode(raw.body, type=_Stated).media_type
        manifest = parse_manifest(raw)
    except UNREADABLE as error:
        raise _invalid(f"it cannot be read: {error}") from None
    except ContentError as error:
        if raw.media_type in _KNOWN_TYPES:
            raise _invalid(error.message) from None
        return Manifest(raw.media_type)
    # What one client reads as an image and another as an index could show each of them other content (CVE-2021-41190).
    if stated and stated != raw.media_type:
        raise _invalid(f"it says that it is {stated[:100]}, its content-type {raw.media_type[:100]}")
    if (raw.media_type in IMAGE_TYPES and manifest.children) or (
        raw.media_type in INDEX_TYPES and (manifest.config or manifest.layers)
    ):
        raise _invalid("it is an image and an index at once")
    return manifest


def _invalid(reason: str) -> Refusal:
    return Refusal(400, ErrorCode.MANIFEST_INVALID, f"the manifest is invalid: {reason}")


def _tags(request: Request) -> list[str]:
    tags = request.query.get("tag", [])
    if len(tags) > MAX_TAGS:
        raise Refusal(414, ErrorCode.UNSUPPORTED, f"one request sets at most {MAX_TAGS} tags")
    for tag in tags:
        if not is_tag(tag):
            raise Refusal(400, ErrorCode.MANIFEST_INVALID, "the tag is invalid", detail={"tag": tag[:300]})
    return tags


def _unknown(request: Request, *headers: tuple[str, str]) -> Refusal:
    return Refusal(
        404,
        ErrorCode.MANIFEST_UNKNOWN,
        "the repository holds no such manifest",
        detail={"name": request.route.repository, "reference": request.route.identifier},
        headers=headers,
    )
