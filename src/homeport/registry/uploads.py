"""Uploads of blobs: whole in one request, anew after a cut, in pieces where a registry or a proxy wants it."""

import re
from contextlib import suppress
from urllib.parse import urlencode, urljoin, urlsplit

import msgspec

from homeport.errors import (
    AuthenticationError,
    ContentError,
    ForbiddenError,
    HomeportError,
    NotFoundError,
    RegistryError,
)
from homeport.oci.digest import is_digest
from homeport.oci.manifest import Descriptor
from homeport.oci.transfer import BlobReader, Upload
from homeport.registry.answers import not_a_registry
from homeport.registry.auth import pull_scope, push_scope
from homeport.registry.http import Answer, Ask, Host
from homeport.registry.transport import BLOCK, SILENCE_SECONDS

_SLOWEST_STORE = 10 << 20
"""Bytes a second at which a registry is trusted to check and store what it was sent, before it says so."""
_LARGEST_PIECE = 64 << 20
_PIECES_WANTED = frozenset({405, 413})
_RANGE = re.compile(r"(?:bytes=)?0-(\d+)")


class _Session(msgspec.Struct, frozen=True):
    """An upload that a registry has opened; `least` is the smallest piece that it takes, in bytes."""

    location: str
    least: int = 0


class Uploads:
    """Brings blobs to one registry."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def start(self, repository: str, digest: str, mount_from: str | None) -> Upload | None:
        """Open an upload, or mount the blob from another repository: then None comes back."""
        if mount_from is not None:
            query = {"mount": digest, "from": mount_from}
            # Who may not read there gets nothing mounted, and uploads the blob.
            with suppress(AuthenticationError, ForbiddenError, NotFoundError):
                session = self._open(repository, query, pull_scope(mount_from))
                return Upload(session.location) if session else None
        session = self._open(repository)
        return Upload(session.location) if session else None

    def put(self, repository: str, blob: Descriptor, content: BlobReader, upload: Upload) -> None:
        """Stream content into an upload and close it."""
        locations = [upload.location]

        def once() -> None:
            if not locations:
                content.rewind()
                locations.append(self._reopen(repository).location)
            self._put_whole(repository, blob, content, locations.pop())

        try:
            self._host.pace.run(once)
        except RegistryError as error:
            if error.status not in _PIECES_WANTED:
                raise
            content.rewind()
            self._put_pieces(repository, blob, content)

    def _open(self, repository: str, query: dict[str, str] | None = None, *scopes: str) -> _Session | None:
        ask = Ask(
            "POST",
            f"/v2/{repository}/blobs/uploads/" + (f"?{urlencode(query)}" if query else ""),
            f"upload to {repository}",
            repository=repository,
            scopes=(push_scope(repository), *scopes),
            expected=frozenset({201, 202} if query else {202}),
        )
        return self._host.request(ask, self._read_opened)

    def _reopen(self, repository: str) -> _Session:
        session = self._open(repository)
        if session is None:
            raise not_a_registry(self._host.name, f"POST upload to {repository}", "no upload")
        return session

    def _read_opened(self, answer: Answer) -> _Session | None:
        if answer.status == 201:
            return None
        least = answer.headers.get("OCI-Chunk-Min-Length", "")
        return _Session(self._location(answer), int(least) if least.isdigit() else 0)

    def _location(self, answer: Answer) -> str:
        location = answer.headers.get("Location")
        if not location:
            raise not_a_registry(self._host.name, "upload", "an answer without a Location")
        return urljoin(answer.url, location)

    def _put_whole(self, repository: str, blob: Descriptor, content: BlobReader, location: str) -> None:
        ask = _closing(repository, blob, location, blob.size, UploadBody(content, self._host))
        with self._host.attempt(ask) as answer:
            check_stored(answer, self._host.name, blob.digest)

    def _put_pieces(self, repository: str, blob: Descriptor, content: BlobReader) -> None:
        session = self._reopen(repository)
        location, offset = session.location, 0
        buffer = memoryview(bytearray(min(max(BLOCK, session.least), _LARGEST_PIECE)))
        while offset < blob.size:
            count = fill(buffer, content)
            location = self._patch(repository, location, bytes(buffer[:count]), offset)
            offset += count
        ask = _closing(repository, blob, location, 0, None)
        self._host.request(ask, lambda answer: check_stored(answer, self._host.name, blob.digest))

    def _patch(self, repository: str, location: str, piece: bytes, offset: int) -> str:
        """Send a piece; return where the next one goes."""
        last = offset + len(piece) - 1
        ask = Ask(
            "PATCH",
            location,
            f"bytes {offset} to {last} of a blob to {repository}",
            repository=repository,
            scopes=(push_scope(repository),),
            expected=frozenset({201, 202, 204, 416}),
            headers={
                "Content-Type": "application/octet-stream",
                "Content-Range": f"{offset}-{last}",
                "Content-Length": str(len(piece)),
            },
            body=piece,
            lane="upload",
        )
        following = self._host.request(ask, lambda answer: None if answer.status == 416 else self._location(answer))
        self._host.sent(len(piece))
        return following or self._caught_up(repository, location, last)

    def _caught_up(self, repository: str, location: str, last: int) -> str:
        """Ask where an upload is that refuses a piece: it may have it already, from a try whose answer was lost."""
        ask = Ask(
            "GET",
            location,
            f"upload to {repository}",
            repository=repository,
            scopes=(push_scope(repository),),
            expected=frozenset({204}),
        )
        reached, following = self._host.request(
            ask, lambda answer: (_RANGE.fullmatch(answer.headers.get("Range", "")), self._location(answer))
        )
        if reached is None or int(reached[1]) != last:
            raise RegistryError(
                f"{self._host.name}: upload to {repository}: it is at byte {reached[1] if reached else 0}, not {last}",
                host=self._host.name,
                hint="The registry lost a piece; run the same command again.",
            )
        return following


class UploadBody:
    """Content as the body of a request: one buffer, sent before it is filled again."""

    def __init__(self, content: BlobReader, host: Host) -> None:
        self._content, self._host = content, host
        self._buffer = memoryview(bytearray(BLOCK))
        self.failure: HomeportError | None = None
        """The error that came from the content, to tell it from one of the target."""

    def read(self, amount: int, /) -> memoryview:
        """Return the next bytes, nothing at the end."""
        try:
            count = self._content.readinto(self._buffer[:amount])
        except HomeportError as error:
            self.failure = error
            raise
        self._host.sent(count)
        return self._buffer[:count]


def check_stored(answer: Answer, registry: str, digest: str) -> None:
    """Make sure that a registry stored what it was sent, as far as it says; raises ContentError."""
    stored = answer.headers.get("Docker-Content-Digest", digest)
    if is_digest(stored) and stored.partition(":")[0] == digest.partition(":")[0] and stored != digest:
        raise ContentError(
            f"{registry}: {digest} was sent, and {stored} is what was stored",
            hint="The registry, or a proxy before it, changes content; digests would not be those of the source.",
        )


def fill(buffer: memoryview, content: BlobReader) -> int:
    """Read until the buffer is full or the content at its end; return the number of bytes."""
    filled = 0
    while filled < len(buffer) and (count := content.readinto(buffer[filled:])):
        filled += count
    return filled


def _closing(repository: str, blob: Descriptor, location: str, length: int, body: UploadBody | None) -> Ask:
    """Make the PUT that ends an upload; its location may hold a query already."""
    parts = urlsplit(location)
    query = "&".join(filter(None, (parts.query, urlencode({"digest": blob.digest}))))
    return Ask(
        "PUT",
        parts._replace(query=query).geturl(),
        f"blob {repository}@{blob.digest}",
        repository=repository,
        scopes=(push_scope(repository),),
        expected=frozenset({201, 204}),
        headers={"Content-Type": "application/octet-stream", "Content-Length": str(length)},
        body=body,
        lane="upload",
        silence=SILENCE_SECONDS + blob.size / _SLOWEST_STORE,
    )
