"""Bundles that hold only what the other side lacks: what that is, and whether the rest is there."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from homeport.errors import HomeportError
from homeport.mapping import Mapping as Names
from homeport.mirror.bundle.contents import Contents, read_contents
from homeport.mirror.plan import Wanted, want
from homeport.mirror.platforms import wanted_children
from homeport.mirror.ports import Target
from homeport.mirror.result import ImageResult
from homeport.mirror.traffic import Meter, MeteredTarget
from homeport.mirror.workers import Flights, Workers
from homeport.oci.manifest import Descriptor, Manifest, parse_manifest
from homeport.reference import Reference
from homeport.store.oci_layout import Layout

_AT_ONCE = 16
_SHOWN = 3


def content_of(layout: Layout) -> dict[str, list[str]]:
    """Return all blobs that a layout holds, or leaves to an earlier one, with the names of the images that have them."""
    contents = read_contents(layout.files)
    found: dict[str, list[str]] = dict(contents.lacks) if contents else {}
    for named in layout.images:
        if named.reference:
            for manifest in manifests_of(layout, named.manifest.digest, contents.platforms if contents else (), set()):
                for blob in manifest.blobs:
                    names = found.setdefault(blob.digest, [])
                    if str(named.reference) not in names:
                        names.append(str(named.reference))
    return found


def manifests_of(layout: Layout, digest: str, platforms: Sequence[str], seen: set[str]) -> Iterable[Manifest]:
    """Yield a manifest of a layout and all below it but for those in `seen`, which grows."""
    if digest in seen:
        return
    seen.add(digest)
    manifest = parse_manifest(layout.manifest(digest))
    yield manifest
    for child in wanted_children(manifest, platforms):
        yield from manifests_of(layout, child.digest, platforms, seen)


def homes_of(contents: Contents, mapping: Names) -> dict[str, tuple[str, ...]]:
    """Tell in which repositories of the target content is that was left out."""
    return {
        digest: tuple(dict.fromkeys(mapping.relocate(Reference.parse(name)).repository for name in names))
        for digest, names in contents.lacks.items()
    }


def look_for_left_out(
    layout: Layout, contents: Contents, mapping: Names, target: Target, references: Iterable[Reference]
) -> tuple[tuple[ImageResult, ...], int]:
    """Ask the target for what was left out; return the images of which it lacks something, and the number of requests."""
    if not contents.lacks:
        return (), 0
    meter, workers = Meter(), Workers(_AT_ONCE, "look")
    search = _Search(layout, contents, MeteredTarget(target, meter), homes_of(contents, mapping), workers)
    try:
        found = [search.result_of(wanted) for wanted in want(references, mapping)]
    finally:
        workers.stop()
    return tuple(filter(None, found)), meter.traffic.target


class _Search:
    """Looks for blobs at a target, for each once."""

    def __init__(
        self,
        layout: Layout,
        contents: Contents,
        target: Target,
        homes: Mapping[str, Sequence[str]],
        workers: Workers,
    ) -> None:
        self._layout, self._contents, self._target = layout, contents, target
        self._homes, self._workers = homes, workers
        self._digests = {named.reference: named.manifest.digest for named in layout.images if named.reference}
        self._found: Flights[tuple[str, str], bool] = Flights()

    def result_of(self, wanted: Wanted) -> ImageResult | None:
        """Return what keeps an image from being brought: something that is in neither place; None where nothing does."""
        try:
            return self._look(wanted)
        except HomeportError:
            return None  # whatever is wrong is said when it is brought

    def _look(self, wanted: Wanted) -> ImageResult | None:
        digest, repository = self._digests.get(wanted.source), wanted.target.repository
        left_out = self._left_out(digest) if digest else []
        if not digest or not left_out or self._is_there(wanted, digest):
            return None
        there = self._workers.map(partial(self._is_anywhere, repository), left_out)
        missing = [blob for blob, is_there in zip(left_out, there, strict=True) if not is_there]
        if not missing:
            return None
        shown = ", ".join(blob.digest for blob in missing[:_SHOWN])
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        names = dict.fromkeys(name for blob in missing for name in self._contents.lacks[blob.digest])
        return ImageResult(
            wanted,
            "failed",
            digest,
            f"{wanted.source}: {self._layout.files.name()} does not hold {shown}{more}, and the target does not have it",
            f"It was made with --since: load the bundle first that has {', '.join(list(names)[:_SHOWN])}.",
        )

    def _left_out(self, digest: str) -> list[Descriptor]:
        manifests = manifests_of(self._layout, digest, self._contents.platforms, set())
        blobs = {blob.digest: blob for manifest in manifests for blob in manifest.blobs}
        return [blob for name, blob in blobs.items() if name in self._contents.lacks]

    def _is_there(self, wanted: Wanted, digest: str) -> bool:
        head = self._target.head_manifest(wanted.target.repository, wanted.target.identifier)
        return head is not None and head.digest == digest

    def _is_anywhere(self, repository: str, blob: Descriptor) -> bool:
        places = dict.fromkeys((*self._homes[blob.digest], repository))
        return any(
            self._found.do((place, blob.digest), partial(self._target.has_blob, place, blob.digest)) for place in places
        )
