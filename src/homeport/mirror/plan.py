"""Turn what is wanted and what is known into ordered steps with their cost. Pure.

Before any counted GET, HEADs tell a manifest's digest, type and size, and nothing of what it names: what
is not known shows as a bound. With every manifest known, bounds that leave only the target open remain.
"""

from collections.abc import Iterable
from collections.abc import Mapping as MappingOf
from functools import reduce
from operator import add
from typing import Final, Literal

import msgspec

from homeport.errors import UsageError
from homeport.mapping import Mapping
from homeport.oci.manifest import Descriptor, Manifest, ManifestHead, RawManifest, is_index, most_children
from homeport.oci.media_types import IMAGE_TYPES
from homeport.reference import Reference

LARGE_BLOB: Final = 1 << 20
"""Bytes from which a blob is worth a HEAD before it is sent to a target that has not yet shown that it mounts."""

_MOST_TO_LOOK = 6
_DIGEST = "sha256:" + 64 * "0"
_SMALLEST_BLOB = len(f'{{"mediaType":"","digest":"{_DIGEST}","size":0}}')

Status = Literal["present", "pending", "failed"]
Action = Literal["look", "fetch", "explore", "copy", "push"]


class Bound(msgspec.Struct, frozen=True):
    """A number that is known to lie between two others; `high` is None where nothing bounds it."""

    low: int = 0
    high: int | None = 0

    @classmethod
    def exactly(cls, number: int) -> "Bound":
        """Return the bound of a number that is known."""
        return cls(number, number)

    def __add__(self, other: "Bound") -> "Bound":
        known = self.high is not None and other.high is not None
        return Bound(self.low + other.low, (self.high or 0) + (other.high or 0) if known else None)

    def __contains__(self, number: int) -> bool:
        return self.low <= number and (self.high is None or number <= self.high)

    def __str__(self) -> str:
        if self.high is None:
            return f"at least {self.low}"
        return str(self.low) if self.low == self.high else f"{self.low} to {self.high}"


class Cost(msgspec.Struct, frozen=True):
    """Requests at either side (logins and redirects not counted), bytes of blobs, manifest GETs that a source counts."""

    source: Bound = Bound()
    target: Bound = Bound()
    bytes: Bound = Bound()
    counted_pulls: Bound = Bound()

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.source + other.source,
            self.target + other.target,
            self.bytes + other.bytes,
            self.counted_pulls + other.counted_pulls,
        )


class Wanted(msgspec.Struct, frozen=True):
    """One image of a job: its name at the source, pinned, and at the target; the digest that a lock says its tag has."""

    source: Reference
    target: Reference
    locked: str | None = None


class Beside(msgspec.Struct, frozen=True):
    """Manifests that are read to know what is about an image, by digest: lists of referrers, and signatures that are demanded.

    All of `certain` are, of `others` as many as it takes. `lists` are those of the certain ones of which nothing tells what is in them.
    """

    certain: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()

    def with_lists(self, lists: tuple[str, ...]) -> "Beside":
        """Return these and lists that are to be read."""
        return Beside(_each(self.certain, lists), self.others, _each(self.lists, lists))


def _each(*digests: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(digest for some in digests for digest in some))


class Seen(msgspec.Struct, frozen=True):
    """What a look at source and target told of one wanted image.

    `tag` is to be given at the target, if any; `there` is the digest that it has there now. `rebuilt` is the digest of an index that is made
    anew for the target. `at_target` means that the target has the digest, `found` is its manifest if that came along, `is_new` means that
    the target has nothing in the repository, `present` that nothing is left to do, `sparse` that the target has an index without all wanted
    platforms of it. `asked` counts the requests that this took at source and target. `companions` is the number of things that come along,
    None where none are looked for. `beside` are manifests that are read besides. `note` is for a person.
    """

    wanted: Wanted
    digest: str | None = None
    head: ManifestHead | None = None
    tag: str | None = None
    there: str = ""
    rebuilt: str = ""
    at_target: bool = False
    found: RawManifest | None = None
    is_new: bool = False
    present: bool = False
    sparse: bool = False
    asked: tuple[int, int] = (0, 0)
    companions: int | None = None
    beside: Beside = Beside()
    note: str = ""
    error: str = ""
    hint: str = ""


class Known(msgspec.Struct, frozen=True):
    """What is known beyond HEADs: manifests by digest, and whether (target repository, digest) is there.

    Those that are `kept` from earlier runs are not fetched again.
    """

    manifests: dict[str, Manifest] = {}
    there: dict[tuple[str, str], bool] = {}
    kept: frozenset[str] = frozenset()


