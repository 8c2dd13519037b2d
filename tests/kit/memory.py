"""A registry in memory: source and target at once, which counts what it is asked and can be told to misbehave."""

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from homeport.errors import ContentError, NotFoundError, RegistryError, UnknownNameError, UnreachableError
from homeport.mirror.ports import NOTHING, Begun, BlobReader, ManifestHead, Upload
from homeport.oci.digest import digest_of, is_digest
from homeport.oci.manifest import Descriptor, RawManifest, parse_manifest


class Call(msgspec.Struct, frozen=True):
    """One request that a registry got."""

    verb: str
    repository: str
    what: str

    def __str__(self) -> str:
        return f"{self.verb} {self.repository} {self.what}"


class MemoryRegistry:
    """Holds content in dictionaries and, if it `validates`, refuses manifests whose parts are missing, as distribution does.

    `trouble` is asked before each answer: it may raise, wait for an event, or look; an UnreachableError at "KEEP blob"
    is a connection that breaks at the end of an upload. `lies` replaces a blob's bytes.
    """

    is_local = False

    def __init__(self, host: str = "source.example", *, mounts: bool = True, validates: bool = True) -> None:
        self.host = host
        self.mounts = mounts
        self.validates = validates
        self.calls: list[Call] = []
        self.trouble: Callable[[Call], None] = lambda _call: None
        self.lies: dict[str, bytes] = {}
        self.manifests: dict[str, dict[str, RawManifest]] = defaultdict(dict)
        self.tagged: dict[str, dict[str, str]] = defaultdict(dict)
        self.lists_referrers = True
        self.lists_tags = True
        self.knows_names = False
        """Whether it tells a repository without manifests from one that lacks a manifest; distribution does not."""
        self.blobs: dict[str, dict[str, bytes]] = defaultdict(dict)
        self.uploads: dict[str, bytearray] = {}
        self.keeps_uploads = True
        self._lock = threading.Lock()

    @property
    def counted_pulls(self) -> int:
        """Manifest GETs, as Docker Hub counts them."""
        return self.count("GET manifest")

    def count(self, *verbs: str) -> int:
        """Return how often it was asked, of some verbs or in all."""
        tally = Counter(call.verb for call in self.calls)
        return sum(tally[verb] for verb in verbs) if verbs else tally.total()

    def forget_calls(self) -> None:
        """Start counting anew."""
        self.calls.clear()

    def head_manifest(self, repository: str, identifier: str) -> ManifestHead | None:
        self._enter("HEAD manifest", repository, identifier)
        raw = self._manifest(repository, identifier)
        return ManifestHead(raw.digest, raw.media_type, len(raw.body)) if raw else None

    def get_manifest(self, repository: str, identifier: str) -> RawManifest:
        self._enter("GET manifest", repository, identifier)
        raw = self._manifest(repository, identifier)
        if raw is None:
            raise NotFoundError(f"{self.host} has no {repository} {identifier}", host=self.host, status=404)
        return raw

    def find_manifest(self, repository: str, digest: str) -> RawManifest | None:
        self._enter("GET manifest", repository, digest)
        if self.knows_names and not self.manifests[repository]:
            raise UnknownNameError(f"{self.host} has no {repository}", host=self.host, status=404)
        return self._manifest(repository, digest)

    @contextmanager
    def open_blob(self, repository: str, blob: Descriptor, begun: Begun = NOTHING, /) -> Iterator[BlobReader]:
        self._enter("GET blob", repository, blob.digest)
        data = self.lies.get(blob.digest) or self.blobs[repository].get(blob.digest)
        if data is None:
            raise NotFoundError(f"{self.host} has no blob {blob.digest}", host=self.host, status=404)
        reader = _VerifiedReader(
            data,
            blob,
            look=lambda: self._trouble("READ blob", repository, blob.digest),
            again=lambda: self._enter("GET blob", repository, blob.digest),
            begun=begun,
        )
        yield reader

    def referrers(self, repository: str, digest: str) -> tuple[Descriptor, ...] | None:
        self._enter("GET referrers", repository, digest)
        if not self.lists_referrers:
            return None
        named = [(raw, parse_manifest(raw)) for raw in self.manifests[repository].values()]
        return tuple(
            Descriptor(raw.media_type, raw.digest, len(raw.body))
            for raw, manifest in named
            if manifest.subject and manifest.subject.digest == digest
        )

    def tags(self, repository: str) -> list[str]:
        self._enter("GET tags", repository, "")
        if not self.lists_tags:
            raise RegistryError(f"{self.host}: tags of {repository}: denied", host=self.host, status=403)
        return list(self.tagged[repository])

    def put_manifest(self, repository: str, identifier: str, manifest: RawManifest) -> None:
        self._enter("PUT manifest", repository, identifier)
        named = parse_manifest(manifest)
        with self._lock:
            missing = [blob.digest for blob in named.blobs if blob.digest not in self.blobs[repository]]
            missing += [child.digest for child in named.children if child.digest not in self.manifests[repository]]
            if missing and self.validates:
                raise RegistryError(f"{self.host}: manifest names unknown {missing}", host=self.host, status=400)
            self.manifests[repository][manifest.digest] = manifest
            if not is_digest(identifier):
                self.tagged[repository][identifier] = manifest.digest

    def has_blob(self, repository: str, digest: str) -> bool:
        self._enter("HEAD blob", repository, digest)
        return digest in self.blobs[repository]

    def start_blob(self, repository: str, digest: str, *, mount_from: str | None = None) -> Upload | None:
        self._enter("POST blob", repository, digest)
        with self._lock:
            data = self.blobs[mount_from].get(digest) if mount_from and self.mounts else None
            if data is None:
                return Upload(f"{repository} {digest}")
            self.blobs[repository][digest] = data
            return None

    def find_upload(self, repository: str, upload: Upload) -> Upload | None:
        self._enter("GET upload", repository, upload.location)
        if not self.keeps_uploads or upload.location not in self.uploads:
            return None
        return Upload(upload.location, len(self.uploads[upload.location]))

    def put_blob(self, repository: str, blob: Descriptor, content: BlobReader, upload: Upload) -> None:
        assert upload.location == f"{repository} {blob.digest}"
        self._enter("PUT blob", repository, blob.digest)
        received = self.uploads.setdefault(upload.location, bytearray())
        del received[upload.offset :]
        _read_all(content, received)
        try:
            self._trouble("KEEP blob", repository, blob.digest)
        except UnreachableError:
            content.seek(0)
            received.clear()
            _read_all(content, received)
        data = bytes(self.uploads.pop(upload.location))
        if digest_of(data, blob.digest.partition(":")[0]) != blob.digest:
            raise RegistryError(f"{self.host}: digest of the upload differs", host=self.host, status=400)
        with self._lock:
            self.blobs[repository][blob.digest] = data

    def _enter(self, verb: str, repository: str, what: str) -> None:
        self.calls.append(Call(verb, repository, what))
        self._trouble(verb, repository, what)

    def _trouble(self, verb: str, repository: str, what: str) -> None:
        self.trouble(Call(verb, repository, what))

    def _manifest(self, repository: str, identifier: str) -> RawManifest | None:
        with self._lock:
            digest = identifier if is_digest(identifier) else self.tagged[repository].get(identifier, "")
            return self.manifests[repository].get(digest)


