"""Other places that have the content of a registry: what a digest names may come from anywhere, as it is verified.

What a tag means is asked of the origin alone, by HEAD, which limited registries do not count.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import msgspec

from homeport.errors import ContentError, HomeportError, NotFoundError, RegistryError, UsageError
from homeport.mapping import Target
from homeport.mirror.ports import NOTHING, Begun, BlobReader, ManifestHead, Source
from homeport.oci.digest import hasher_for, is_digest
from homeport.oci.manifest import Descriptor, RawManifest

_BUFFER = 1 << 16


class Place(msgspec.Struct, frozen=True):
    """A mirror: a source, and the path below which it has the repositories of the origin."""

    source: Source
    path: str = ""

    def repository(self, origin: str) -> str:
        """Return what a repository of the origin is called here."""
        return f"{self.path}/{origin}" if self.path else origin


Mirrors = Callable[[str], Sequence[Place]]
"""Returns the mirrors of a registry, in the order in which they are asked."""


class MirroredSource:
    """A source of which content comes from its mirrors, and from itself where these have it not, or not right."""

    def __init__(self, origin: Source, mirrors: Sequence[Place]) -> None:
        self._origin = origin
        self._mirrors = list(mirrors)
        self._lock = threading.Lock()

    @property
    def is_local(self) -> bool:
        """Whether it is read from this machine."""
        return self._origin.is_local

    def head_manifest(self, repository: str, identifier: str) -> ManifestHead | None:
        """Ask the origin what a tag means."""
        return self._origin.head_manifest(repository, identifier)

    def get_manifest(self, repository: str, identifier: str) -> RawManifest:
        """Fetch a manifest by its digest from a mirror, or from the origin."""
        for mirror in self._asked() if is_digest(identifier) else ():
            try:
                return mirror.source.get_manifest(mirror.repository(repository), identifier)
            except (RegistryError, ContentError) as error:
                self._drop(mirror, error)
        return self._origin.get_manifest(repository, identifier)

    @contextmanager
    def open_blob(self, repository: str, blob: Descriptor, begun: Begun = NOTHING, /) -> Iterator[BlobReader]:
        """Stream a blob from a mirror, and from the origin what is missing of it then."""
        with ExitStack() as stack:

            def way(source: Source, name: str) -> Callable[[], BlobReader]:
                own = Begun(begun.offset, begun.hasher and begun.hasher.copy())  # each goes on hashing from there
                return lambda: stack.enter_context(source.open_blob(name, blob, own))

            ways = [way(mirror.source, mirror.repository(repository)) for mirror in self._asked()]
            ways.append(way(self._origin, repository))
            yield ways[0]() if len(ways) == 1 else _Ways(ways, blob)

    def referrers(self, repository: str, digest: str) -> tuple[Descriptor, ...] | None:
        """List referrers that the origin knows."""
        return self._origin.referrers(repository, digest)

    def tags(self, repository: str) -> Iterable[str]:
        """List the origin's tags."""
        return self._origin.tags(repository)

    def _asked(self) -> list[Place]:
        with self._lock:
            return list(self._mirrors)

    def _drop(self, mirror: Place, error: HomeportError) -> None:
        """Leave a mirror alone that fails, rather than has not what was asked for."""
        if not isinstance(error, NotFoundError):
            with self._lock:
                self._mirrors = [each for each in self._mirrors if each is not mirror]


class _Ways:
    """A blob that is read on from the next place where one fails; what was handed out must be the same there."""

    def __init__(self, ways: Sequence[Callable[[], BlobReader]], blob: Descriptor) -> None:
        self._rest = list(ways)
        self._blob = blob
        self._reader: BlobReader | None = None
        self._hasher, self._count = hasher_for(blob.digest), 0

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the buffer from its start; return the number of bytes, 0 at the end."""
        while True:
            try:
                self._reader = self._reader or self._next()
                count = self._reader.readinto(buffer)
            except (RegistryError, ContentError):
                if not self._rest:
                    raise
                self._reader = None
                continue
            self._hasher.update(buffer[:count])
            self._count += count
            return count

    def seek(self, offset: int, /) -> None:
        """Go back; from then on what was handed out is not known here, so there is no other way any more."""
        self._rest.clear()
        if self._reader:
            self._reader.seek(offset)

    def _next(self) -> BlobReader:
        """Open the blob at the next place, and see that what was handed out already is the same there."""
        reader = self._rest.pop(0)()
        hasher, left, buffer = hasher_for(self._blob.digest), self._count, memoryview(bytearray(_BUFFER))
        while left and (count := reader.readinto(buffer[: min(left, len(buffer))])):
            hasher.update(buffer[:count])
            left -= count
        if hasher.hexdigest() != self._hasher.hexdigest():
            raise ContentError(
                f"a mirror gave other bytes for {self._blob.digest} than the registry itself",
                hint="Nothing of it was kept. Leave that mirror out and run again.",
            )
        return reader


def parse_mirrors(texts: Iterable[str]) -> dict[str, tuple[Target, ...]]:
    """Read ``NAME=REGISTRY[/PATH]``: where a registry's content is to be had too; raises UsageError."""
    found: dict[str, tuple[Target, ...]] = {}
    for text in texts:
        name, equals, place = text.partition("=")
        if not name or not equals or not place:
            raise UsageError(
                f"{text!r} does not name a mirror", hint="Write NAME=REGISTRY[/PATH], as in docker.io=mirror.gcr.io."
            )
        found[name] = (*found.get(name, ()), Target.parse(place))
    return found


def mirrors_of(places: dict[str, tuple[Target, ...]], client: Callable[[str], Source]) -> Mirrors:
    """Return the mirrors of each registry, reached by its client."""
    return lambda registry: [Place(client(place.registry), place.path) for place in places.get(registry, ())]
