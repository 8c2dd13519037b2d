"""Bring images to the target: the steps of the plan, taken by threads."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import msgspec

from homeport.errors import ContentError, HomeportError, NotFoundError, RegistryError
from homeport.mirror.blobs import BlobScheduler, Place
from homeport.mirror.companions import Company, Finder, news
from homeport.mirror.explore import Explorer, at_hand
from homeport.mirror.foresee import look_for_signatures, read_signatures
from homeport.mirror.homes import TargetHomes
from homeport.mirror.kept import metered
from homeport.mirror.observer import Observer
from homeport.mirror.outlook import Look, Outlook
from homeport.mirror.plan import Known, Plan, Seen, Wanted, plan
from homeport.mirror.platforms import explain_refusal, rebuilt, wanted_children
from homeport.mirror.ports import Source, Target
from homeport.mirror.resolve import Resolver, not_there
from homeport.mirror.result import ImageResult, MirrorResult, Status
from homeport.mirror.signatures import check_signed
from homeport.mirror.traffic import Meter, MeteredTarget, Patience
from homeport.mirror.trees import Trees
from homeport.mirror.wishes import Wishes
from homeport.mirror.workers import Flights, StoppedError, Workers
from homeport.oci.manifest import is_index, parse_manifest

Sources = Callable[[str], Source]
"""Finds the source for a registry's name."""


class Concurrency(msgspec.Struct, frozen=True):
    """How much is done at once; each large blob on its way holds up to 2 MiB of memory, a small one twice its size.

    Small things wait for answers, large ones for the line: more of those at once would only be slower each. How many requests a
    registry gets at a time is its own affair (registry.window).
    """

    images: int = 32
    manifests: int = 32
    blobs: int = 32
    large_blobs: int = 4


