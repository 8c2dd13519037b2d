"""Manifests that were fetched once, kept on disk, so that no run pays a counted pull for them again.

A manifest is named by its digest and checked against it when it is read: what a crash left half-written is as good as nothing.
"""

import os
import threading
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Final, Self

from homeport.mirror.mirrors import MirroredSource, Place
from homeport.mirror.ports import NOTHING, Begun, BlobReader, ManifestHead, Source
from homeport.mirror.traffic import Meter, MeteredSource, Patience
from homeport.oci.digest import digest_of, is_digest
from homeport.oci.manifest import MAX_MANIFEST_BYTES, Descriptor, RawManifest

MOST_BYTES: Final = 256 << 20


class KeptManifests:
    """A folder of manifests, the ones that were used last; whatever goes wrong with it, a manifest is fetched instead."""

    def __init__(self, folder: Path, most: int = MOST_BYTES) -> None:
        self._folder = folder
        self._most = most
        self._lock = threading.Lock()
        self._room = 0

    @classmethod
    def of_user(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Keep manifests in the user's cache folder (XDG base directory specification)."""
        home = Path(environment.get("HOME") or Path.home())
        return cls(Path(environment.get("XDG_CACHE_HOME") or home / ".cache") / "homeport" / "manifests")

    def get(self, digest: str) -> RawManifest | None:
        """Return a manifest that is kept, verified."""
        file = self._file(digest)
        try:
            if file.stat().st_size > MAX_MANIFEST_BYTES:
                return None
            body = file.read_bytes()
            os.utime(file)
        except OSError:
            return None
        raw = RawManifest.of(body)
        is_whole = digest_of(body, digest.partition(":")[0]) == digest
        return RawManifest(body, raw.media_type, digest) if is_whole and raw.media_type else None

    def keep(self, raw: RawManifest) -> None:
        """Keep a manifest, unless its type could not be told from it again."""
        if RawManifest.of(raw.body).media_type == raw.media_type:
            self.write(self._file(raw.digest).name, raw.body)

    def read(self, name: str) -> bytes | None:
        """Return what else is kept under a name; whoever reads it has to check it."""
        try:
            return (self._folder / name).read_bytes()
        except OSError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Keep something else under a name, whole or not at all."""
        temporary = self._folder / f".{uuid.uuid4().hex}"
        with suppress(OSError):
            self._make_room(len(content))
            try:
                temporary.write_bytes(content)
                temporary.replace(self._folder / name)
            finally:
                temporary.unlink(missing_ok=True)

    def _file(self, digest: str) -> Path:
        return self._folder / digest.replace(":", "-")

    def _make_room(self, size: int) -> None:
        """Look through the folder now and then; where too much is in it, remove half, the longest unused first."""
        with self._lock:
            self._room -= size
            if self._room > 0:
                return
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = sorted(
                (entry.stat().st_mtime, entry.stat().st_size, entry.path) for entry in os.scandir(self._folder)
            )
            total = sum(length for _, length, _ in found)
            if total + size > self._most:
                for _, length, path in found:
                    Path(path).unlink(missing_ok=True)
                    total -= length
                    if total <= self._most // 2:
                        break
            self._room = max(self._most - total, self._most // 8)


class KeptSource:
    """A source that is asked for a manifest only once, in this run or an earlier one."""

    is_local = False

    def __init__(self, source: Source, kept: KeptManifests) -> None:
        self._source = source
        self._kept = kept

    def head_manifest(self, repository: str, identifier: str) -> ManifestHead | None:
        """Ask for a manifest without fetching it: what a tag means is never kept."""
        return self._source.head_manifest(repository, identifier)

    def get_manifest(self, repository: str, identifier: str) -> RawManifest:
        """Return a manifest, from the folder if it is there."""
        if is_digest(identifier) and (found := self._kept.get(identifier)):
            return found
        raw = self._source.get_manifest(repository, identifier)
        self._kept.keep(raw)
        return raw

    def open_blob(
        self, repository: str, blob: Descriptor, begun: Begun = NOTHING, /
    ) -> AbstractContextManager[BlobReader]:
        """Stream a blob, or what follows its first bytes."""
        return self._source.open_blob(repository, blob, begun)

    def referrers(self, repository: str, digest: str) -> tuple[Descriptor, ...] | None:
        """List referrers."""
        return self._source.referrers(repository, digest)

    def tags(self, repository: str) -> Iterable[str]:
        """List tags."""
        return self._source.tags(repository)


def metered(
    source: Source,
    meter: Meter,
    kept: KeptManifests | None = None,
    patience: Patience | None = None,
    mirrors: Sequence[Place] = (),
) -> Source:
    """Return a source that is counted, and asked neither for what is kept nor for what its mirrors have."""
    counted: Source = MeteredSource(source, meter, patience)
    if mirrors:
        places = [Place(MeteredSource(each.source, meter, is_limited=False), each.path) for each in mirrors]
        counted = MirroredSource(counted, places)
    return KeptSource(counted, kept) if kept and not source.is_local else counted
