"""What belongs to an image without being named by it: signatures, statements of what is in it, attestations.

They are found in two ways: as referrers of its digest, by the API or by the tag that stands in for it (distribution-spec,
Listing Referrers and Referrers Tag Schema), and under the tags that cosign made before (``sha256-<hex>.sig``). What is about a
platform of an image, or about a signature, is found in the same way.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice

import msgspec

from homeport.errors import ContentError, HomeportError, RegistryError
from homeport.mirror.blobs import Place
from homeport.mirror.kept import KeptManifests
from homeport.mirror.plan import Seen
from homeport.mirror.platforms import MAX_DEPTH, wanted_children
from homeport.mirror.ports import Source, Target
from homeport.mirror.workers import Flights, Workers
from homeport.oci.manifest import Descriptor, Manifest, ManifestHead, RawManifest, is_index, parse_manifest
from homeport.oci.media_types import OCI_INDEX

MayRead = Callable[[Source, str], bool]
"""Tells whether a manifest of a source may be fetched."""

SUFFIXES = (".sig", ".att", ".sbom")

_MOST_TAGS = 5000
"""A longer list of tags takes more requests than to ask for each tag that cosign would have made."""


class About(msgspec.Struct, frozen=True):
    """What is about one manifest: those that refer to it, and what tags made of its digest name.

    `unread` is a list of referrers that was not read, as it is a manifest: reading it counts.
    """

    digest: str
    referrers: tuple[Descriptor, ...] = ()
    tags: dict[str, str] = {}
    unread: str = ""

    @property
    def digests(self) -> tuple[str, ...]:
        """All of it."""
        return (*(referrer.digest for referrer in self.referrers), *self.tags.values())


class Companions(msgspec.Struct, frozen=True):
    """What was found; `note` says what could not be looked for, `unread` are lists that would count."""

    found: tuple[About, ...] = ()
    note: str = ""
    unread: tuple[str, ...] = ()

    def __len__(self) -> int:
        return sum(len(about.digests) for about in self.found)


class Finder:
    """Finds the companions of the images of a job; a repository's tags are listed once, a digest is looked at once."""

    def __init__(self, workers: Workers | None = None, may_read: MayRead = lambda _source, _digest: True) -> None:
        """With `workers`, whose threads must not be the caller's, several are looked for at once."""
        self._workers, self._may_read = workers, may_read
        self._tags: Flights[tuple[str, str], frozenset[str] | None] = Flights()
        self._looks: Flights[tuple[str, str, str], About] = Flights()
        self._manifests: Flights[tuple[str, str, str], Manifest] = Flights()

    def find(self, source: Source, registry: str, repository: str, digests: Iterable[str]) -> Companions:
        """Look for what is about an image, the first digest, and the manifests that it names; and for what is about that.

        What fails is a note, as the image itself is to be had all the same.
        """
        level, asked, unread = list(dict.fromkeys(digests)), set[str](), list[str]()
        first, found, notes = level[0], list[About](), list[str]()

        def look(digest: str) -> About | HomeportError:
            try:
                return self.about(source, registry, repository, digest, is_image=digest == first)
            except HomeportError as error:
                return error

        for _ in range(MAX_DEPTH):
            asked.update(level)
            if self._workers:
                begun = [self._workers.submit(partial(look, digest)) for digest in level]
                self._tags_listed(source, registry, repository)  # meanwhile, by a thread that nobody waits for
                looks = [each.result() for each in begun]
            else:
                looks = [look(digest) for digest in level]
            notes += [each.message for each in looks if isinstance(each, HomeportError)]
            fresh = [each for each in looks if isinstance(each, About) and each.digests]
            unread += [each.unread for each in looks if isinstance(each, About) and each.unread]
            found += fresh
            level = [
                name for name in dict.fromkeys(name for each in fresh for name in each.digests) if name not in asked
            ]
            if not level:
                break
        note = f"its signatures could not be looked for: {notes[0]}" if notes else ""
        return Companions(tuple(found), note, tuple(unread))

    def about(self, source: Source, registry: str, repository: str, digest: str, *, is_image: bool = True) -> About:
        """Look for what is about one manifest, an image or, with less effort, what an image names; raises RegistryError."""
        look = partial(self._look, source, registry, repository, digest, is_image=is_image)
        return self._looks.do((registry, repository, digest), look)

    def manifest(self, source: Source, registry: str, repository: str, digest: str) -> Manifest:
        """Return a manifest that is about another one, fetched once whatever number of images it is about; raises RegistryError."""
        fetch = partial(source.get_manifest, repository, digest)
        return self._manifests.do((registry, repository, digest), lambda: parse_manifest(fetch()))

    def _look(self, source: Source, registry: str, repository: str, digest: str, *, is_image: bool) -> About:
        referrers = source.referrers(repository, digest)
        tags = self._tags_of(source, registry, repository, digest, is_image=is_image)
        unread = ""
        if referrers is None:
            named = _stand_in_head(source, repository, digest) if stand_in(digest) in tags else None
            unread = named.digest if named and not self._may_read(source, named.digest) else ""
            referrers = _children(source, repository, named) if named and not unread else ()
        heads = {tag: source.head_manifest(repository, tag) for tag in sorted(tags - {stand_in(digest)})}
        return About(digest, referrers, {tag: head.digest for tag, head in heads.items() if head}, unread)

    def _tags_of(self, source: Source, registry: str, repository: str, digest: str, *, is_image: bool) -> set[str]:
        candidates = {stand_in(digest), *(stand_in(digest) + suffix for suffix in SUFFIXES)}
        listed = self._tags_listed(source, registry, repository)
        if listed is not None:
            return candidates & listed
        # Four questions for each manifest of each image would be many; for the image itself they are worth it.
        return {tag for tag in candidates if source.head_manifest(repository, tag)} if is_image else set()

    def _tags_listed(self, source: Source, registry: str, repository: str) -> frozenset[str] | None:
        return self._tags.do((registry, repository), lambda: _listed(source, repository))


