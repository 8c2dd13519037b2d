"""Images at hand, in layouts, as sources beside registries."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager

from homeport.mirror.job import Sources
from homeport.mirror.ports import NOTHING, Begun, BlobReader, ManifestHead, Source
from homeport.oci.manifest import Descriptor, RawManifest
from homeport.reference import Reference
from homeport.store.oci_layout import Layout


def with_layouts(layouts: Sequence[Layout], remote: Sequence[Reference], find: Sources) -> Sources:
    """Return sources that look into layouts first; registries are asked only about the repositories of `remote`."""
    registries = {reference.registry for layout in layouts for reference in layout.references}
    asked = {reference.registry: set[str]() for reference in remote}
    for reference in remote:
        asked[reference.registry].add(reference.repository)

    def sources(registry: str) -> Source:
        if registry not in registries:
            return find(registry)
        return _Several(layouts, registry, asked.get(registry, set()), find)

    return sources


class _Several:
    """The images of one registry in several layouts, and in the registry itself for the repositories that it is asked about."""

    def __init__(self, layouts: Sequence[Layout], registry: str, asked: Collection[str], find: Sources) -> None:
        self._layouts, self._registry, self._asked = layouts, registry, asked
        self._local = [layout.at(registry) for layout in layouts]
        self._remote = find(registry) if asked else None
        self.is_local = not asked

    def head_manifest(self, repository: str, identifier: str) -> ManifestHead | None:
        heads = (source.head_manifest(repository, identifier) for source in self._sources(repository))
        return next(filter(None, heads), None)

    def get_manifest(self, repository: str, identifier: str) -> RawManifest:
        *_, last = self._sources(repository)
        holders = (source for source in self._local if source.head_manifest(repository, identifier))
        return next(holders, last).get_manifest(repository, identifier)

    @contextmanager
    def open_blob(self, repository: str, blob: Descriptor, begun: Begun = NOTHING, /) -> Iterator[BlobReader]:
        *_, last = self._sources(repository)
        holders = (
            source for layout, source in zip(self._layouts, self._local, strict=True) if layout.holds(blob.digest)
        )
        with next(holders, last).open_blob(repository, blob, begun) as content:
            yield content

    def referrers(self, repository: str, digest: str) -> tuple[Descriptor, ...] | None:
        listed = (source.referrers(repository, digest) or () for source in self._sources(repository))
        return tuple({each.digest: each for part in listed for each in part}.values())

    def tags(self, repository: str) -> Iterable[str]:
        return dict.fromkeys(tag for source in self._sources(repository) for tag in source.tags(repository))

    def _sources(self, repository: str) -> tuple[Source, ...]:
        return (*self._local, self._remote) if self._remote and repository in self._asked else tuple(self._local)
