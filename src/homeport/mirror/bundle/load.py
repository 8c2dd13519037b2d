"""Bring the images of a bundle to a registry, and check a bundle."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from homeport.errors import ContentError, HomeportError
from homeport.mapping import Mapping as Names
from homeport.mirror.bundle.archives import check_sums, part_sums
from homeport.mirror.bundle.contents import CONTENTS, CONTENTS_SUM, RIDERS, Contents, read_contents
from homeport.mirror.executor import mirror
from homeport.mirror.observer import Observer
from homeport.mirror.platforms import wanted_children
from homeport.mirror.ports import Target
from homeport.mirror.result import MirrorResult
from homeport.mirror.spool import Spool
from homeport.oci.manifest import Descriptor, Manifest, parse_manifest
from homeport.reference import Reference
from homeport.store.durable import write_file
from homeport.store.files import Archive, read_whole
from homeport.store.oci_layout import MOST_INDEX_BYTES, Layout


def load(
    layout: Layout,
    mapping: Names,
    target: Target,
    *,
    references: Sequence[Reference] | None = None,
    keep_tags: bool = False,
    observer: Observer | None = None,
    spool: Spool | None = None,
) -> MirrorResult:
    """Bring the images of a layout, or some of them, to a registry, as `mirror` does from a registry; nothing is unpacked.

    What a delta left out is taken from where the target has it. `spool` knows the uploads that a run before this has left.
    """
    contents = read_contents(layout.files)
    return mirror(
        layout.references if references is None else references,
        mapping,
        layout.at,
        target,
        observer=observer,
        platforms=contents.platforms if contents else (),
        homes=_homes(contents, mapping) if contents else {},
        referrers=True,
        keep_tags=keep_tags,
        spool=spool,
    )


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
    if contents and isinstance(layout.files, Archive):
        strange = sorted(set(layout.files.table) - set(contents.files) - {CONTENTS, CONTENTS_SUM})
        wrong += [f"{layout.files.name(path)}: {path} is not in the table of contents" for path in strange]
    return list(dict.fromkeys(wrong))


def write_riders(layout: Layout, folder: Path) -> tuple[Path, ...]:
    """Write the files that came along into a folder that exists; return them. Raises ContentError, StoreError."""
    contents = read_contents(layout.files)
    written = []
    for name in contents.riders if contents else ():
        if "/" in name or name in ("", ".", ".."):
            raise ContentError(f"{layout.files.name()}: it names a file {name!r}, which is outside of it")
        body = read_whole(layout.files, RIDERS + name, MOST_INDEX_BYTES)
        write_file(folder / name, body, folder)
        written.append(folder / name)
    return tuple(written)


def content_of(layout: Layout) -> dict[str, list[str]]:
    """Return all blobs that a layout holds, or leaves to an earlier one, with the names of the images that have them."""
    contents = read_contents(layout.files)
    found: dict[str, list[str]] = dict(contents.lacks) if contents else {}
    for named in layout.images:
        if named.reference:
            for manifest in _manifests(layout, named.manifest.digest, contents.platforms if contents else (), set()):
                for blob in manifest.blobs:
                    names = found.setdefault(blob.digest, [])
                    if str(named.reference) not in names:
                        names.append(str(named.reference))
    return found


def _manifests(layout: Layout, digest: str, platforms: Sequence[str], seen: set[str]) -> Iterable[Manifest]:
    if digest in seen:
        return
    seen.add(digest)
    manifest = parse_manifest(layout.manifest(digest))
    yield manifest
    for child in wanted_children(manifest, platforms):
        yield from _manifests(layout, child.digest, platforms, seen)


def _verify_tree(
    layout: Layout, digest: str, contents: Contents | None, platforms: Sequence[str], seen: set[str]
) -> Iterable[str]:
    lacks = contents.lacks if contents else {}
    try:
        for manifest in _manifests(layout, digest, platforms, seen):
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


def _homes(contents: Contents, mapping: Names) -> Mapping[str, tuple[str, ...]]:
    """Tell in which repositories of the target content is that a delta left out."""
    return {
        digest: tuple(dict.fromkeys(mapping.relocate(Reference.parse(name)).repository for name in names))
        for digest, names in contents.lacks.items()
    }
