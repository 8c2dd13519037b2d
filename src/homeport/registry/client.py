"""One registry, in the terms of the distribution specification."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlencode, urljoin, urlsplit

import msgspec

from homeport.errors import (
    AuthenticationError,
    ContentError,
    ForbiddenError,
    NotFoundError,
    RegistryError,
)
from homeport.oci.digest import digest_of, is_digest
from homeport.oci.manifest import MAX_MANIFEST_BYTES, Descriptor, ManifestHead, RawManifest
from homeport.oci.media_types import ACCEPT
from homeport.oci.transfer import BlobReader, Upload
from homeport.quota.reading import Reading
from homeport.registry.answers import is_page, not_a_registry
from homeport.registry.auth import pull_scope, push_scope
from homeport.registry.blobs import BlobDownload, Rewindable, UploadBody
from homeport.registry.http import Answer, Ask, Host
from homeport.registry.retry import Transient
from homeport.registry.transport import BLOCK, SILENCE_SECONDS

_SLOWEST_STORE = 10 << 20
"""Bytes a second at which a registry is trusted to check and store what it was sent, before it says so."""
_TAGS_BYTES = 16 << 20
_PIECES_WANTED = frozenset({405, 413})


_NEXT = re.compile(r'<([^>]*)>\s*;[^,]*\brel="?next"?')


class _Tags(msgspec.Struct):
    tags: list[str] | None = None


class RegistryClient:
    """Asks one registry; any number of threads may use it."""

    def __init__(self, host: Host) -> None:
        self._host = host

    @property
    def registry(self) -> str:
        """The registry's name, as references write it."""
        return self._host.name

    def ping(self) -> None:
        """Make sure that a registry answers and takes the stored credentials; raises RegistryError."""
        self._host.request(Ask("GET", "/v2/", "/v2/"), lambda _: None)

    def head_manifest(self, repository: str, identifier: str) -> ManifestHead | None:
        """Ask for a manifest by tag or digest without fetching it; None where there is none. Never a counted pull."""
        return self.look_up(repository, identifier)[0]

    def look_up(self, repository: str, identifier: str) -> tuple[ManifestHead | None, Reading | None]:
        """Ask as `head_manifest` does, and also for the limit that pulls of this very image count against, if any."""
        head, reading = self._host.request(self._manifest_ask("HEAD", repository, identifier), self._read_head)
        if head is None or head.digest:
            return head, reading
        if is_digest(identifier):
            return msgspec.structs.replace(head, digest=identifier), reading
        if reading:
            raise RegistryError(
                f"{self.registry}: HEAD manifest {_named(repository, identifier)}: no digest came back",
                host=self.registry,
                hint="Name the image by its digest.",
            )
        raw = self.get_manifest(repository, identifier)
        return ManifestHead(raw.digest, raw.media_type, len(raw.body)), None

    def get_manifest(self, repository: str, identifier: str) -> RawManifest:
        """Fetch a manifest by tag or digest, verified; raises NotFoundError, ContentError."""
        ask = self._manifest_ask("GET", repository, identifier)
        return self._host.request(ask, lambda answer: self._read_manifest(answer, ask, identifier))

    def put_manifest(self, repository: str, identifier: str, manifest: RawManifest) -> None:
        """Store a manifest byte for byte under a tag or its digest."""
        ask = Ask(
            "PUT",
            f"/v2/{repository}/manifests/{identifier}",
            f"manifest {_named(repository, identifier)}",
            repository=repository,
            scopes=(push_scope(repository),),
            expected=frozenset({201}),
            headers={"Content-Type": manifest.media_type},
            body=manifest.body,
        )
        self._host.request(ask, lambda answer: self._check_stored(answer, manifest.digest))
        self._host.sent(len(manifest.body))

    def has_blob(self, repository: str, digest: str) -> bool:
        """Tell whether a blob is in a repository."""
        ask = Ask(
            "HEAD",
            f"/v2/{repository}/blobs/{digest}",
            f"blob {repository}@{digest}",
            repository=repository,
            scopes=(pull_scope(repository),),
            expected=frozenset({200, 404}),
        )
        return self._host.request(ask, lambda answer: answer.status == 200)

    @contextmanager
    def open_blob(self, repository: str, blob: Descriptor) -> Iterator[BlobReader]:
        """Stream a blob, resumed after cuts and verified; raises NotFoundError, ContentError."""
        download = BlobDownload(self._host, repository, blob)
        try:
            yield download
        finally:
            download.close()

    def start_blob(self, repository: str, digest: str, *, mount_from: str | None = None) -> Upload | None:
        """Open an upload, or mount the blob from another repository of this registry: then None comes back."""
        location = None
        if mount_from is not None:
            # Who may not read there gets nothing mounted, and uploads the blob.
            with suppress(AuthenticationError, ForbiddenError, NotFoundError):
                location, _ = self._begin(repository, {"mount": digest, "from": mount_from}, (pull_scope(mount_from),))
        if location is None:
            location, _ = self._begin(repository)
        return Upload(location) if location else None

    def put_blob(self, repository: str, blob: Descriptor, content: BlobReader, upload: Upload) -> None:
        """Stream content into an upload and close it.

        Content that can be rewound is sent anew after a cut, and in pieces where the registry refuses a whole blob.
        """
        if not isinstance(content, Rewindable):
            try:
                self._put_whole(repository, blob, content, upload.location)
            except Transient as failure:
                raise failure.error from failure
            return
        open_uploads = [upload.location]

        def once() -> None:
            if not open_uploads:
                content.rewind()
                open_uploads.append(self._begin(repository)[0])
            self._put_whole(repository, blob, content, open_uploads.pop())

        try:
            self._host.pace.run(once)
        except RegistryError as error:
            if error.status not in _PIECES_WANTED:
                raise
            content.rewind()
            self._put_pieces(repository, blob, content)

    def tags(self, repository: str) -> Iterator[str]:
        """Yield the tags of a repository, page after page; raises NotFoundError."""
        path: str | None = f"/v2/{repository}/tags/list?n=1000"
        seen: set[str] = set()
        while path is not None and (query := urlsplit(path).query) not in seen:
            seen.add(query)
            ask = Ask("GET", path, f"tags of {repository}", repository=repository, scopes=(pull_scope(repository),))
            page, path = self._host.request(ask, self._read_tags)
            yield from page

    def _manifest_ask(self, method: str, repository: str, identifier: str) -> Ask:
        return Ask(
            method,
            f"/v2/{repository}/manifests/{identifier}",
            f"manifest {_named(repository, identifier)}",
            repository=repository,
            scopes=(pull_scope(repository),),
            expected=frozenset({200, 404}) if method == "HEAD" else frozenset({200}),
            headers={"Accept": ACCEPT},
            is_pull=method == "GET",
        )

    def _read_head(self, answer: Answer) -> tuple[ManifestHead | None, Reading | None]:
        if answer.status == 404:
            return None, None
        if is_page(answer.headers):
            raise not_a_registry(self.registry, "HEAD of a manifest", "a web page")
        digest = answer.headers.get("Docker-Content-Digest", "")
        size = answer.headers.get("Content-Length", "")
        head = ManifestHead(
            digest=digest if is_digest(digest) else "",
            media_type=_media_type(answer),
            size=int(size) if size.isdigit() else 0,
        )
        return head, Reading.of(answer.headers)

    def _read_manifest(self, answer: Answer, ask: Ask, identifier: str) -> RawManifest:
        body = answer.read(MAX_MANIFEST_BYTES + 1)
        self._host.received(len(body))
        if len(body) > MAX_MANIFEST_BYTES:
            raise ContentError(f"{self.registry}: {ask.shown}: it is larger than {MAX_MANIFEST_BYTES >> 20} MiB")
        if is_page(answer.headers, body):
            raise not_a_registry(self.registry, ask.shown, "a web page")
        stated = answer.headers.get("Docker-Content-Digest", "")
        digest = next(filter(is_digest, (identifier, stated)), digest_of(body))
        if digest_of(body, digest.partition(":")[0]) != digest:
            raise ContentError(
                f"{self.registry}: {ask.shown}: {digest} was named, the content that came is {digest_of(body)}",
                hint=f"The content at {self.registry} is damaged, or a proxy changes it; nothing of it was kept.",
            )
        return msgspec.structs.replace(RawManifest.of(body, _media_type(answer)), digest=digest)

    def _check_stored(self, answer: Answer, digest: str) -> None:
        stored = answer.headers.get("Docker-Content-Digest", digest)
        if is_digest(stored) and stored.partition(":")[0] == digest.partition(":")[0] and stored != digest:
            raise ContentError(
                f"{self.registry}: {digest} was sent, and {stored} is what was stored",
                hint="The registry, or a proxy before it, changes content; digests would not be those of the source.",
            )

    def _begin(
        self, repository: str, query: dict[str, str] | None = None, scopes: tuple[str, ...] = ()
    ) -> tuple[str, int]:
        """Open an upload: its location ("" where the blob was mounted instead), and the least bytes of a piece."""
        ask = Ask(
            "POST",
            f"/v2/{repository}/blobs/uploads/" + (f"?{urlencode(query)}" if query else ""),
            f"upload to {repository}",
            repository=repository,
            scopes=(push_scope(repository), *scopes),
            expected=frozenset({201, 202} if query else {202}),
        )
        return self._host.request(ask, self._read_begun)

    def _read_begun(self, answer: Answer) -> tuple[str, int]:
        least = answer.headers.get("OCI-Chunk-Min-Length", "")
        return "" if answer.status == 201 else self._location(answer), int(least) if least.isdigit() else 0

    def _location(self, answer: Answer) -> str:
        location = answer.headers.get("Location")
        if not location:
            raise not_a_registry(self.registry, "upload", "an answer without a Location")
        return urljoin(answer.url, location)

    def _put_whole(self, repository: str, blob: Descriptor, content: BlobReader, location: str) -> None:
        ask = Ask(
            "PUT",
            with_digest(location, blob.digest),
            f"blob {repository}@{blob.digest}",
            repository=repository,
            scopes=(push_scope(repository),),
            expected=frozenset({201, 204}),
            headers={"Content-Type": "application/octet-stream", "Content-Length": str(blob.size)},
            body=UploadBody(content, self._host),
            lane="upload",
            silence=SILENCE_SECONDS + blob.size / _SLOWEST_STORE,
        )
        with self._host.attempt(ask) as answer:
            self._check_stored(answer, blob.digest)

    def _put_pieces(self, repository: str, blob: Descriptor, content: BlobReader) -> None:
        location, least = self._begin(repository)
        buffer = memoryview(bytearray(max(BLOCK, least)))
        offset = 0
        while offset < blob.size:
            count = fill(buffer, content)
            location = self._patch(repository, location, bytes(buffer[:count]), offset)
            offset += count
        ask = Ask(
            "PUT",
            with_digest(location, blob.digest),
            f"blob {repository}@{blob.digest}",
            repository=repository,
            scopes=(push_scope(repository),),
            expected=frozenset({201, 204}),
            headers={"Content-Length": "0"},
            lane="upload",
            silence=SILENCE_SECONDS + blob.size / _SLOWEST_STORE,
        )
        self._host.request(ask, lambda answer: self._check_stored(answer, blob.digest))

    def _patch(self, repository: str, location: str, piece: bytes, offset: int) -> str:
        ask = Ask(
            "PATCH",
            location,
            f"bytes {offset} to {offset + len(piece) - 1} of a blob to {repository}",
            repository=repository,
            scopes=(push_scope(repository),),
            expected=frozenset({201, 202, 204}),
            headers={
                "Content-Type": "application/octet-stream",
                "Content-Range": f"{offset}-{offset + len(piece) - 1}",
                "Content-Length": str(len(piece)),
            },
            body=piece,
            lane="upload",
        )
        location = self._host.request(ask, self._location)
        self._host.sent(len(piece))
        return location

    def _read_tags(self, answer: Answer) -> tuple[list[str], str | None]:
        body = answer.read(_TAGS_BYTES)
        try:
            tags = msgspec.json.decode(body, type=_Tags).tags or []
        except msgspec.DecodeError:
            raise not_a_registry(self.registry, "GET tags", "no JSON") from None
        following = _NEXT.search(answer.headers.get("Link", ""))
        return tags, urljoin(answer.url, following[1]) if following and tags else None


def with_digest(location: str, digest: str) -> str:
    """Return where an upload is closed: its location, which may hold a query already, and the digest."""
    parts = urlsplit(location)
    return parts._replace(query="&".join(filter(None, (parts.query, urlencode({"digest": digest}))))).geturl()


def fill(buffer: memoryview, content: BlobReader) -> int:
    """Read until the buffer is full or the content at its end; return the number of bytes."""
    filled = 0
    while filled < len(buffer) and (count := content.readinto(buffer[filled:])):
        filled += count
    return filled


def _named(repository: str, identifier: str) -> str:
    return f"{repository}@{identifier}" if is_digest(identifier) else f"{repository}:{identifier}"


def _media_type(answer: Answer) -> str:
    return answer.headers.get("Content-Type", "").partition(";")[0].strip()
