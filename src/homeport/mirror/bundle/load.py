"""Bring the images of a bundle to a registry, and check a bundle."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from homeport.errors import ContentError, HomeportError, StoreError
from homeport.mapping import Mapping as Names
from homeport.mirror.bundle.contents import RIDERS, Contents, read_contents
from homeport.mirror.bundle.delta import homes_of, look_for_left_out, manifests_of
from homeport.mirror.bundle.parts import check_sums, part_sums
from homeport.mirror.executor import mirror
from homeport.mirror.observer import Observer
from homeport.mirror.ports import Target
from homeport.mirror.result import MirrorResult
from homeport.mirror.spool import Spool
from homeport.oci.manifest import Descriptor
from homeport.reference import Reference
from homeport.store.durable import write_file
from homeport.store.files import read_whole
from homeport.store.oci_layout import MOST_INDEX_BYTES, Layout


def load(
    layout: Layout,
    mapping: Names,
    target: Target,
    *,
    references: Sequence[Reference] | None = None,
    platforms: Sequence[str] = (),
    rebuild_index: bool = False,
    keep_tags: bool = False,
    observer: Observer | None = None,
    spool: Spool | None = None,
) -> MirrorResult:
    """Bring the images of a layout, or some of them, to a registry, as `mirror` does from a registry; nothing is unpacked.

    With `platforms`, and `rebuild_index`, as for mirror(), only these of images that have several. What a delta left out is taken from where the target
    has it; an image of which the target lacks something fails before anything is brought. `spool` knows the uploads that a run
    before this has left.
    """
    contents = read_contents(layout.files)
    observer = observer or Observer()
    named = layout.references if references is None else references
    wanted = tuple(dict.fromkeys(reference.pinned for reference in named))
    lacking, asked = look_for_left_out(layout, contents, mapping, target, wanted) if contents else ((), 0)
    if lacking:
        observer.job_started(len(lacking))
    for result in lacking:
        observer.image_finished(result)
    failed = {result.wanted.source for result in lacking}
    loaded = mirror(
        [reference for reference in wanted if reference not in failed],
        mapping,
        layout.at,
        target,
        observer=observer,
        platforms=platforms or (contents.platforms if contents else ()),
        homes=homes_of(contents, mapping) if contents else {},
        referrers=True,
        rebuild_index=rebuild_index,
        keep_tags=keep_tags,
        spool=spool,
    )
    traffic = msgspec.structs.replace(loaded.traffic, target=loaded.traffic.target + asked)
    results = {result.wanted.source: result for result in (*lacking, *loaded.images)}
    return MirrorResult(tuple(results[reference] for reference in wanted), traffic)


def verify(layout: Layout, paths: Sequence[Path]) -> list[str]:
    """Read all of a layout and return what is wrong with it, in words: nothing, unless it is damaged or incomplete."""
    contents = read_contents(layout.files)
    wrong: list[str] = []
    if parts := part_sums(paths):
        try:
            check_sums(*parts)
        except HomeportError as error:
            wrong.append(error.message)
    seen: set[str] = set()
    for named in layout.images:
        platforms = contents.platforms if contents else ()
        wrong += _verify_tree(layout, named.manifest.digest, contents, platforms, seen)
    for referrer in (each for listed in layout.referrers.values() for each in listed):
        wrong += _verify_tree(layout, referrer.digest, contents, (), seen)
    return list(dict.fromkeys(wrong))


def write_riders(layout: Layout, folder: Path) -> tuple[Path, ...]:
    """Write the files that came along into a folder that exists; return them. Raises ContentError, StoreError."""
    contents = read_contents(layout.files)
    written = []
    for name in contents.riders if contents else ():
        body = read_whole(layout.files, RIDERS + name, MOST_INDEX_BYTES)
        file = folder / name
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            if not file.parent.resolve().is_relative_to(folder.resolve()):
                raise ContentError(f"{file} is not written: a link leads out of {folder}")
            write_file(file, body, file.parent)
        except OSError as error:
            raise StoreError(f"cannot write {file}: {error.strerror}") from None
        written.append(file)
    return tuple(written)


def _verify_tree(
    layout: Layout, digest: str, contents: Contents | None, platforms: Sequence[str], seen: set[str]
) -> Iterable[str]:
    lacks = contents.lacks if contents else {}
    try:
        for manifest in manifests_of(layout, digest, platforms, seen):
            yield from _verify_blobs(layout, (blob for blob in manifest.blobs if blob.digest not in lacks), seen)
    except HomeportError as error:
        yield error.message


def _verify_blobs(layout: Layout, blobs: Iterable[Descriptor], seen: set[str]) -> Iterable[str]:
    for blob in blobs:
        if blob.digest not in seen:
            seen.add(blob.digest)
            try:
                layout.blob(blob).read_through()
            except HomeportError as error:
                yield error.message
