"""A store in a directory; docs/registry.md draws its layout."""

import fcntl
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from homeport.errors import ContentError, UsageError
from homeport.oci.digest import check_digest, hasher_for, is_digest, matches
from homeport.oci.manifest import RawManifest
from homeport.store.durable import (
    make_directory,
    read_file,
    remove_file,
    sync_directory,
    translated,
    write_file,
    write_mark,
)
from homeport.store.names import check_repository, check_tag
from homeport.store.sessions import FileUpload, Sessions

LAYOUT: Final = b"homeport 1\n"
STALE_STAGING: Final = 24 * 3600
STALE_UPLOAD: Final = 7 * 24 * 3600
"""Seconds without a byte after which leftovers are removed when a store is opened."""

_OWN = frozenset({"repositories", "blobs", "staging", "uploads", "lost+found"})
_RWF_NOWAIT = getattr(os, "RWF_NOWAIT", 0)


class FileSystemStore:
    """A `Store` in a directory of one file system."""

    def __init__(self, root: Path) -> None:
        """Open a directory, or make it a store; raises UsageError where it holds something else, StoreError."""
        root = root.absolute()
        self._repositories = root / "repositories"
        self._blobs = root / "blobs"
        self._staging = root / "staging"
        self._known = {path for path in (root, *root.parents) if path.is_dir()}
        uploads = root / "uploads"
        with translated(f"open {root}"):
            _check_layout(root)
            for directory in (self._repositories, self._blobs, self._staging, uploads):
                make_directory(directory, self._known)
            if read_file(f"{root}/layout") is None:
                write_file(root / "layout", LAYOUT, self._staging)
            _remove_older(self._staging, STALE_STAGING)
            _remove_older(uploads, STALE_UPLOAD)
        self._sessions = Sessions(uploads, self._finish_upload)

    def open_blob(self, repository: str, digest: str) -> "FileBlob | None":
        """Open a blob that the repository holds; one that is gone from the disk is none, so that a push heals it."""
        content = self._content(digest)
        with translated(f"read {digest}"):
            try:
                return (
                    FileBlob(os.open(content, os.O_RDONLY | os.O_CLOEXEC)) if self._holds(repository, digest) else None
                )
            except FileNotFoundError:
                return None

    def link_blob(self, repository: str, digest: str, source: str) -> bool:
        """Let a repository hold a blob of another one too."""
        with translated(f"mount {digest}"):
            held = self._holds(source, digest)
            if held:
                self._hold(repository, digest)
            return held

    def holders(self, digest: str) -> Iterator[str]:
        """Yield the repositories that hold a blob; looks into each, so it takes a while."""
        with translated(f"look for {digest}"):
            if self._content(digest).exists():
                yield from (name for name, place in self._walk() if (place / "_blobs" / _entry(digest)).exists())

    def delete_blob(self, repository: str, digest: str) -> bool:
        """Take a blob from one repository."""
        with translated(f"delete {digest}"):
            return remove_file(self._link(repository, digest))

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
    ) -> Sequence[str]:
        """Store a manifest, then point tags at it; each rename is all or nothing."""
        place = self._place(repository)
        names = [check_tag(tag) for tag in tags]
        entry = _entry(manifest.digest)
        with translated(f"store manifest {manifest.digest}"), self._locked(place):
            missing = [digest for digest in needs if not self._holds(repository, digest)]
            if missing:
                return missing
            if subject:
                referrers = place / "_referrers" / _entry(subject)
                make_directory(referrers, self._known)
                write_mark(referrers / entry)
            self._write(place / "_manifests" / entry, manifest.media_type.encode() + b"\n" + manifest.body)
            for name in names:
                self._write(place / "_tags" / name, manifest.digest.encode() + b"\n")
        return ()

    def get_manifest(self, repository: str, identifier: str) -> RawManifest | None:
        """Return a manifest, checked against its digest."""
        place = f"{self._repositories}/{check_repository(repository)}"
        with translated(f"read {repository} {identifier}"):
            digest = identifier
            if not is_digest(identifier):
                named = read_file(f"{place}/_tags/{check_tag(identifier)}")
                if named is None:
                    return None
                digest = check_digest(named.decode("ascii", "replace").strip())
            content = read_file(f"{place}/_manifests/{_entry(digest)}")
        if content is None:
            return None
        media_type, _, body = content.partition(b"\n")
        hasher = hasher_for(digest)
        hasher.update(body)
        if not matches(hasher, digest):
            raise ContentError(
                f"manifest {digest} of {repository} was spoilt on the disk", hint="Delete it and push the image again."
            )
        return RawManifest(body, media_type.decode(), digest)

    def delete_manifest(self, repository: str, digest: str) -> bool:
        """Delete a manifest and with it all its tags: they are void at once, and swept after it."""
        place = self._place(repository)
        path = place / "_manifests" / _entry(digest)
        if not path.exists():
            return False
        with translated(f"delete manifest {digest}"), self._locked(place):
            deleted = remove_file(path)
            for name in _names(place / "_tags"):
                if read_file(f"{place}/_tags/{name}") == digest.encode() + b"\n":
                    remove_file(place / "_tags" / name)
            return deleted

    def delete_tag(self, repository: str, tag: str) -> bool:
        """Delete a tag and leave its manifest."""
        with translated(f"delete tag {tag}"):
            return remove_file(self._place(repository) / "_tags" / check_tag(tag))

    def tags(self, repository: str, *, after: str = "", limit: int) -> list[str] | None:
        """Return up to `limit` tags that sort after a text; tags of a deleted manifest are none."""
        place = self._place(repository)
        with translated(f"list the tags of {repository}"):
            manifests = set(_names(place / "_manifests"))
            if not manifests:
                return None
            found: list[str] = []
            for name in sorted(name for name in _names(place / "_tags") if name > after):
                if len(found) >= limit:
                    break
                named = read_file(f"{place}/_tags/{name}")
                if named and named.decode().strip().replace(":", "-", 1) in manifests:
                    found.append(name)
            return found

    def repositories(self, *, after: str = "", limit: int) -> list[str]:
        """Return up to `limit` repositories that hold a manifest and sort after a text."""
        with translated("list the repositories"):
            found = (name for name, place in self._walk() if name > after and any(_names(place / "_manifests")))
            return sorted(found)[:limit]

    def referrers(self, repository: str, subject: str) -> list[str]:
        """Return the digests of what refers to a digest in a repository."""
        place = self._place(repository)
        with translated(f"list what refers to {subject}"):
            marks = sorted(_names(place / "_referrers" / _entry(subject)))
            return [mark.replace("-", ":", 1) for mark in marks if (place / "_manifests" / mark).exists()]

    def _walk(self) -> Iterator[tuple[str, Path]]:
        """Yield every repository with its directory, in no order."""
        directories = [("", self._repositories)]
        while directories:
            prefix, directory = directories.pop()
            with os.scandir(directory) as entries:
                names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
            directories += [(f"{prefix}{name}/", directory / name) for name in names if not name.startswith("_")]
            if any(name.startswith("_") for name in names):
                yield prefix.rstrip("/"), directory

    def _finish_upload(self, repository: str, path: Path, digest: str) -> None:
        """Move a synced file to its place, even over an old copy: a push heals what the disk has spoilt."""
        content = self._content(digest)
        make_directory(content.parent, self._known)
        path.replace(content)
        sync_directory(content.parent)
        self._hold(repository, digest)

    def _holds(self, repository: str, digest: str) -> bool:
        return self._link(repository, digest).exists() and self._content(digest).exists()

    def _hold(self, repository: str, digest: str) -> None:
        link = self._link(repository, digest)
        make_directory(link.parent, self._known)
        write_mark(link)

    def _write(self, path: Path, content: bytes) -> None:
        """Write a file unless it says so already; then see to it that its name is durable."""
        make_directory(path.parent, self._known)
        if read_file(str(path)) == content:
            sync_directory(path.parent)
        else:
            write_file(path, content, self._staging)

    @contextmanager
    def _locked(self, place: Path) -> Iterator[None]:
        """One change at a time to a repository's manifests, over all threads and processes."""
        make_directory(place, self._known)
        handle = os.open(place / "_lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _place(self, repository: str) -> Path:
        return self._repositories / check_repository(repository)

    def _link(self, repository: str, digest: str) -> Path:
        return self._repositories / check_repository(repository) / "_blobs" / _entry(digest)

    def _content(self, digest: str) -> Path:
        algorithm, _, encoded = check_digest(digest).partition(":")
        return self._blobs / algorithm / encoded[:2] / encoded


class FileBlob:
    """A blob in a file."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self.size = os.fstat(handle).st_size

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes, fewer only at the end."""
        with translated("read a blob"):
            return os.pread(self._handle, length, offset)

    def read_now(self, offset: int, length: int) -> bytearray | None:
        """Return what is in the page cache; None where the disk would have to be waited for."""
        buffer = bytearray(min(length, max(self.size - offset, 0)))
        try:
            count = os.preadv(self._handle, [buffer], offset, _RWF_NOWAIT)
        except OSError:
            return None
        return buffer if count == len(buffer) else None

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)


def _entry(digest: str) -> str:
    return check_digest(digest).replace(":", "-", 1)


def _names(directory: Path) -> list[str]:
    try:
        return [path.name for path in directory.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _check_layout(root: Path) -> None:
    layout = read_file(f"{root}/layout")
    if layout is None and not _OWN.issuperset(_names(root)):
        raise UsageError(
            f"{root} holds something else", hint="Name an empty or a new directory for the registry's data."
        )
    if layout is not None and layout != LAYOUT:
        raise UsageError(
            f"{root} was written by another version", hint="Use the homeport that wrote it, or another directory."
        )


def _remove_older(directory: Path, seconds: float) -> None:
    for name in _names(directory):
        path = directory / name
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < time.time() - seconds:
                path.unlink()
