"""Fetch what images name before anything is brought, so that a plan knows it."""

import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial

import msgspec

from homeport.errors import ContentError, HomeportError
from homeport.mirror.kept import KeptManifests
from homeport.mirror.plan import Known, Seen
from homeport.mirror.platforms import MAX_DEPTH, wanted_children
from homeport.mirror.ports import Source, Target
from homeport.mirror.workers import Flights, Workers
from homeport.oci.manifest import Manifest, parse_manifest


def at_hand(images: Iterable[Seen], kept: KeptManifests | None, platforms: Sequence[str] = ()) -> Known:
    """Return what manifests of earlier runs tell of images that are to be brought; nothing is asked for."""
    manifests: dict[str, Manifest] = {}
    images = tuple(images)
    beside = {digest for seen in images for digest in (*seen.beside.certain, *seen.beside.others)}
    wanted = [seen.digest for seen in images if seen.digest and not (seen.error or seen.present or seen.at_target)]
    while kept and wanted:
        digest = wanted.pop()
        if digest in manifests or (raw := kept.get(digest)) is None:
            continue
        with suppress(ContentError):  # the run says what is wrong with it
            manifest = parse_manifest(raw)
            manifest = msgspec.structs.replace(manifest, children=wanted_children(manifest, platforms))
            manifests[digest] = manifest
            wanted += [child.digest for child in manifest.children]
    found = {digest for digest in beside if kept and kept.get(digest)}
    return Known(manifests, {}, frozenset(manifests) | found)


class Explorer:
    """Collects the manifests of images, but for those that the target has; several threads may use it."""

    def __init__(self, target: Target, workers: Workers, platforms: Sequence[str]) -> None:
        self._target, self._workers, self._platforms = target, workers, platforms
        self._there: Flights[tuple[str, str], bool] = Flights()
        self._fetched: Flights[tuple[str, str], Manifest] = Flights()
        self._lock = threading.Lock()
        self.known = Known({}, {})

    def explore(self, seen: Seen, source: Source) -> Seen:
        """Fetch what one image names; what fails is told as `mirror` would tell it."""
        if seen.error or seen.present or seen.at_target or not seen.digest:
            return seen
        try:
            self._explore(seen, source, seen.digest, 0)
        except HomeportError as error:
            return msgspec.structs.replace(seen, error=error.message, hint=error.hint)
        return seen

    def _explore(self, seen: Seen, source: Source, digest: str, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise ContentError(f"{seen.wanted.source}: indexes are nested more than {MAX_DEPTH} deep")
        origin, repository = seen.wanted.source.repository, seen.wanted.target.repository

        def fetch() -> Manifest:
            manifest = parse_manifest(source.get_manifest(origin, digest))
            return msgspec.structs.replace(manifest, children=wanted_children(manifest, self._platforms))

        manifest = self._fetched.do((repository, digest), fetch)
        with self._lock:
            self.known.manifests[digest] = manifest
        digests = list(dict.fromkeys(child.digest for child in manifest.children))
        there = self._workers.map(partial(self._is_there, repository, is_new=seen.is_new), digests)
        for child, is_there in zip(digests, there, strict=True):
            if not is_there:
                self._explore(seen, source, child, depth + 1)

    def _is_there(self, repository: str, digest: str, *, is_new: bool) -> bool:
        def ask() -> bool:
            return not is_new and self._target.head_manifest(repository, digest) is not None

        there = self._there.do((repository, digest), ask)
        with self._lock:
            self.known.there[repository, digest] = there
        return there