class Bringer:
    """Brings companions to a target; `tree` brings what a manifest names and returns it."""

    def __init__(self, target: Target, tree: Callable[[Place, str], RawManifest]) -> None:
        self._target, self._tree = target, tree
        self._flights: Flights[tuple[str, str], tuple[int, str]] = Flights()

    def bring(self, place: Place, companions: Companions) -> tuple[int, str]:
        """Bring what the target lacks; return how many manifests that were, and a note."""
        done = [
            self._flights.do((place.repository, about.digest), lambda about=about: self._bring(place, about))  # type: ignore[misc]  # mypy cannot infer lambdas with defaults
            for about in companions.found
        ]
        return sum(number for number, _ in done), next((note for _, note in done if note), companions.note)

    def lacking(self, repository: str, companions: Companions) -> int:
        """Return how many manifests `bring` would bring."""
        return sum(
            len(self._lacking(repository, about)[0])
            + sum(not _names(self._target.head_manifest(repository, tag), name) for tag, name in about.tags.items())
            for about in companions.found
        )

    def _bring(self, place: Place, about: About) -> tuple[int, str]:
        """Bring what is about one manifest; where the target does not list referrers, the tag that stands in names them."""
        lacking, is_listed = self._lacking(place.repository, about)
        for referrer in lacking:
            raw = self._tree(place, referrer.digest)
            self._target.put_manifest(place.repository, raw.digest, raw)
        if about.referrers and not is_listed:
            self._stand_in(place.repository, about.digest, about.referrers)
        tagged = [self._bring_tag(place, tag, name) for tag, name in about.tags.items()]
        return len(lacking) + tagged.count(True), _CHANGED_THERE if None in tagged else ""

    def _lacking(self, repository: str, about: About) -> tuple[list[Descriptor], bool]:
        """Return the referrers that the target has not, and whether it lists them."""
        if not about.referrers:
            return [], True
        listed = self._target.referrers(repository, about.digest)
        if listed is None:
            return [
                each for each in about.referrers if self._target.head_manifest(repository, each.digest) is None
            ], False
        there = {each.digest for each in listed}
        return [each for each in about.referrers if each.digest not in there], True

    def _bring_tag(self, place: Place, tag: str, digest: str) -> bool | None:
        """Tell whether a tag was brought: cosign adds to what is under it, so nothing is replaced that holds more (None)."""
        there = self._target.head_manifest(place.repository, tag)
        if there and there.digest == digest:
            return False
        if there:
            own = parse_manifest(self._target.get_manifest(place.repository, there.digest))
            new = parse_manifest(place.source.get_manifest(place.origin, digest))
            if not {layer.digest for layer in own.layers} <= {layer.digest for layer in new.layers}:
                return None
        self._target.put_manifest(place.repository, tag, self._tree(place, digest))
        return True

    def _stand_in(self, repository: str, digest: str, referrers: Iterable[Descriptor]) -> None:
        """Add to the index under the tag; others may have put theirs there."""
        there = read_stand_in(self._target, repository, digest)
        merged = {each.digest: each for each in (*there, *referrers)}
        if len(merged) > len(there):
            manifests = [merged[name] for name in sorted(merged)]
            body = msgspec.json.encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests})
            self._target.put_manifest(repository, stand_in(digest), RawManifest.of(body, OCI_INDEX))


