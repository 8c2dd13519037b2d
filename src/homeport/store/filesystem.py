"""A store in a directory; docs/registry.md draws its layout."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from homeport.errors import ContentError
from homeport.oci.digest import digests_in, hasher_for, is_digest, matches
from homeport.oci.manifest import RawManifest
from homeport.store.deletion import delete_with_tags, finish_deletion, is_unfinished, tags_of
from homeport.store.durable import (
    make_directory,
    read_file,
    remove_file,
    sync_directory,
    translated,
    write_file,
    write_mark,
)
from homeport.store.layout import LAYOUT, Layout, digest_in, entry_of, names_in, remove_leftovers
from homeport.store.leases import LEASE_SECONDS, Leases, locked
from homeport.store.names import check_fixed, check_repository, check_tag
from homeport.store.protocol import always, never
from homeport.store.recent import RecentManifests, stamp_of
from homeport.store.recent_blobs import RecentBlobs
from homeport.store.sessions import FileUpload, Sessions

_RWF_NOWAIT = getattr(os, "RWF_NOWAIT", 0)


class FileSystemStore:
    """A `Store` in a directory of one file system."""

    def __init__(self, root: Path, *, lease_seconds: float = LEASE_SECONDS) -> None:
        """Open a directory, or make it a store; raises UsageError where it holds something else, StoreError."""
        self.layout = layout = Layout(root)
        self._leases = Leases(lease_seconds)
        self._recent, self._blobs = RecentManifests(), RecentBlobs()
        self._known = {path for path in (layout.root, *layout.root.parents) if path.is_dir()}
        with translated(f"open {layout.root}"):
            known = layout.check()
            for directory in (layout.repositories, layout.blobs, layout.staging, layout.uploads):
                make_directory(directory, self._known)
            if not known:
                write_file(layout.root / "layout", LAYOUT, layout.staging)
            remove_leftovers(layout)
        self._sessions = Sessions(layout.uploads, self._finish_upload)

    def open_blob(self, repository: str, digest: str) -> "FileBlob | None":
        """Open a blob that the repository holds; one that is gone from the disk is none, so that a push heals it."""
        with translated(f"read {digest}"):
            if not self._has_link(repository, digest):
                return None
            try:
                return FileBlob(os.open(self.layout.content(digest), os.O_RDONLY | os.O_CLOEXEC), self._blobs)
            except FileNotFoundError:
                return None

    def link_blob(self, repository: str, digest: str, source: str) -> bool:
        """Let a repository hold a blob of another one too."""
        with translated(f"mount {digest}"):
            content = self.layout.content(digest)
            # The content is renewed too: a collector that has looked at this repository already takes it for unused.
            held = self._has_link(source, digest) and self._leases.holds(content, content.parent)
            if held:
                self._hold(repository, digest)
            return held

    def holders(self, digest: str) -> Iterator[str]:
        """Yield the repositories that hold a blob; looks into each, so it takes a while."""
        with translated(f"look for {digest}"):
            if self.layout.content(digest).exists():
                yield from (name for name, _ in self.layout.walk() if Path(self.layout.link(name, digest)).exists())

    def delete_blob(self, repository: str, digest: str) -> bool:
        """Take a blob from one repository."""
        with translated(f"delete {digest}"):
            return remove_file(Path(self.layout.link(repository, digest)))

    def start_upload(self, repository: str) -> str:
        """Open an upload and return its id."""
        return self._sessions.start(check_repository(repository))

    def open_upload(self, repository: str, session: str) -> FileUpload | None:
        """Go on with an upload; an earlier writer loses it."""
        return self._sessions.open(check_repository(repository), session)

    def upload_size(self, repository: str, session: str) -> int | None:
        """Return how many bytes an upload has received."""
        return self._sessions.size(check_repository(repository), session)

    def cancel_upload(self, repository: str, session: str) -> bool:
        """End an upload and drop its bytes."""
        return self._sessions.cancel(check_repository(repository), session)

    def put_manifest(
        self,
        repository: str,
        manifest: RawManifest,
        *,
        tags: Iterable[str] = (),
        needs: Iterable[str] = (),
        subject: str | None = None,
        fixed: Callable[[str], bool] = never,
    ) -> Sequence[str]:
        """Store a manifest, then point tags at it; each rename is all or nothing."""
        place = self.layout.place(repository)
        names = [check_tag(tag) for tag in tags]
        entry = entry_of(manifest.digest)
        with translated(f"store manifest {manifest.digest}"), self._locked(place):
            missing = [digest for digest in needs if not self._keeps(repository, digest)]
            if missing:
                return missing
            for name in filter(fixed, names):
                check_fixed(name, self._named_by(place, name), manifest.digest)
            if is_unfinished(place, manifest.digest):  # its old tags must not come back with it
                finish_deletion(place, manifest.digest)
            for digest in digests_in(manifest.body):
                self._leases.renew(self.layout.link(repository, digest))
                self._leases.renew(place / "_manifests" / entry_of(digest))
            if subject:
                referrers = place / "_referrers" / entry_of(subject)
                make_directory(referrers, self._known)
                write_mark(referrers / entry)
            self._write(place / "_manifests" / entry, manifest.media_type.encode() + b"\n" + manifest.body)
            for name in names:
                self._write(place / "_tags" / name, manifest.digest.encode() + b"\n")
        return ()

    def get_manifest(self, repository: str, identifier: str) -> RawManifest | None:
        """Return a manifest, checked against its digest; one that is asked for by it is safe for a while."""
        place = self.layout.place(repository)
        with translated(f"read {repository} {identifier}"):
            digest, files = identifier, []
            if not is_digest(identifier):
                tag = f"{place}/_tags/{check_tag(identifier)}"
                files.append((tag, stamp_of(tag)))
                named = read_file(tag)
                if named is None:
                    return None
                digest = _digest_in(named, repository, identifier)
            path = f"{place}/_manifests/{entry_of(digest)}"
            if digest == identifier:
                self._leases.holds(path, place)
            files.append((path, stamp_of(path)))
            content = read_file(path)
        if content is None:
            return None
        media_type, _, body = content.partition(b"\n")
        hasher = hasher_for(digest)
        hasher.update(body)
        if not matches(hasher, digest):
            raise ContentError(
                f"manifest {digest} of {repository} was spoilt on the disk", hint="Delete it and push the image again."
            )
        manifest = RawManifest(body, media_type.decode(), digest)
        self._recent.put(repository, identifier, manifest, files)
        return manifest

    def manifest_now(self, repository: str, identifier: str) -> RawManifest | None:
        """Return a manifest that was read before and did not change."""
        return self._recent.get(repository, identifier)

    def delete_manifest(self, repository: str, digest: str, *, fixed: Callable[[str], bool] = never) -> bool:
        """Delete a manifest and with it all its tags: they are void at once."""
        place = self.layout.place(repository)
        path = place / "_manifests" / entry_of(digest)
        if not path.exists():
            return False
        with translated(f"delete manifest {digest}"), self._locked(place):
            tags = tags_of(place, digest)
            for name in filter(fixed, tags):
                check_fixed(name, digest, "")
            return delete_with_tags(place, digest, tags, self._known)

    def delete_tag(self, repository: str, tag: str) -> bool:
        """Delete a tag and leave its manifest."""
        with translated(f"delete tag {tag}"):
            return remove_file(self.layout.place(repository) / "_tags" / check_tag(tag))

    def tags(self, repository: str, *, after: str = "", limit: int) -> list[str] | None:
        """Return up to `limit` tags that sort after a text; tags of a deleted manifest are none."""
        place = self.layout.place(repository)
        with translated(f"list the tags of {repository}"):
            manifests = set(names_in(place / "_manifests"))
            if not manifests:
                return None
            found: list[str] = []
            for name in sorted(name for name in names_in(place / "_tags") if name > after):
                if len(found) >= limit:
                    break
                named = read_file(f"{place}/_tags/{name}")
                if named and named.decode().strip().replace(":", "-", 1) in manifests:
                    found.append(name)
            return found

    def repositories(self, *, after: str = "", limit: int, keep: Callable[[str], bool] = always) -> list[str]:
        """Return up to `limit` repositories that hold a manifest and sort after a text."""
        with translated("list the repositories"):
            found = self.layout.walk_sorted(after)
            holding = (name for name, place in found if keep(name) and any(names_in(place / "_manifests")))
            return list(islice(holding, limit))

    def referrers(self, repository: str, subject: str) -> list[str]:
        """Return the digests of what refers to a digest in a repository."""
        place = self.layout.place(repository)
        with translated(f"list what refers to {subject}"):
            marks = sorted(names_in(place / "_referrers" / entry_of(subject)))
            return [digest_in(mark) for mark in marks if (place / "_manifests" / mark).exists()]

    def _finish_upload(self, repository: str, path: Path, digest: str) -> None:
        """Move a synced file to its place, even over an old copy: a push heals what the disk has spoilt."""
        content = self.layout.content(digest)
        make_directory(content.parent, self._known)
        with locked(content.parent):
            path.replace(content)
        sync_directory(content.parent)
        self._hold(repository, digest)

    def _named_by(self, place: Path, tag: str) -> str | None:
        """Return what a tag names, if that is there."""
        named = (read_file(f"{place}/_tags/{tag}") or b"").decode("ascii", "replace").strip()
        return named if is_digest(named) and (place / "_manifests" / entry_of(named)).exists() else None

    def _has_link(self, repository: str, digest: str) -> bool:
        return self._leases.holds(self.layout.link(repository, digest), self.layout.place(repository))

    def _keeps(self, repository: str, digest: str) -> bool:
        """Tell whether the repository holds a blob, and keep it so for a while; its lock is held."""
        return self._leases.renew(self.layout.link(repository, digest)) and self.layout.content(digest).exists()

    def _hold(self, repository: str, digest: str) -> None:
        """Let a repository hold a blob whose content is safe for a while."""
        link = Path(self.layout.link(repository, digest))
        make_directory(link.parent, self._known)
        with self._locked(link.parent.parent):
            link.touch(0o644)
        sync_directory(link.parent)

    def _write(self, path: Path, content: bytes) -> None:
        """Write a file unless it says so already; then renew its lease, and see to it that its name is durable."""
        make_directory(path.parent, self._known)
        if read_file(str(path)) == content:
            self._leases.renew(path)
            sync_directory(path.parent)
        else:
            write_file(path, content, self.layout.staging)

    @contextmanager
    def _locked(self, place: Path) -> Iterator[None]:
        """One change at a time to a repository, over all threads and processes."""
        make_directory(place, self._known)
        with locked(place):
            yield


class FileBlob:
    """A blob in a file."""

    def __init__(self, handle: int, recent: RecentBlobs) -> None:
        self._handle, self._recent = handle, recent
        self._status = os.fstat(handle)
        self.size = self._status.st_size

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes, fewer only at the end."""
        with translated("read a blob"):
            return os.pread(self._handle, length, offset)

    def read_into(self, buffer: memoryview, offset: int) -> bool:
        """Fill a buffer from the page cache; False where the disk would have to be waited for."""
        try:
            return os.preadv(self._handle, [buffer], offset, _RWF_NOWAIT) == len(buffer)
        except OSError:
            return False

    def at_hand(self) -> bytes | None:
        """Return all of it if it is asked for often."""
        return self._recent.content(self._handle, self._status)

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)


def _digest_in(named: bytes, repository: str, tag: str) -> str:
    digest = named.decode("ascii", "replace").strip()
    if not is_digest(digest):
        raise ContentError(
            f"tag {tag} of {repository} was spoilt on the disk", hint="Push the image again, or delete the tag."
        )
    return digest
