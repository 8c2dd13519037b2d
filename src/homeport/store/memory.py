"""A store that forgets: for tests and demonstrations."""

import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from homeport.errors import ContentError, UploadTakenError
from homeport.oci.digest import check_digest, hasher_for, is_digest, matches
from homeport.oci.manifest import RawManifest
from homeport.store.names import check_fixed, check_repository, check_tag
from homeport.store.protocol import always, never
from homeport.store.recent_blobs import LARGEST


class _Repository:
    def __init__(self) -> None:
        self.blobs: set[str] = set()
        self.manifests: dict[str, RawManifest] = {}
        self.tags: dict[str, str] = {}
        self.referrers: dict[str, set[str]] = {}


class _Session:
    def __init__(self) -> None:
        self.data = bytearray()
        self.writer: _MemoryUpload | None = None


class MemoryStore:
    """A `Store` in memory."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._content: dict[str, bytes] = {}
        self._repositories: dict[str, _Repository] = {}
        self._uploads: dict[tuple[str, str], _Session] = {}

    def open_blob(self, repository: str, digest: str) -> "_MemoryBlob | None":
        """Open a blob that the repository holds."""
        with self._lock:
            held = check_digest(digest) in self._at(repository).blobs
            return _MemoryBlob(self._content[digest]) if held else None

    def link_blob(self, repository: str, digest: str, source: str) -> bool:
        """Let a repository hold a blob of another one too."""
        with self._lock:
            if check_digest(digest) not in self._at(source).blobs:
                return False
            self._make(repository).blobs.add(digest)
            return True

    def holders(self, digest: str) -> Iterator[str]:
        """Yield the repositories that hold a blob."""
        with self._lock:
            yield from [name for name, place in self._repositories.items() if check_digest(digest) in place.blobs]

    def delete_blob(self, repository: str, digest: str) -> bool:
        """Take a blob from one repository."""
        with self._lock:
            blobs = self._at(repository).blobs
            held = check_digest(digest) in blobs
            blobs.discard(digest)
            return held

    def start_upload(self, repository: str) -> str:
        """Open an upload and return its id."""
        session = uuid.uuid4().hex
        with self._lock:
            self._uploads[check_repository(repository), session] = _Session()
        return session

    def open_upload(self, repository: str, session: str) -> "_MemoryUpload | None":
        """Go on with an upload; an earlier writer loses it."""
        with self._lock:
            state = self._uploads.get((check_repository(repository), session))
            finish = partial(self._finish, repository, session)
            return _MemoryUpload(state, self._lock, finish) if state else None

    def upload_size(self, repository: str, session: str) -> int | None:
        """Return how many bytes an upload has received."""
        with self._lock:
            state = self._uploads.get((check_repository(repository), session))
            return len(state.data) if state else None

    def cancel_upload(self, repository: str, session: str) -> bool:
        """End an upload and drop its bytes."""
        with self._lock:
            state = self._uploads.pop((check_repository(repository), session), None)
            if state:
                state.writer = None
            return state is not None

    def put_manifest(
        self,
        repository: str,
        manifest: RawManifest,
        *,
        tags: Iterable[str] = (),
        needs: Iterable[str] = (),
        subject: str | None = None,
        fixed: Callable[[str], bool] = never,
    ) -> Sequence[str]:
        """Store a manifest, then point tags at it."""
        names = [check_tag(tag) for tag in tags]
        with self._lock:
            missing = [digest for digest in needs if check_digest(digest) not in self._at(repository).blobs]
            if missing:
                return missing
            for name in filter(fixed, names):
                check_fixed(name, self._at(repository).tags.get(name), manifest.digest)
            place = self._make(repository)
            if subject:
                place.referrers.setdefault(check_digest(subject), set()).add(manifest.digest)
            place.manifests[check_digest(manifest.digest)] = manifest
            place.tags.update(dict.fromkeys(names, manifest.digest))
            return ()

    def get_manifest(self, repository: str, identifier: str) -> RawManifest | None:
        """Return a manifest."""
        with self._lock:
            place = self._at(repository)
            digest = identifier if is_digest(identifier) else place.tags.get(check_tag(identifier), "")
            return place.manifests.get(digest)

    manifest_now = get_manifest

    def delete_manifest(self, repository: str, digest: str, *, fixed: Callable[[str], bool] = never) -> bool:
        """Delete a manifest and with it all its tags."""
        with self._lock:
            place = self._at(repository)
            for tag in (tag for tag, named in place.tags.items() if named == digest and fixed(tag)):
                check_fixed(tag, digest, "")
            place.tags = {tag: named for tag, named in place.tags.items() if named != digest}
            return place.manifests.pop(check_digest(digest), None) is not None

    def delete_tag(self, repository: str, tag: str) -> bool:
        """Delete a tag and leave its manifest."""
        with self._lock:
            return self._at(repository).tags.pop(check_tag(tag), None) is not None

    def tags(self, repository: str, *, after: str = "", limit: int) -> list[str] | None:
        """Return up to `limit` tags that sort after a text."""
        with self._lock:
            place = self._at(repository)
            return sorted(tag for tag in place.tags if tag > after)[:limit] if place.manifests else None

    def repositories(self, *, after: str = "", limit: int, keep: Callable[[str], bool] = always) -> list[str]:
        """Return up to `limit` repositories that hold a manifest and sort after a text."""
        with self._lock:
            return sorted(
                name for name, place in self._repositories.items() if place.manifests and name > after and keep(name)
            )[:limit]

    def referrers(self, repository: str, subject: str) -> list[str]:
        """Return the digests of what refers to a digest in a repository."""
        with self._lock:
            place = self._at(repository)
            digests = sorted(place.referrers.get(check_digest(subject), ()))
            return [digest for digest in digests if digest in place.manifests]

    def _at(self, repository: str) -> _Repository:
        return self._repositories.get(check_repository(repository)) or _Repository()

    def _make(self, repository: str) -> _Repository:
        return self._repositories.setdefault(check_repository(repository), _Repository())

    def _finish(self, repository: str, session: str, content: bytes, digest: str) -> None:
        self.cancel_upload(repository, session)
        hasher = hasher_for(digest)
        hasher.update(content)
        if not matches(hasher, digest):
            raise ContentError(f"the content received is not {digest}")
        self._content[digest] = content
        self._make(repository).blobs.add(digest)


class _MemoryBlob:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self.size = len(content)

    def read(self, offset: int, length: int) -> bytes:
        return self._content[offset : offset + length]

    def read_into(self, buffer: memoryview, offset: int) -> bool:
        part = self._content[offset : offset + len(buffer)]
        buffer[: len(part)] = part
        return len(part) == len(buffer)

    def at_hand(self) -> bytes | None:
        return self._content if self.size == len(self._content) <= LARGEST else None

    def close(self) -> None:
        pass


class _MemoryUpload:
    def __init__(
        self, session: _Session, lock: AbstractContextManager[Any], finish: Callable[[bytes, str], None]
    ) -> None:
        self._session, self._lock, self._finish = session, lock, finish
        session.writer = self

    @property
    def offset(self) -> int:
        return len(self._session.data)

    def write(self, *data: bytes) -> None:
        with self._lock:
            self._check()
            self._session.data.extend(b"".join(data))

    def sync(self) -> None:
        with self._lock:
            self._check()

    def commit(self, digest: str) -> None:
        with self._lock:
            self._check()
            self._finish(bytes(self._session.data), digest)

    def close(self) -> None:
        with self._lock:
            if self._session.writer is self:
                self._session.writer = None

    def _check(self) -> None:
        if self._session.writer is not self:
            raise UploadTakenError("another request has taken this upload over")
