"""Uploads: opened, written in one or in many requests, and closed with a digest."""

from asyncio import to_thread

from homeport.errors import ContentError
from homeport.oci.error_codes import ErrorCode
from homeport.oci.uploads import parse_chunk_range, range_received
from homeport.server.replies import Headers, Refusal, Reply
from homeport.server.requests import Request
from homeport.store.names import check_repository
from homeport.store.protocol import Store, Upload


async def start_upload(store: Store, request: Request) -> Reply:
    """Mount a blob, take one whole, or open an upload for the requests to come (end-4, end-11)."""
    repository = request.route.repository
    mount, digest = request.digest("mount"), request.digest()
    if mount and await _mount(store, request, mount):
        return _created(repository, mount)
    if request.parameter("digest-algorithm") not in (None, "sha256", "sha512"):
        raise Refusal(400, ErrorCode.DIGEST_INVALID, "the algorithm is neither sha256 nor sha512")
    if digest is None or mount:
        session = await to_thread(_start_bounded, store, request)
        return Reply(202, _progress(repository, session, 0))
    if request.is_small:
        return await _finish_small(store, request, None, digest)
    session = await to_thread(store.start_upload, repository)
    try:
        return await _finish(store, request, session, digest)
    except BaseException:
        # Nobody was told of this upload, so nobody will go on with it.
        store.cancel_upload(repository, session)
        raise


async def append(store: Store, request: Request) -> Reply:
    """Take a chunk, or a stream of any length (end-5)."""
    repository, session = request.route.repository, request.route.identifier
    upload = await _open(store, repository, session)
    try:
        await _write(request, session, upload)
        await to_thread(upload.sync)
        return Reply(202, _progress(repository, session, upload.offset))
    finally:
        upload.close()


async def finish(store: Store, request: Request) -> Reply:
    """Take the last bytes, if there are any, and make the upload a blob (end-6)."""
    digest = request.digest()
    if digest is None:
        raise Refusal(400, ErrorCode.DIGEST_INVALID, "an upload is closed with ?digest=")
    if request.is_small:
        return await _finish_small(store, request, request.route.identifier, digest)
    return await _finish(store, request, request.route.identifier, digest)


async def upload_status(store: Store, request: Request) -> Reply:
    """Tell how far an upload has come (end-13)."""
    repository, session = request.route.repository, request.route.identifier
    size = store.upload_size(repository, session)
    if size is None:
        raise _unknown(session)
    return Reply(204, _progress(repository, session, size))


async def cancel(store: Store, request: Request) -> Reply:
    """End an upload (end-14)."""
    session = request.route.identifier
    if not await to_thread(store.cancel_upload, request.route.repository, session):
        raise _unknown(session)
    return Reply(204)


async def _mount(store: Store, request: Request, digest: str) -> bool:
    """Take a blob from the repository that is named, or else from any; only from one that the caller may pull from."""
    source = request.parameter("from")

    def mount() -> bool:
        sources = store.holders(digest) if source is None else (check_repository(source),)
        return any(
            store.link_blob(request.route.repository, digest, name) for name in sources if request.may_pull(name)
        )

    return await to_thread(mount)


async def _finish(store: Store, request: Request, session: str, digest: str) -> Reply:
    repository = request.route.repository
    upload = await _open(store, repository, session)
    try:
        await _write(request, session, upload)
        await to_thread(upload.commit, digest)
    except ContentError as error:
        raise Refusal(400, ErrorCode.DIGEST_INVALID, error.message, detail={"digest": digest}) from None
    finally:
        upload.close()
    return _created(repository, digest)


def _start_bounded(store: Store, request: Request) -> str:
    """Open an upload for the requests to come, unless its owner leaves too many open."""
    repository = request.route.repository
    if not request.uploads.has_room(request.owner, lambda one: store.upload_size(*one) is not None):
        raise Refusal(
            429,
            ErrorCode.TOOMANYREQUESTS,
            "too many uploads are open; finish or cancel some",
            headers=(("retry-after", "60"),),
        )
    session = store.start_upload(repository)
    request.uploads.note(request.owner, (repository, session))
    return session


async def _finish_small(store: Store, request: Request, session: str | None, digest: str) -> Reply:
    """Take a small body whole, then do all that may block in one step: each step costs a change of threads."""
    repository = request.route.repository
    body = [piece async for pieces in request.chunks() for piece in pieces]

    def work() -> None:
        known = session or store.start_upload(repository)
        try:
            upload = _opened(store.open_upload(repository, known), known)
            try:
                expected, start = _expected_length(request, known, upload.offset), upload.offset
                upload.write(*body)
                _check_length(upload.offset - start, expected)
                upload.commit(digest)
            finally:
                upload.close()
        except BaseException:
            if session is None:
                store.cancel_upload(repository, known)
            raise

    try:
        await to_thread(work)
    except ContentError as error:
        raise Refusal(400, ErrorCode.DIGEST_INVALID, error.message, detail={"digest": digest}) from None
    return _created(repository, digest)


async def _open(store: Store, repository: str, session: str) -> Upload:
    return _opened(await to_thread(store.open_upload, repository, session), session)


def _opened(upload: Upload | None, session: str) -> Upload:
    if upload is None:
        raise _unknown(session)
    return upload


async def _write(request: Request, session: str, upload: Upload) -> None:
    """Store the body as it comes; a chunk must say where it belongs, and go on where the last one ended."""
    expected = _expected_length(request, session, upload.offset)
    start = upload.offset
    async for pieces in request.chunks():
        await to_thread(upload.write, *pieces)
    _check_length(upload.offset - start, expected)


def _check_length(received: int, expected: int | None) -> None:
    if expected is not None and received != expected:
        raise Refusal(400, ErrorCode.SIZE_INVALID, f"{received} bytes came of a chunk of {expected}")


def _expected_length(request: Request, session: str, offset: int) -> int | None:
    header = request.headers.get("content-range")
    if header is None:
        return None
    try:
        chunk = parse_chunk_range(header)
    except ContentError as error:
        raise Refusal(400, ErrorCode.BLOB_UPLOAD_INVALID, error.message) from None
    if chunk.start != offset:
        raise Refusal(
            416,
            ErrorCode.BLOB_UPLOAD_INVALID,
            f"the upload goes on at byte {offset}, not at {chunk.start}",
            headers=_progress(request.route.repository, session, offset),
        )
    if request.content_length not in (None, chunk.length):
        raise Refusal(400, ErrorCode.SIZE_INVALID, f"a chunk of {chunk.length} bytes has another content-length")
    return chunk.length


def _progress(repository: str, session: str, size: int) -> Headers:
    """Say where an upload goes on; the location is relative, so that it holds behind any proxy."""
    return (
        ("location", f"/v2/{repository}/blobs/uploads/{session}"),
        ("range", range_received(size)),
        ("docker-upload-uuid", session),
    )


def _created(repository: str, digest: str) -> Reply:
    return Reply(201, (("location", f"/v2/{repository}/blobs/{digest}"), ("docker-content-digest", digest)))


def _unknown(session: str) -> Refusal:
    return Refusal(404, ErrorCode.BLOB_UPLOAD_UNKNOWN, "there is no such upload", detail={"upload": session[:100]})
