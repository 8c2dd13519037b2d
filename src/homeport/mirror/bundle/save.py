"""Write images into a bundle."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec

from homeport.errors import ContentError, HomeportError
from homeport.mirror.bundle.contents import small_files
from homeport.mirror.bundle.gather import Gathering, Tree
from homeport.mirror.bundle.output import Output, open_output
from homeport.mirror.bundle.signature import Signer
from homeport.mirror.job import Concurrency, Sources
from homeport.mirror.kept import KeptManifests
from homeport.mirror.lock import LOCK, Lock, Portion
from homeport.mirror.observer import Observer
from homeport.mirror.plan import LARGE_BLOB, Wanted
from homeport.mirror.ports import NOTHING, Begun
from homeport.mirror.result import ImageResult, Traffic
from homeport.mirror.traffic import CountedReader, Meter
from homeport.mirror.workers import Workers, outcome
from homeport.oci.manifest import Descriptor
from homeport.reference import Reference


class Saved(msgspec.Struct, frozen=True):
    """What became of a bundle; it has no files if an image failed. `notes` are for a person."""

    images: tuple[ImageResult, ...]
    traffic: Traffic
    files: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()


class Wishes(msgspec.Struct, frozen=True):
    """How a bundle is to be.

    `split_size` in bytes; `packed` by zstd, as is a file whose name ends on .zst; `platforms` as for mirror(); `riders` are files that come along, by name; `left_out` is content that
    the other side has, by digest, with the images that have it there; `since` are locks of images that it has.
    With `locked`, digests by reference, a tag that has another digest at the source is refused. With `referrers` signatures and all else that is about an image come along;
    with `patience` a pull limit that is used up is waited for; `sign` signs it.
    """

    split_size: int | None = None
    packed: bool = False
    platforms: tuple[str, ...] = ()
    riders: Mapping[str, bytes] = {}
    left_out: Mapping[str, Sequence[str]] = {}
    since: tuple[Lock, ...] = ()
    locked: Mapping[str, str] | None = None
    referrers: bool = False
    patience: bool = False
    sign: Signer | None = None


def save(
    references: Iterable[Reference],
    sources: Sources,
    path: Path,
    *,
    wishes: Wishes | None = None,
    kept: KeptManifests | None = None,
    observer: Observer | None = None,
    concurrency: Concurrency | None = None,
) -> Saved:
    """Write images, with all that they name, into an archive or an existing folder; equal images give equal bytes.

    It appears whole or not at all: if an image fails there is none. What an interrupted run has written is not fetched again;
    `kept` has manifests of earlier runs. Raises UsageError, StoreError.
    """
    job = _Job(sources, observer or Observer(), concurrency or Concurrency(), wishes or Wishes(), kept)
    output = open_output(path, job.wishes.split_size, packed=job.wishes.packed)
    try:
        return job.run(dict.fromkeys(reference.pinned for reference in references), output)
    finally:
        job.stop()
        output.close()


class _Job:
    def __init__(
        self, sources: Sources, observer: Observer, concurrency: Concurrency, wishes: Wishes, kept: KeptManifests | None
    ) -> None:
        self.wishes = wishes
        self._meter = Meter()
        self._observer = observer
        self._images = Workers(concurrency.images, "image")
        self._carriers = Workers(concurrency.blobs, "blob")
        self._large_carriers = Workers(concurrency.large_blobs, "large")
        self._gathering = Gathering(
            sources,
            self._meter,
            self._images,
            observer,
            platforms=wishes.platforms,
            kept=kept,
            referrers=wishes.referrers,
            patience=wishes.patience,
            locked=wishes.locked,
        )

    def stop(self) -> None:
        self._meter.stop()
        self._images.stop()
        self._carriers.stop()
        self._large_carriers.stop()

    def run(self, references: Iterable[Reference], output: Output) -> Saved:
        references = tuple(references)
        self._observer.job_started(len(references))
        gathered = self._gathering.gather(references)
        trees = [tree for tree in gathered if isinstance(tree, Tree)]
        if len(trees) < len(gathered):
            return self._saved(gathered, {})
        left_out, notes = self._left_out()
        blobs = {digest: tree for tree in trees for digest in tree.blobs if digest not in left_out}
        output.begin(self._small(trees, blobs, left_out), [tree.blobs[digest] for digest, tree in blobs.items()])
        for digest, tree in blobs.items():
            self._observer.bytes_expected(tree.blobs[digest].size, tree.reference)
        failures = self._carry_all([(tree, tree.blobs[digest]) for digest, tree in blobs.items()], output)
        saved = msgspec.structs.replace(self._saved(gathered, failures), notes=notes)
        return saved if failures else msgspec.structs.replace(saved, files=output.finish())

    def _left_out(self) -> tuple[dict[str, list[str]], tuple[str, ...]]:
        """Return what the other side has, by digest with the images there, and what is not known of it."""
        of_locks, notes = self._gathering.content_of(self.wishes.since)
        given = self.wishes.left_out
        content = {
            digest: list(dict.fromkeys((*given.get(digest, ()), *of_locks.get(digest, ()))))
            for digest in {**given, **of_locks}
        }
        return content, tuple(notes)

    def _small(
        self, trees: Sequence[Tree], blobs: Mapping[str, Tree], left_out: Mapping[str, list[str]]
    ) -> dict[str, bytes]:
        manifests = {digest: raw for tree in trees for digest, raw in tree.manifests.items()}
        used = {digest for tree in trees for digest in tree.blobs}
        return small_files(
            {
                **{tree.reference: tree.root for tree in trees},
                **{tag: raw for tree in trees for tag, raw in tree.tags.items()},
            },
            {digest: raw for tree in trees for digest, raw in tree.referrers.items()},
            manifests.values(),
            [tree.blobs[digest] for digest, tree in blobs.items()],
            {**self.wishes.riders, LOCK: self._lock(trees)},
            platforms=self.wishes.platforms,
            lacks={digest: images for digest, images in left_out.items() if digest in used},
            sign=self.wishes.sign,
        )

    def _carry_all(self, blobs: Sequence[tuple[Tree, Descriptor]], output: Output) -> dict[str, HomeportError]:
        """Write all blobs, the largest first and few of the large ones at once; return what kept some away."""
        largest_first = sorted(blobs, key=lambda blob: -blob[1].size)
        carried = [
            (self._large_carriers if blob.size >= LARGE_BLOB else self._carriers).submit(
                partial(self._carry, tree, blob, output)
            )
            for tree, blob in largest_first
        ]
        return dict(filter(None, map(outcome, carried)))

    def _lock(self, trees: Sequence[Tree]) -> bytes:
        digests = {str(tree.reference): tree.root.digest for tree in trees}
        return Lock(digests, Portion.of(self.wishes.platforms)).encode()

    def _carry(self, tree: Tree, blob: Descriptor, output: Output) -> tuple[str, HomeportError] | None:
        """Write one blob; return what kept it away."""
        try:
            if output.holds(blob):
                self._observer.bytes_expected(-blob.size, tree.reference)
            else:
                self._fetch(tree, blob, output)
        except HomeportError as error:
            return blob.digest, error
        return None

    def _fetch(self, tree: Tree, blob: Descriptor, output: Output) -> None:
        """Fetch what is missing of a blob; all of it where what was there proves to be wrong."""
        begun = output.begun(blob)
        try:
            self._fetch_rest(tree, blob, output, begun)
        except ContentError:
            if not begun.offset:
                raise
            self._fetch_rest(tree, blob, output, NOTHING)

    def _fetch_rest(self, tree: Tree, blob: Descriptor, output: Output, begun: Begun) -> None:
        self._observer.bytes_expected(-begun.offset, tree.reference)
        with tree.source.open_blob(tree.reference.repository, blob, begun) as content:
            counted = CountedReader(content, self._meter, self._observer, tree.reference, begun.offset)
            try:
                output.write(blob, counted, begun.offset)
            except ContentError:
                counted.take_back()
                self._observer.bytes_expected(begun.offset, tree.reference)
                raise

    def _saved(self, gathered: Iterable[Tree | ImageResult], failures: Mapping[str, HomeportError]) -> Saved:
        results = []
        for each in gathered:
            if isinstance(each, ImageResult):
                results.append(each)
                continue
            wanted = Wanted(each.reference, each.reference)
            failed = next((failures[digest] for digest in each.blobs if digest in failures), None)
            result = (
                ImageResult(wanted, "failed", each.root.digest, failed.message, failed.hint)
                if failed
                else ImageResult(wanted, "copied", each.root.digest, note=each.note)
            )
            self._observer.image_finished(result)
            results.append(result)
        return Saved(tuple(results), self._meter.traffic)