class Job:
    """What the images of one run share, and the steps that each takes."""

    def __init__(
        self,
        sources: Sources,
        target: Target,
        observer: Observer,
        concurrency: Concurrency,
        wishes: Wishes,
    ) -> None:
        self._wishes = wishes
        self._platforms, self._kept = wishes.platforms, wishes.kept
        self._failed_first = ""
        self._patience = Patience(observer if wishes.patience else None)
        self._meter = Meter()
        self._observer = observer
        self._sources: Flights[str, Source] = Flights()
        self._find_source = sources
        self._target = MeteredTarget(target, self._meter)
        self._lookers = Workers(concurrency.images, "look")
        self._askers = Workers(concurrency.images, "ask")
        self._images = Workers(concurrency.images, "image")
        self._manifests = Workers(concurrency.manifests, "manifest")
        self._carriers = Workers(concurrency.blobs, "blob")
        self._finder = Finder(self._manifests, self._may_read)
        self._resolver = Resolver(self._target, self._askers, keep_tags=wishes.keep_tags)
        self._homes = TargetHomes(wishes.homes, None if target.is_local else wishes.kept, wishes.registry)
        self._blobs = BlobScheduler(
            self._target,
            self._carriers,
            self._meter,
            observer,
            homes=self._homes,
            spool=wishes.spool,
            registry=wishes.registry,
            large=concurrency.large_blobs,
        )
        self._trees = Trees(
            self._target, self._manifests, self._blobs, wishes.platforms, one_platform=wishes.one_platform
        )
        self._company = (
            Company(self._target, self._trees.bring, self._finder, self._kept, self._platforms)
            if wishes.referrers
            else None
        )

    def run(self, wanted: Iterable[Wanted]) -> MirrorResult:
        """Bring images; what fails is in the result."""
        wanted = tuple(wanted)
        self._observer.job_started(len(wanted))
        looks = [self._lookers.submit(partial(self._seen, each)) for each in wanted]
        by_registry: dict[str, list[Look]] = {}
        for each, look in zip(wanted, looks, strict=True):
            by_registry.setdefault(each.source.registry, []).append(look)
        outlook = Outlook(by_registry, self._wishes.quotas, self._observer, self._plan, self._platforms)
        results = self._images.map(lambda pair: self._image(*pair, outlook), zip(wanted, looks, strict=True))
        outlook.look_back()
        return MirrorResult(tuple(results), self._meter.traffic)

    def look(self, wanted: Iterable[Wanted]) -> list[Seen]:
        """Look for images at both sides; nothing counts."""
        return self._images.map(self._look, wanted)

    def _plan(self, seen: Sequence[Seen]) -> Plan:
        return plan(seen, at_hand(seen, self._kept, self._platforms))

    def explore(self, images: Iterable[Seen]) -> tuple[list[Seen], Known]:
        """Fetch what the images name, but for what the target has, and signatures that are demanded."""
        explorer, finder = Explorer(self._target, self._manifests, self._platforms), Finder(self._manifests)
        wishes = self._wishes

        def explore(seen: Seen) -> Seen:
            source = self._source(seen.wanted.source.registry)
            seen = read_signatures(seen, wishes.demands, source, finder, referrers=wishes.referrers)
            return explorer.explore(seen, source)

        return self._images.map(explore, images), explorer.known

    def stop(self) -> None:
        """Begin nothing more, let nobody wait, and leave what is known for the runs to come."""
        self._meter.stop()
        for workers in (self._lookers, self._askers, self._images, self._manifests, self._carriers):
            workers.stop()
        self._blobs.stop()
        self._homes.keep()

    def _look(self, wanted: Wanted) -> Seen:
        try:
            source = self._source(wanted.source.registry)
            seen = self._resolve(wanted, source)
            seen = look_for_signatures(seen, self._wishes.demands, source, self._finder)
            digest = seen.digest
            if seen.error:
                return seen
            if self._wishes.rebuild_index and digest and self._kept and (raw := self._kept.get(digest)):
                made = rebuilt(raw, self._platforms).digest
                if made == seen.there:
                    seen = msgspec.structs.replace(seen, present=True, rebuilt=made)
            if seen.present or not digest:
                return self._look_for_news(seen, source)
            if self._company:
                companions = self._company.look(_place(wanted, source), wanted.source.registry, digest)
                note, beside = companions.note or seen.note, seen.beside.with_lists(companions.unread)
                seen = msgspec.structs.replace(seen, companions=len(companions), beside=beside, note=note)
            if seen.at_target or seen.head:
                return seen
            head = source.head_manifest(wanted.source.repository, digest)
            if head is None:
                raise not_there(wanted)
            return msgspec.structs.replace(seen, head=head)
        except HomeportError as error:
            asked = (1, 1) if isinstance(error, NotFoundError) and not wanted.source.digest else (0, 0)
            return Seen(wanted, wanted.source.digest, asked=asked, error=error.message, hint=error.hint)

    def _seen(self, wanted: Wanted) -> Seen:
        self._meter.check()
        seen = self._resolve(wanted, self._source(wanted.source.registry))
        if seen.digest and (seen.present or seen.at_target):
            self._homes.see(wanted.target.repository, seen.digest)
        return seen

    def _image(self, wanted: Wanted, look: Look, outlook: Outlook) -> ImageResult:
        self._observer.image_started(wanted)
        seen = Seen(wanted, wanted.source.digest)
        try:
            seen, source = look.result(), self._source(wanted.source.registry)
            outlook.wait(wanted.source.registry)
            check_signed(wanted.source, seen.digest or "", self._wishes.demands, source, self._finder)
            seen = self._rebuilt(seen, source)
            if seen.digest and not seen.present:
                note = self._bring(seen, seen.digest, source)
                seen = self._look_again(msgspec.structs.replace(seen, note=note or seen.note), source)
            elif self._company and seen.digest and not self._wishes.locked:
                place = _place(wanted, source)
                raw = rebuilt(self._trees.fetch(place, seen.digest), self._platforms) if seen.rebuilt else None
                brought, note = self._company.keep(place, seen, raw)
                note = news(brought) if brought else note
                seen = msgspec.structs.replace(seen, present=not brought, note=note or seen.note)
            status: Status = "present" if seen.present else "copied"
            result = ImageResult(wanted, status, seen.digest, note=seen.note, rebuilt=seen.rebuilt)
        except HomeportError as error:
            result = ImageResult(wanted, "failed", seen.digest, error.message, error.hint, seen.note)
            self._end_early(wanted)
        except StoppedError:
            if not self._failed_first:
                raise
            error_text = f"{wanted.source} was not brought, as {self._failed_first} failed before"
            result = ImageResult(
                wanted, "failed", seen.digest, error_text, "Without --fail-fast the others are brought."
            )
        self._observer.image_finished(result)
        return result

    def _end_early(self, wanted: Wanted) -> None:
        """Begin nothing more after the first failure, where that is wished."""
        if self._wishes.fail_fast and not self._failed_first:
            self._failed_first = str(wanted.source)
            self._meter.stop()

    def _rebuilt(self, seen: Seen, source: Source) -> Seen:
        """Make an index anew where that is wished; the target may have it already."""
        if not self._wishes.rebuild_index or seen.present or not seen.digest:
            return seen
        raw = seen.found or self._trees.fetch(_place(seen.wanted, source), seen.digest)
        made = rebuilt(raw, self._platforms)
        if made.digest == seen.digest:
            return seen
        if seen.wanted.source.digest:
            raise ContentError(
                f"{seen.wanted.source} is named by its digest, and an index that is made anew has another",
                hint="Name it by a tag alone, or bring it whole: without --rebuild-index.",
            )
        note = f"its index was made anew for {', '.join(self._platforms)}: {made.digest} at the target, {seen.digest} at the source"
        return msgspec.structs.replace(seen, present=made.digest == seen.there, rebuilt=made.digest, note=note)

    def _look_again(self, seen: Seen, source: Source) -> Seen:
        """Notice a tag that moved while its image was brought."""
        reference = seen.wanted.source
        if reference.digest:
            return seen
        try:
            head = source.head_manifest(reference.repository, reference.identifier)
        except RegistryError:
            return seen  # the image is there; the next run tells
        if head and head.digest == seen.digest:
            return seen
        now = f"is {head.digest} now" if head else "is gone now"
        return msgspec.structs.replace(
            seen, note=f"its tag moved meanwhile and {now}; what it was before is at the target"
        )

    def _resolve(self, wanted: Wanted, source: Source) -> Seen:
        """Look for an image at both sides; an index that is there may lack some of the platforms that are wanted now.

        A registry takes an index whole unless platforms were named, and is not asked; a folder takes it as it comes.
        """
        seen = self._resolver.resolve(wanted, source)
        is_looked_into = bool(self._platforms) or self._target.is_local
        if not is_looked_into or not seen.digest or not (seen.present or seen.at_target):
            return seen
        repository = wanted.target.repository
        raw = seen.found or self._target.get_manifest(repository, seen.digest)
        digests = [child.digest for child in wanted_children(parse_manifest(raw), self._platforms)]
        heads = self._manifests.map(partial(self._target.head_manifest, repository), digests)
        asked = (seen.asked[0], seen.asked[1] + len(heads) + (seen.found is None))
        if None not in heads:
            return msgspec.structs.replace(seen, asked=asked)
        return msgspec.structs.replace(seen, present=False, at_target=True, found=raw, sparse=True, asked=asked)

    def _look_for_news(self, seen: Seen, source: Source) -> Seen:
        """Say how much is about an image that is there and is not there itself."""
        wanted = seen.wanted
        if not self._company or not seen.digest or self._wishes.locked:
            return seen
        companions, unread = self._company.lacking(_place(wanted, source), seen)
        return msgspec.structs.replace(seen, companions=companions, beside=seen.beside.with_lists(unread))

    def _bring(self, seen: Seen, digest: str, source: Source) -> str:
        """Bring an image with all about it, its tag last; return a note."""
        repository, place = seen.wanted.target.repository, _place(seen.wanted, source, is_new=seen.is_new)
        raw = self._trees.bring_once(place, digest, seen.found, is_sparse=seen.sparse)
        if seen.rebuilt:
            raw = rebuilt(raw, self._platforms)
        _, note = self._company.keep(place, seen, raw) if self._company else (0, "")
        try:
            self._target.put_manifest(repository, seen.tag or raw.digest, raw)
        except RegistryError as error:
            if self._platforms and not seen.rebuilt and is_index(raw.media_type):
                explain_refusal(error)
            raise
        return note

    def _may_read(self, source: Source, digest: str) -> bool:
        """Tell whether a manifest may be fetched: where nothing is to count, if it is at hand."""
        return not self._wishes.free or source.is_local or bool(self._kept and self._kept.get(digest))

    def _source(self, registry: str) -> Source:
        return self._sources.do(
            registry,
            lambda: metered(
                self._find_source(registry), self._meter, self._kept, self._patience, self._wishes.mirrors(registry)
            ),
        )


def _place(wanted: Wanted, source: Source, *, is_new: bool = False) -> Place:
    origin, home = wanted.source, wanted.target
    beside = origin.repository if origin.registry == home.registry else None
    return Place(source, origin.repository, home.repository, origin, beside, is_new)