class _VerifiedReader:
    """Hands the last bytes out only when all of them are what the digest names."""

    def __init__(
        self, data: bytes, blob: Descriptor, *, look: Callable[[], None], again: Callable[[], None], begun: Begun
    ) -> None:
        self._data = data
        self._look, self._again = look, again
        self._rest = memoryview(data)[begun.offset :]
        algorithm = blob.digest.partition(":")[0]
        self._true = len(data) == blob.size and digest_of(data, algorithm) == blob.digest
        if begun.hasher:
            prefix = f"{algorithm}:{begun.hasher.hexdigest()}"
            self._true = self._true and prefix == digest_of(data[: begun.offset], algorithm)
        self._name = blob.digest

    def seek(self, offset: int, /) -> None:
        if len(self._data) - len(self._rest) != offset:
            self._again()
        self._rest = memoryview(self._data)[offset:]

    def readinto(self, buffer: memoryview, /) -> int:
        self._look()
        count = min(len(buffer), len(self._rest))
        if count == len(self._rest) and not self._true:
            raise ContentError(f"blob {self._name} is not what its digest says")
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _read_all(content: BlobReader, received: bytearray) -> None:
    buffer = memoryview(bytearray(64 << 10))
    while count := content.readinto(buffer):
        received += buffer[:count]
