"""Find everything that images name: their manifests, fetched, and where their blobs are."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import msgspec

from homeport.errors import ContentError, HomeportError
from homeport.mirror.companions import Companions, Finder
from homeport.mirror.job import Sources
from homeport.mirror.kept import KeptManifests, metered
from homeport.mirror.lock import Lock
from homeport.mirror.observer import Observer
from homeport.mirror.plan import Wanted
from homeport.mirror.platforms import MAX_DEPTH, wanted_children
from homeport.mirror.ports import Source
from homeport.mirror.resolve import moved, not_there
from homeport.mirror.result import ImageResult
from homeport.mirror.traffic import Meter, Patience
from homeport.mirror.workers import Flights, Workers
from homeport.oci.digest import is_digest
from homeport.oci.manifest import Descriptor, RawManifest, parse_manifest
from homeport.reference import Reference


class Tree(msgspec.Struct, frozen=True):
    """An image with all that it names, manifests and blobs by digest; and with what is about it, by digest or by tag."""

    reference: Reference
    source: Source
    root: RawManifest
    manifests: dict[str, RawManifest]
    blobs: dict[str, Descriptor]
    referrers: dict[str, RawManifest]
    tags: dict[Reference, RawManifest]
    note: str = ""


class Gathering:
    """Fetches the manifests of images, each once."""

    def __init__(
        self,
        sources: Sources,
        meter: Meter,
        workers: Workers,
        observer: Observer,
        *,
        platforms: Sequence[str] = (),
        kept: KeptManifests | None = None,
        referrers: bool = False,
        patience: bool = False,
        locked: Mapping[str, str] | None = None,
    ) -> None:
        self._find, self._meter, self._workers, self._observer = sources, meter, workers, observer
        self._platforms, self._kept = platforms, kept
        self._locked = locked
        self._patience = Patience(observer if patience else None)
        self._finder = Finder() if referrers else None
        self._sources: dict[str, Source] = {}
        self._lock = threading.Lock()
        self._fetched: Flights[tuple[str, str], RawManifest] = Flights()

    def gather(self, references: Iterable[Reference]) -> list[Tree | ImageResult]:
        """Return each image's tree, or what kept it from being read."""
        return self._workers.map(self._tree, references)

    def content_of(self, locks: Iterable[Lock]) -> tuple[dict[str, list[str]], list[str]]:
        """Return all blobs that the images of locks had, by digest with the names of those, and what cannot be read any more, in words.

        Of an image these are the platforms that its lock was made with; what is about it is not looked for, as it may be newer.
        """
        content: dict[str, list[str]] = {}
        errors: list[str] = []
        images = [(name, digest, lock.portion.platforms) for lock in locks for name, digest in lock.digests.items()]
        for (name, *_), found in zip(images, self._workers.map(lambda image: self._bare(*image), images), strict=True):
            if isinstance(found, HomeportError):
                errors.append(f"{name} of the lock cannot be read: {found.message}")
                continue
            for digest in found.blobs:
                content.setdefault(digest, []).append(name)
        return content, errors

    def _bare(self, name: str, digest: str, platforms: Sequence[str]) -> Tree | HomeportError:
        """Read what an image of a known digest names."""
        reference = msgspec.structs.replace(Reference.parse(name), digest=digest)
        try:
            return self._from(self._source(reference.registry), reference, digest, platforms)
        except HomeportError as error:
            return error

    def _tree(self, reference: Reference) -> Tree | ImageResult:
        locked = self._locked.get(str(reference)) if self._locked else None
        wanted = Wanted(reference, reference, locked)
        self._observer.image_started(wanted)
        try:
            return self._read(wanted)
        except HomeportError as error:
            result = ImageResult(wanted, "failed", reference.digest, error.message, error.hint)
            self._observer.image_finished(result)
            return result

    def _read(self, wanted: Wanted) -> Tree:
        reference = wanted.source
        source = self._source(reference.registry)
        digest = reference.digest or self._wanted_digest(wanted, source)
        tree = self._from(source, reference, digest, self._platforms)
        return self._with_companions(tree) if self._finder else tree

    def _from(self, source: Source, reference: Reference, digest: str, platforms: Sequence[str]) -> Tree:
        root = self._fetch(source, reference, digest)
        tree = Tree(reference, source, root, {}, {}, {}, {})
        self._below(tree, root, platforms)
        return tree

    def _wanted_digest(self, wanted: Wanted, source: Source) -> str:
        """Ask which digest a tag has; raises ContentError where a lock says another one."""
        if self._locked is not None and not wanted.locked:
            raise ContentError(
                f"the lock does not have {wanted.source}", hint="Run once without --locked, so that it is written anew."
            )
        digest = self._digest(wanted, source)
        if wanted.locked and wanted.locked != digest:
            raise moved(wanted, digest)
        return digest

    def _with_companions(self, tree: Tree) -> Tree:
        """Add what is about the image and its platforms; its own manifests are at hand already."""
        source, of = tree.source, tree.reference
        companions = (
            self._finder.find(source, of.registry, of.repository, list(tree.manifests))
            if self._finder
            else Companions()
        )
        for about in companions.found:
            for referrer in about.referrers:
                tree.referrers[referrer.digest] = raw = self._fetch(source, of, referrer.digest)
                self._below(tree, raw, self._platforms)
            for tag, digest in about.tags.items():
                named = msgspec.structs.replace(of, tag=tag, digest=None)
                tree.tags[named] = raw = self._fetch(source, of, digest)
                self._below(tree, raw, self._platforms)
        return msgspec.structs.replace(tree, note=companions.note)

    def _digest(self, wanted: Wanted, source: Source) -> str:
        head = source.head_manifest(wanted.source.repository, wanted.source.identifier)
        if head is None or not is_digest(head.digest):
            raise not_there(wanted)
        return head.digest

    def _below(self, tree: Tree, raw: RawManifest, platforms: Sequence[str], depth: int = 0) -> None:
        if depth > MAX_DEPTH:
            raise ContentError(f"{tree.reference}: indexes are nested more than {MAX_DEPTH} deep")
        manifest = parse_manifest(raw)
        tree.manifests[raw.digest] = raw
        tree.blobs.update((blob.digest, blob) for blob in manifest.blobs)
        for child in wanted_children(manifest, platforms):
            if child.digest not in tree.manifests:
                self._below(tree, self._fetch(tree.source, tree.reference, child.digest), platforms, depth + 1)

    def _fetch(self, source: Source, reference: Reference, digest: str) -> RawManifest:
        return self._fetched.do((reference.name, digest), partial(source.get_manifest, reference.repository, digest))

    def _source(self, registry: str) -> Source:
        with self._lock:
            if registry not in self._sources:
                self._sources[registry] = metered(self._find(registry), self._meter, self._kept, self._patience)
            return self._sources[registry]