class Step(msgspec.Struct, frozen=True):
    """One thing to do, for content of a repository of the target; `explore` stands for what is not known yet."""

    action: Action
    repository: str
    digest: str | None
    cost: Cost


class ImagePlan(msgspec.Struct, frozen=True):
    """What would be done for one image, in order."""

    seen: Seen
    steps: tuple[Step, ...] = ()

    @property
    def status(self) -> Status:
        """Whether the image is there, would be brought, or cannot be."""
        if self.seen.error:
            return "failed"
        return "present" if self.seen.present and not self.seen.companions else "pending"

    @property
    def cost(self) -> Cost:
        """The cost of all steps."""
        return reduce(add, (step.cost for step in self.steps), Cost())


class Plan(msgspec.Struct, frozen=True):
    """What a job would do; what an earlier image brings costs a later one nothing.

    `fetched` are manifests that were fetched to make the plan and are kept: their pulls are among its cost, but spent.
    """

    images: tuple[ImagePlan, ...] = ()
    fetched: frozenset[str] = frozenset()

    @property
    def cost(self) -> Cost:
        """The cost of all images."""
        return reduce(add, (image.cost for image in self.images), Cost())


def want(
    references: Iterable[Reference], mapping: Mapping, locked: MappingOf[str, str] | None = None
) -> tuple[Wanted, ...]:
    """Say what a job is to bring where, each image once.

    Raises CollisionError where two would share a tag, UsageError where a tag is not among the locked ones.
    """
    pinned = dict.fromkeys(reference.pinned for reference in references)
    mapping.relocate_all(msgspec.structs.replace(reference, digest=None) for reference in pinned if reference.tag)
    unknown = [str(each) for each in pinned if locked is not None and not each.digest and str(each) not in locked]
    if unknown:
        raise UsageError(
            f"the lock does not have {', '.join(unknown)}",
            hint="Run once without --locked, so that it is written anew.",
        )
    return tuple(
        Wanted(each, mapping.relocate(each), locked[str(each)] if locked and not each.digest else None)
        for each in pinned
    )


def plan(images: Iterable[Seen], known: Known | None = None) -> Plan:
    """Turn what was seen and what is known into steps, image by image."""
    planner = _Planner(known or Known())
    return Plan(tuple(ImagePlan(seen, tuple(planner.steps(seen))) for seen in images))