class Company:
    """Keeps what is about images beside them: what the target lacks of it is brought, also to images that are there."""

    def __init__(
        self,
        target: Target,
        tree: Callable[[Place, str], RawManifest],
        finder: Finder,
        kept: KeptManifests | None,
        platforms: Sequence[str],
    ) -> None:
        self._target, self._kept, self._platforms = target, kept, platforms
        self._finder, self._bringer = finder, Bringer(target, tree)

    def look(self, place: Place, registry: str, digest: str) -> Companions:
        """Look for what is about an image itself, whatever it names."""
        return self._finder.find(place.source, registry, place.origin, [digest])

    def keep(self, place: Place, seen: Seen, raw: RawManifest | None = None) -> tuple[int, str]:
        """Bring what the target lacks of what is about an image and its platforms; return how much that was, and a note."""
        return self._bringer.bring(place, self._all(place, seen, raw))

    def lacking(self, place: Place, seen: Seen) -> tuple[int, tuple[str, ...]]:
        """Return how many manifests `keep` would bring for an image that is there, and the lists that were not read."""
        companions = self._all(place, seen, None)
        return self._bringer.lacking(place.repository, companions), companions.unread

    def _all(self, place: Place, seen: Seen, raw: RawManifest | None) -> Companions:
        digest = raw.digest if raw else seen.digest or ""
        if raw is None and (seen.head is None or is_index(seen.head.media_type)):
            raw = self._at_hand(place, digest)
        named = list(self._named(place, raw)) if raw else [digest]
        if seen.rebuilt:
            named = named[1:]  # nobody can have signed what was made anew
        return self._finder.find(place.source, seen.wanted.source.registry, place.origin, named)

    def _at_hand(self, place: Place, digest: str) -> RawManifest:
        """Return a manifest that the target has without paying for it: one of a file, one that is kept, or the target's."""
        if place.source.is_local:
            return place.source.get_manifest(place.origin, digest)
        if self._kept and (raw := self._kept.get(digest)):
            return raw
        raw = self._target.get_manifest(place.repository, digest)
        if self._kept:
            self._kept.keep(raw)
        return raw

    def _named(self, place: Place, raw: RawManifest, depth: int = 0) -> Iterator[str]:
        yield raw.digest
        if is_index(raw.media_type) and depth < MAX_DEPTH:
            for child in wanted_children(parse_manifest(raw), self._platforms):
                if is_index(child.media_type):
                    yield from self._named(place, self._at_hand(place, child.digest), depth + 1)
                else:
                    yield child.digest


_CHANGED_THERE = "its signatures were added to at the target: those under a tag of cosign's are left as they are there"


def news(brought: int) -> str:
    """Say that something new came to an image that was there."""
    many = (
        "1 signature, or what else is about it, was"
        if brought == 1
        else f"{brought} signatures, or what else is about it, were"
    )
    return f"it was there; {many} not"


def stand_in(digest: str) -> str:
    """Return the tag under which the referrers of a digest are listed where a registry has no API for it."""
    return digest.replace(":", "-", 1)[:128]


def read_stand_in(source: Source | Target, repository: str, digest: str) -> tuple[Descriptor, ...]:
    """Read the index under the tag, if any; GitLab hands out the image itself there (oras-go 1396), which is none.

    It is fetched by its digest, so that it is paid for once where manifests are kept.
    """
    head = _stand_in_head(source, repository, digest)
    return _children(source, repository, head) if head else ()


def _stand_in_head(source: Source | Target, repository: str, digest: str) -> ManifestHead | None:
    head = source.head_manifest(repository, stand_in(digest))
    return None if head is None or head.digest == digest or not is_index(head.media_type) else head


def _children(source: Source | Target, repository: str, head: ManifestHead) -> tuple[Descriptor, ...]:
    try:
        return parse_manifest(source.get_manifest(repository, head.digest)).children
    except ContentError:
        return ()


def _listed(source: Source, repository: str) -> frozenset[str] | None:
    try:
        tags = list(islice(source.tags(repository), _MOST_TAGS + 1))
    except RegistryError:
        return None  # it may not be listed by everyone who may pull
    return frozenset(tag for tag in tags if tag.startswith("sha")) if len(tags) <= _MOST_TAGS else None


def _names(head: object, digest: str) -> bool:
    return getattr(head, "digest", None) == digest
