"""Uploads of blobs: whole in one request, from where they were cut, in pieces where a registry or a proxy wants it."""

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
    UnreachableError,
)
from homeport.oci.digest import is_digest
from homeport.oci.manifest import Descriptor
from homeport.oci.transfer import BlobReader, Upload
from homeport.registry.answers import not_a_registry
from homeport.registry.auth import pull_scope, push_scope
from homeport.registry.http import Answer, Ask, Host
from homeport.registry.retry import Transient
from homeport.registry.transport import BLOCK, SILENCE_SECONDS

_SLOWEST_STORE = 10 << 20
"""Bytes a second at which a registry is trusted to check and store what it was sent, before it says so."""
_LARGEST_PIECE = 64 << 20
_ANNOUNCED_SECONDS = 5.0
"""How long whoever does not know Expect may say nothing."""
_PIECES_WANTED = frozenset({405, 413})
_RANGE = re.compile(r"(?:bytes[= ])?0-(\d{1,18})(?:/.*)?")
_SPOILT = frozenset({400, 404, 409, 410, 416})
"""Answers to the end of an upload that went on after a cut which say that it cannot: a new one may do."""
_LOST = frozenset({404, 410, 416})
"""Those that say so of any upload: the registry has forgotten it, perhaps in a restart."""


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

    def find(self, repository: str, upload: Upload) -> Upload | None:
        """Ask how far an upload has come, and where it goes on; None where the registry has forgotten it, or does not say."""
        ask = Ask(
            "GET",
            upload.location,
            f"upload to {repository}",
            repository=repository,
            scopes=(push_scope(repository),),
            expected=frozenset({200, 202, 204}),
        )
        try:
            return self._host.request(ask, lambda answer: _reached(answer, upload))
        except UnreachableError:
            raise
        except RegistryError:
            return None

    def has(self, repository: str, digest: str) -> bool:
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

    def put(self, repository: str, blob: Descriptor, content: BlobReader, upload: Upload) -> None:
        """Stream content, which stands at the upload's offset, into an upload and close it; a cut one goes on where it was."""
        sending = _Sending(self, repository, blob, content, upload)
        try:
            self._host.pace.run(sending.once, lambda: sending.reached)
        except RegistryError as error:
            if error.status not in _PIECES_WANTED:
                raise
            content.seek(0)
            self.put_pieces(repository, blob, content)

    def announce(self, repository: str, blob: Descriptor, upload: Upload) -> int:
        """Ask whether a blob of that size would be taken in one request; return the status, 100 where it would be."""
        ask = _closing(repository, blob, upload, None)
        return self._host.announce(msgspec.structs.replace(ask, silence=_ANNOUNCED_SECONDS))

    def cancel(self, repository: str, upload: Upload) -> None:
        """Let a registry forget an upload, if it does that."""
        scopes = (push_scope(repository),)
        ask = Ask("DELETE", upload.location, f"upload to {repository}", repository=repository, scopes=scopes)
        with suppress(RegistryError):
            self._host.request(msgspec.structs.replace(ask, expected=frozenset({200, 202, 204})), lambda _: None)

    def body(self, content: BlobReader, length: int) -> "UploadBody":
        """Make content of some bytes the body of a request, which is counted."""
        return UploadBody(content, self._host, length)

    def put_rest(self, repository: str, blob: Descriptor, body: "UploadBody", upload: Upload) -> None:
        """Send what an upload lacks in one request, and close it. Raises Transient, RegistryError."""
        ask = _closing(repository, blob, upload, body)
        with self._host.attempt(ask) as answer:
            check_stored(answer, self._host.name, blob.digest)

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

    def reopen(self, repository: str) -> _Session:
        """Open another upload."""
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

    def put_pieces(self, repository: str, blob: Descriptor, content: BlobReader, size: int = BLOCK) -> None:
        """Send content in pieces of some bytes, or of as many as the registry wants at least."""
        session = self.reopen(repository)
        location, offset = session.location, 0
        buffer = memoryview(bytearray(min(max(size, session.least), _LARGEST_PIECE)))
        while offset < blob.size:
            piece = bytes(buffer[: fill(buffer, content)])
            while piece:
                upload = self._patch(repository, location, piece, offset)
                piece = piece[upload.offset - offset :]
                location, offset = upload.location, upload.offset
        ask = _closing(repository, blob, Upload(location, offset), None)
        self._host.request(ask, lambda answer: check_stored(answer, self._host.name, blob.digest))

    def _patch(self, repository: str, location: str, piece: bytes, offset: int) -> Upload:
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
        return Upload(following, last + 1) if following else self._caught_up(repository, location, offset, last)

    def _caught_up(self, repository: str, location: str, first: int, last: int) -> Upload:
        """Ask where an upload is that refuses a piece: it may have it already, or a part, from a try that was cut."""
        found = self.find(repository, Upload(location))
        if found is None or not first < found.offset <= last + 1:
            at = max(found.offset - 1, 0) if found else 0
            raise RegistryError(
                f"{self._host.name}: upload to {repository}: it is at byte {at}, not {last}",
                host=self._host.name,
                hint="The registry lost a piece; run the same command again.",
            )
        return found