class _Planner:
    """Goes through a job in order and remembers what it will have brought.

    The run has no such order: where images share content, the one or the other pays, so that `low` is lower there.
    """

    def __init__(self, known: Known) -> None:
        self._known = known
        self._roots: set[tuple[str, str]] = set()
        self._read: set[str] = set()
        self._brought: set[tuple[str, str | None]] = set()
        self._somewhere = {digest for (_, digest), there in known.there.items() if there}

    def steps(self, seen: Seen) -> Iterable[Step]:
        repository, digest = seen.wanted.target.repository, seen.digest
        again = (repository, digest) in self._brought
        looked = [Bound(0 if again else heads, heads) for heads in seen.asked]
        yield Step("look", repository, digest, Cost(*looked))
        yield from self._beside(seen)
        if seen.error or digest is None:
            return
        if seen.companions is not None:
            yield Step("explore", repository, digest, _companions_cost(seen))
        if seen.present:
            return
        self._roots.add((repository, digest))
        self._brought.add((repository, digest))
        if seen.sparse and not again:
            yield Step("explore", repository, digest, _unexplored(seen.head))
        elif not (again or seen.at_target):
            yield Step("fetch", repository, digest, self._fetch_cost(digest))
            yield from self._content(repository, digest, seen.head, is_new=seen.is_new)
        yield Step("push", repository, digest, _PERHAPS_AT_TARGET if again else _AT_TARGET)
        if not seen.wanted.source.digest:
            yield Step("look", repository, digest, _AT_SOURCE)

    def _beside(self, seen: Seen) -> Iterable[Step]:
        """Read what is beside an image; it may have been read for another one."""
        repository, beside = seen.wanted.target.repository, seen.beside
        for digest in (*beside.certain, *beside.others):
            is_sure = digest not in self._read and digest in beside.certain
            self._read.add(digest)
            yield Step("fetch", repository, digest, self._fetch_cost(digest, there=False if is_sure else None))
        if beside.lists:
            yield Step("explore", repository, seen.digest, _UNKNOWN)
        elif beside.certain:
            yield Step("explore", repository, seen.digest, Cost(source=Bound(0, None)))

    def _content(self, repository: str, digest: str, head: ManifestHead | None, *, is_new: bool) -> Iterable[Step]:
        """Bring what a manifest names; of a repository that `is_new` it is known to be missing."""
        manifest = self._known.manifests.get(digest)
        if manifest is None:
            yield Step("explore", repository, digest, _unexplored(head))
            return
        pushed = []
        for child in {child.digest: child for child in manifest.children}.values():
            there = False if is_new else self._known.there.get((repository, child.digest))
            if self._is_brought(repository, child.digest):
                if (repository, child.digest) in self._roots:
                    yield Step("look", repository, child.digest, _PERHAPS_AT_TARGET)
                    pushed.append(Step("push", repository, child.digest, _PERHAPS_AT_TARGET))
                continue
            if not is_new:
                yield Step("look", repository, child.digest, _AT_TARGET)
            if there:
                continue
            yield Step("fetch", repository, child.digest, self._fetch_cost(child.digest, there=there))
            yield from self._content(repository, child.digest, _head(child), is_new=is_new)
            pushed.append(Step("push", repository, child.digest, _AT_TARGET if there is False else _PERHAPS_AT_TARGET))
        for blob in manifest.blobs:
            if not self._is_brought(repository, blob.digest):
                yield self._blob(repository, blob, is_new=is_new)
        yield from pushed

    def _fetch_cost(self, digest: str, *, there: bool | None = False) -> Cost:
        if digest in self._known.kept:
            return Cost()
        return _COUNTED if there is False else _PERHAPS_COUNTED

    def _blob(self, repository: str, blob: Descriptor, *, is_new: bool) -> Step:
        there = self._known.there.get((repository, blob.digest))
        if there is False and blob.digest in self._somewhere:
            there = None  # the target may mount it from the other repository
        self._somewhere.add(blob.digest)
        return Step("copy", repository, blob.digest, _blob_cost(blob.size, there=there, is_new=is_new))

    def _is_brought(self, repository: str, digest: str) -> bool:
        """Tell whether something is brought already, and note that it is now."""
        brought = (repository, digest) in self._brought
        self._brought.add((repository, digest))
        return brought


_AT_SOURCE = Cost(source=Bound.exactly(1))
_AT_TARGET = Cost(target=Bound.exactly(1))
_PERHAPS_AT_TARGET = Cost(target=Bound(0, 1))
_COUNTED = Cost(source=Bound.exactly(1), counted_pulls=Bound.exactly(1))
_UNKNOWN = Cost(Bound(0, None), Bound(0, None), Bound(0, None), Bound(0, None))
_PERHAPS_COUNTED = Cost(source=Bound(0, 1), counted_pulls=Bound(0, 1))


def _companions_cost(seen: Seen) -> Cost:
    """Bound what looking for companions and bringing them takes: lists of tags and referrers, or a HEAD for each tag.

    What the platforms of an image have about them that is not brought yet is taken as none where the image itself has none.
    """
    if not seen.companions:
        children = most_children(seen.head.size) if seen.head and is_index(seen.head.media_type) else 0
        most = _MOST_TO_LOOK + children if seen.head else None
        return Cost(source=Bound(0, most), target=Bound(0, int(seen.present)))
    # What stands in for a list of referrers is a manifest, and counts.
    return Cost(Bound(1, None), Bound(1, None), Bound(0, None), Bound(0, None))


def _blob_cost(size: int, *, there: bool | None, is_new: bool) -> Cost:
    """A POST asks for a blob and opens its upload in one; a target that does not mount gets small blobs again."""
    is_asked = size >= LARGE_BLOB and not is_new
    low, high = int(there is False), int(not (there and is_asked))
    return Cost(
        source=Bound(low, high),
        target=Bound(1 + low, 1 + high + is_asked),
        bytes=Bound(low * size, high * size),
    )


def _unexplored(head: ManifestHead | None) -> Cost:
    """Bound what a manifest names by its size alone; what a child names is bounded by nothing."""
    if head and is_index(head.media_type):
        return Cost(Bound(0, None), Bound(0, None), Bound(0, None), Bound(0, most_children(head.size)))
    if head and head.media_type in IMAGE_TYPES:
        most = head.size // _SMALLEST_BLOB
        return Cost(Bound(0, most), Bound(0, 3 * most), Bound(0, None))
    return _UNKNOWN


def _head(child: Descriptor) -> ManifestHead:
    return ManifestHead(child.digest, child.media_type, child.size)
