"""What belongs to an image without being named by it: signatures, statements of what is in it, attestations.

They are found in two ways: as referrers of its digest, by the API or by the tag that stands in for it (distribution-spec,
Listing Referrers and Referrers Tag Schema), and under the tags that cosign made before (``sha256-<hex>.sig``).
"""

from collections.abc import Callable, Iterable

import msgspec

from homeport.errors import ContentError, HomeportError, RegistryError
from homeport.mirror.blobs import Place
from homeport.mirror.ports import Source, Target
from homeport.mirror.workers import Flights
from homeport.oci.manifest import Descriptor, RawManifest, is_index, parse_manifest
from homeport.oci.media_types import OCI_INDEX

SUFFIXES = (".sig", ".att", ".sbom")


class Companions(msgspec.Struct, frozen=True):
    """What was found; `note` says what could not be."""

    referrers: tuple[Descriptor, ...] = ()
    tags: tuple[str, ...] = ()
    note: str = ""

    def __len__(self) -> int:
        return len(self.referrers) + len(self.tags)


class Finder:
    """Finds the companions of the images of a job; a repository's tags are listed once."""

    def __init__(self) -> None:
        self._tags: Flights[tuple[str, str], frozenset[str] | None] = Flights()

    def find(self, source: Source, registry: str, repository: str, digest: str) -> Companions:
        """Look for the companions of one image; what fails is a note, as the image itself is to be had all the same."""
        try:
            tags = self._tags_of(source, registry, repository, digest)
            referrers = source.referrers(repository, digest)
            if referrers is None:
                referrers = read_stand_in(source, repository, digest) if stand_in(digest) in tags else ()
            return Companions(referrers, tuple(sorted(tags - {stand_in(digest)})))
        except HomeportError as error:
            return Companions(note=f"its signatures could not be looked for: {error.message}")

    def _tags_of(self, source: Source, registry: str, repository: str, digest: str) -> set[str]:
        candidates = {stand_in(digest), *(stand_in(digest) + suffix for suffix in SUFFIXES)}
        listed = self._tags.do((registry, repository), lambda: _listed(source, repository))
        if listed is not None:
            return candidates & listed
        return {tag for tag in candidates if source.head_manifest(repository, tag)}


class Bringer:
    """Brings companions to a target; `tree` brings what a manifest names and returns it."""

    def __init__(self, target: Target, tree: Callable[[Place, str], RawManifest]) -> None:
        self._target, self._tree = target, tree

    def bring(self, place: Place, digest: str, companions: Companions) -> None:
        """Bring what belongs to an image; where the target does not list referrers, the tag that stands in names them."""
        for referrer in companions.referrers:
            if self._target.head_manifest(place.repository, referrer.digest) is None:
                raw = self._tree(place, referrer.digest)
                self._target.put_manifest(place.repository, raw.digest, raw)
        for tag in companions.tags:
            head = place.source.head_manifest(place.origin, tag)
            if head and not _names(self._target.head_manifest(place.repository, tag), head.digest):
                self._target.put_manifest(place.repository, tag, self._tree(place, head.digest))
        if companions.referrers and self._target.referrers(place.repository, digest) is None:
            self._stand_in(place.repository, digest, companions.referrers)

    def _stand_in(self, repository: str, digest: str, referrers: Iterable[Descriptor]) -> None:
        """Add to the index under the tag; others may have put theirs there."""
        tag = stand_in(digest)
        there = read_stand_in(self._target, repository, digest) if self._target.head_manifest(repository, tag) else ()
        merged = {each.digest: each for each in (*there, *referrers)}
        if len(merged) > len(there):
            manifests = [merged[name] for name in sorted(merged)]
            body = msgspec.json.encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests})
            self._target.put_manifest(repository, tag, RawManifest.of(body, OCI_INDEX))


def stand_in(digest: str) -> str:
    """Return the tag under which the referrers of a digest are listed where a registry has no API for it."""
    return digest.replace(":", "-", 1)[:128]


def read_stand_in(source: Source | Target, repository: str, digest: str) -> tuple[Descriptor, ...]:
    """Read the index under the tag; GitLab hands out the image itself there (oras-go 1396), which is none."""
    raw = source.get_manifest(repository, stand_in(digest))
    if raw.digest == digest or not is_index(raw.media_type):
        return ()
    try:
        return parse_manifest(raw).children
    except ContentError:
        return ()


def _listed(source: Source, repository: str) -> frozenset[str] | None:
    try:
        return frozenset(tag for tag in source.tags(repository) if tag.startswith("sha"))
    except RegistryError:
        return None  # it may not be listed by everyone who may pull


def _names(head: object, digest: str) -> bool:
    return getattr(head, "digest", None) == digest