class _Sending:
    """One blob on its way into an upload: where a connection breaks, it goes on at the offset that the registry names."""

    def __init__(
        self, uploads: "Uploads", repository: str, blob: Descriptor, content: BlobReader, upload: Upload
    ) -> None:
        self._uploads = uploads
        self._repository, self._blob, self._content = repository, blob, content
        self._upload = upload
        self._sent = upload.offset
        self._begun = self._is_spoilt = self._is_anew = False
        self._refused_at = self._misplaced_at = -1
        self.reached = upload.offset
        """How many bytes the registry is known to have."""

    def once(self) -> None:
        """Send what the registry lacks; raises Transient where asking again may help."""
        if self._begun and not self._go_on():
            return
        self._begun = True
        body = self._uploads.body(self._content, self._blob.size)
        try:
            self._uploads.put_rest(self._repository, self._blob, body, self._upload)
        except Transient as failure:
            self._check_refusal(failure)
            raise
        except RegistryError as error:
            raise self._second_chance(error, body) from error
        finally:
            self._sent = self._upload.offset + body.count

    def _go_on(self) -> bool:
        """Find the place to go on at; False where all had arrived, and only the answer was lost."""
        found = None if self._is_spoilt else self._uploads.find(self._repository, self._upload)
        if found and 1 < found.offset <= self._sent:
            self._upload, self.reached = found, max(self.reached, found.offset)
            self._content.seek(found.offset)
            return True
        if self._sent == self._blob.size and self._uploads.has(self._repository, self._blob.digest):
            return False
        self._content.seek(0)
        self._upload, self._is_spoilt = Upload(self._uploads.reopen(self._repository).location), False
        return True

    def _second_chance(self, error: RegistryError, body: "UploadBody") -> Exception:
        """Return what to raise: a new upload may do what this one cannot."""
        spoilt = _SPOILT if self._upload.offset else _LOST
        if error is body.failure or self._is_anew or error.status not in spoilt:
            return error
        if error.status == 416 and self._upload.offset and self._misplaced_at != self.reached:
            # It was still taking in what had come before the cut: by now it knows a later offset.
            self._misplaced_at = self.reached
            return Transient(error)
        self._is_spoilt = self._is_anew = True
        return Transient(error, 0.0)

    def _check_refusal(self, failure: Transient) -> None:
        """A token that ran out meanwhile is renewed once; a refusal of the fresh one is an answer."""
        if isinstance(failure.error, AuthenticationError):
            if self._refused_at == self.reached:
                raise failure.error
            self._refused_at = self.reached


class UploadBody:
    """Content as the body of a request: one buffer, sent before it is filled again."""

    def __init__(self, content: BlobReader, host: Host, length: int) -> None:
        self._content, self._host = content, host
        self._buffer = memoryview(bytearray(min(max(length, 1), BLOCK)))
        self.count = 0
        """How many bytes were sent, or are about to be."""
        self.failure: HomeportError | None = None
        """The error that came from the content, to tell it from one of the target."""

    def read(self, amount: int, /) -> memoryview:
        """Return the next bytes, nothing at the end."""
        try:
            count = self._content.readinto(self._buffer[:amount])
        except HomeportError as error:
            self.failure = error
            raise
        self.count += count
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


def _reached(answer: Answer, upload: Upload) -> Upload | None:
    """Read the status of an upload. ``0-0`` is said of an empty one too, so that one byte is as good as none."""
    reached = _RANGE.fullmatch(answer.headers.get("Range", "").strip())
    if reached is None:
        return None
    last = int(reached[1])
    return Upload(urljoin(answer.url, answer.headers.get("Location") or upload.location), last + 1 if last else 0)


def _closing(repository: str, blob: Descriptor, upload: Upload, body: UploadBody | None) -> Ask:
    """Make the PUT that ends an upload, with what it lacks; its location may hold a query already."""
    parts = urlsplit(upload.location)
    query = "&".join(filter(None, (parts.query, urlencode({"digest": blob.digest}))))
    left = blob.size - upload.offset
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(left)}
    if upload.offset and left:
        headers["Content-Range"] = f"{upload.offset}-{blob.size - 1}"
    return Ask(
        "PUT",
        parts._replace(query=query).geturl(),
        f"blob {repository}@{blob.digest}",
        repository=repository,
        scopes=(push_scope(repository),),
        expected=frozenset({201, 204}),
        headers=headers,
        body=body if left else None,
        lane="upload",
        silence=SILENCE_SECONDS + blob.size / _SLOWEST_STORE,
    )
