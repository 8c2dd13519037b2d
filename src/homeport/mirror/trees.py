"""What is below a manifest: its children and blobs, each fetched once and brought before what names it."""

from functools import partial
from itertools import chain

from homeport.errors import ContentError
from homeport.mirror.blobs import BlobScheduler, Place
from homeport.mirror.platforms import MAX_DEPTH, check_one_platform, wanted_children
from homeport.mirror.ports import Target
from homeport.mirror.workers import Flights, Workers
from homeport.oci.manifest import Manifest, RawManifest, parse_manifest


class Trees:
    """Brings manifests with everything that they name; any number of threads may use it."""

    def __init__(
        self,
        target: Target,
        workers: Workers,
        blobs: BlobScheduler,
        platforms: tuple[str, ...],
        *,
        one_platform: bool = False,
    ) -> None:
        """With `one_platform` an image of several is refused before any of its blobs is asked for."""
        self._target, self._workers, self._blobs, self._platforms = target, workers, blobs, platforms
        self._one_platform = one_platform
        self._learned: Flights[tuple[str, str], RawManifest | None] = Flights()
        self._brought: Flights[tuple[str, str], RawManifest] = Flights()
        self._pushed: Flights[tuple[str, str], None] = Flights()

    def bring_once(self, place: Place, digest: str, found: RawManifest | None, *, is_sparse: bool) -> RawManifest:
        """Return a manifest with all below it at the target; one that was `found` there may lack some platforms: `is_sparse`."""

        def bring() -> RawManifest:
            if found is None:
                return self.bring(place, digest)
            if is_sparse:
                self._below(place, parse_manifest(found))
            return found

        return self._brought.do((place.repository, digest), bring)

    def bring(self, place: Place, digest: str) -> RawManifest:
        """Bring everything below a manifest and return it, not yet pushed: a tag comes last."""
        raw = self.fetch(place, digest)
        self._below(place, parse_manifest(raw))
        return raw

    def fetch(self, place: Place, digest: str) -> RawManifest:
        """Return a manifest, of the source unless the target is known to have it."""
        fetch = partial(place.source.get_manifest, place.origin, digest)
        return self._learned.do((place.repository, digest), fetch) or self._target.get_manifest(
            place.repository, digest
        )

    def _below(self, place: Place, manifest: Manifest, depth: int = 0) -> None:
        """Bring what a manifest names: blobs, then the children that name them."""
        if depth > MAX_DEPTH:
            raise ContentError(f"{place.origin}: indexes are nested more than {MAX_DEPTH} deep")
        wanted = wanted_children(manifest, self._platforms)
        if self._one_platform:
            check_one_platform(place.origin, wanted)
        digests = dict.fromkeys(child.digest for child in wanted)
        learned = self._workers.map(partial(self._learn, place), digests)
        children = [(raw, parse_manifest(raw)) for raw in learned if raw]
        blobs = chain.from_iterable(named.blobs for named in (manifest, *(child for _, child in children)))
        pushes = []
        with self._blobs.claim(place, blobs) as claims:
            for raw, child in children:
                if child.children:
                    self._below(place, child, depth + 1)
                claims.wait(child.blobs)
                pushes.append(self._workers.submit(partial(self._push, place, raw)))
            claims.wait(manifest.blobs)
        for push in pushes:
            push.result()

    def _learn(self, place: Place, digest: str) -> RawManifest | None:
        """Fetch a child, unless the target has it: a HEAD there is free, a GET at the source counts."""

        def ask() -> RawManifest | None:
            if not place.is_new and self._target.head_manifest(place.repository, digest):
                return None
            return place.source.get_manifest(place.origin, digest)

        return self._learned.do((place.repository, digest), ask)

    def _push(self, place: Place, raw: RawManifest) -> None:
        push = partial(self._target.put_manifest, place.repository, raw.digest, raw)
        self._pushed.do((place.repository, raw.digest), push)
