"""Is everything there, and is it what it says? Reads a whole store, names each damage, and mends what can be mended."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import msgspec

from homeport.errors import ContentError
from homeport.oci.digest import hasher_for, is_digest, matches
from homeport.oci.manifest import Manifest, RawManifest, parse_manifest
from homeport.oci.media_types import IMAGE_TYPES
from homeport.reference import is_tag
from homeport.store.deletion import is_unfinished
from homeport.store.durable import make_directory, read_file, remove_file, sync_directory, translated, write_mark
from homeport.store.layout import Layout, digest_in, entry_of, names_in
from homeport.store.leases import locked

CHUNK_BYTES = 1 << 20


class Damage(msgspec.Struct, frozen=True):
    """What is wrong, where, and whether it was mended."""

    where: str
    what: str
    repaired: bool = False

    def __str__(self) -> str:
        return f"{self.where}: {self.what}{' (repaired)' if self.repaired else ''}"


def check_store(layout: Layout, *, repair: bool = False) -> Iterator[Damage]:
    """Yield every damage; raises StoreError. What requests are writing at the moment is not taken for one."""
    with translated(f"check {layout.root}"):
        yield from _blobs(layout, repair=repair)
        for name, place in layout.walk():
            yield from _Repository(layout, name, place, repair=repair).check()


def _blobs(layout: Layout, *, repair: bool) -> Iterator[Damage]:
    for algorithm in sorted(names_in(layout.blobs)):
        for shard in sorted(names_in(layout.blobs / algorithm)):
            for encoded in sorted(names_in(layout.blobs / algorithm / shard)):
                path, digest = layout.blobs / algorithm / shard / encoded, f"{algorithm}:{encoded}"
                where = str(path.relative_to(layout.root))
                if not is_digest(digest) or encoded[:2] != shard:
                    yield Damage(where, "not the name of a blob")
                elif not _is_whole(path, digest):
                    mended = repair and _set_aside(layout, path, path.parent, partial(_is_spoilt, path, digest))
                    yield Damage(where, "not what its digest says; push the image again", mended)


def _is_whole(path: Path, digest: str) -> bool:
    hasher = hasher_for(digest)
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                hasher.update(chunk)
    except FileNotFoundError:
        return True  # removed meanwhile
    return matches(hasher, digest)


def _is_spoilt(path: Path, digest: str) -> bool:
    return not _is_whole(path, digest)


def _manifest_in(path: Path) -> tuple[str, bytes]:
    media_type, _, body = (read_file(str(path)) or b"").partition(b"\n")
    return media_type.decode("utf-8", "replace"), body


def _is_spoilt_manifest(path: Path, digest: str) -> bool:
    hasher = hasher_for(digest)
    hasher.update(_manifest_in(path)[1])
    return not matches(hasher, digest) and path.exists()


def _set_aside(layout: Layout, path: Path, lock: Path, is_spoilt: Callable[[], bool]) -> bool:
    """Move a file that is spoilt still out of the way: then it is unknown, and a client that looks pushes it again."""
    make_directory(layout.spoilt, {layout.root})
    with locked(lock):
        if is_spoilt():
            os.replace(path, layout.spoilt / path.name)  # noqa: PTH105 - one call, as durable does
    sync_directory(layout.spoilt)
    sync_directory(path.parent)
    return True


class _Repository:
    def __init__(self, layout: Layout, name: str, place: Path, *, repair: bool) -> None:
        self._layout, self._name, self._place, self._repair = layout, name, place, repair
        self._manifests: dict[str, Manifest] = {}

    def check(self) -> Iterator[Damage]:
        yield from self._read_manifests()
        yield from self._check_holds()
        yield from self._check_tags()
        for digest, manifest in sorted(self._manifests.items()):
            yield from self._check_manifest(digest, manifest)

    def _read_manifests(self) -> Iterator[Damage]:
        for entry in sorted(names_in(self._place / "_manifests")):
            digest, path = digest_in(entry), self._place / "_manifests" / entry
            if not is_digest(digest):
                yield Damage(f"{self._name}/_manifests/{entry}", "not the name of a manifest")
                continue
            if _is_spoilt_manifest(path, digest):
                mended = self._repair and _set_aside(
                    self._layout, path, self._place, partial(_is_spoilt_manifest, path, digest)
                )
                yield Damage(f"{self._name}@{digest}", "not what its digest says; push the image again", mended)
                continue
            media_type, body = _manifest_in(path)
            try:
                self._manifests[digest] = parse_manifest(RawManifest(body, media_type, digest))
            except ContentError:
                self._manifests[digest] = Manifest(media_type)

    def _check_holds(self) -> Iterator[Damage]:
        for entry in sorted(names_in(self._place / "_blobs")):
            digest = digest_in(entry)
            if not is_digest(digest):
                yield Damage(f"{self._name}/_blobs/{entry}", "not the name of a blob")
            elif not self._layout.content(digest).exists() and (self._place / "_blobs" / entry).exists():
                mended = self._repair and self._drop(self._place / "_blobs" / entry)
                yield Damage(f"{self._name}@{digest}", "the blob is gone; push the image again", mended)

    def _check_tags(self) -> Iterator[Damage]:
        for tag in sorted(names_in(self._place / "_tags")):
            path = self._place / "_tags" / tag
            named = (read_file(str(path)) or b"").decode("ascii", "replace").strip()
            if not is_tag(tag):
                yield Damage(f"{self._name}/_tags/{tag}", "not the name of a tag")
            elif path.exists() and not (is_digest(named) and self._is_known(named)):
                mended = self._repair and self._drop(path)
                yield Damage(f"{self._name}:{tag}", f"names {named[:80] or 'nothing'}, which is not there", mended)

    def _check_manifest(self, digest: str, manifest: Manifest) -> Iterator[Damage]:
        where = f"{self._name}@{digest}"
        if manifest.media_type in IMAGE_TYPES:
            for blob in manifest.blobs:
                link, content = Path(self._layout.link(self._name, blob.digest)), self._layout.content(blob.digest)
                if content.exists() and not link.exists():
                    yield Damage(where, f"the repository does not hold {blob.digest}", self._mark(link))
                elif not content.exists():
                    yield Damage(where, f"the blob {blob.digest} is gone; push the image again")
        if manifest.subject:
            mark = self._place / "_referrers" / entry_of(manifest.subject.digest) / entry_of(digest)
            if not mark.exists():
                yield Damage(where, f"not listed among what refers to {manifest.subject.digest}", self._mark(mark))

    def _is_known(self, digest: str) -> bool:
        """Tell whether a tag may name this: it is there, or its deletion was interrupted and will be ended."""
        return (self._place / "_manifests" / entry_of(digest)).exists() or is_unfinished(self._place, digest)

    def _mark(self, path: Path) -> bool:
        if self._repair:
            make_directory(path.parent, {self._layout.root})
            write_mark(path)
        return self._repair

    def _drop(self, path: Path) -> bool:
        with locked(self._place):
            return remove_file(path)
