"""Garbage collection, while the registry serves: what nothing names and nobody has touched for a while is removed.

A file's mtime is its last touch (see `leases`). The collector looks for what is unused without any lock, and then at each
file once more under the lock that requests take to renew a lease. Four steps, each safe by itself: manifests without a tag,
where a rule names their repository; marks of referrers that are gone; a repository's hold on a blob that no manifest of it
names; blobs that no repository holds.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from homeport.errors import StoreError
from homeport.oci.digest import digests_in, hasher_for, is_digest, matches
from homeport.store.deletion import finish_deletion, unfinished
from homeport.store.durable import read_file, remove_file, translated
from homeport.store.layout import Layout, digest_in, entry_of, names_in, remove_leftovers
from homeport.store.leases import LEASE_SECONDS, locked
from homeport.store.names import matches_any

GRACE_SECONDS = 4 * LEASE_SECONDS


class Policy(msgspec.Struct, frozen=True):
    """What is removed: after how many seconds untouched, and in which repositories untagged manifests, by pattern."""

    grace: float = GRACE_SECONDS
    untagged: tuple[str, ...] = ()
    dry_run: bool = False
    lease: float = LEASE_SECONDS


class Collected(msgspec.Struct):
    """What was removed, or would be, and what was left alone because it could not be read."""

    manifests: list[str] = []
    holds: int = 0
    blobs: int = 0
    bytes: int = 0
    marks: int = 0
    unreadable: list[str] = []

    def __str__(self) -> str:
        text = f"{len(self.manifests)} manifests, {self.holds} holds, {self.blobs} blobs, {self.bytes} bytes"
        return f"{text}; left alone: {', '.join(self.unreadable)}" if self.unreadable else text


def collect(layout: Layout, policy: Policy) -> Collected:
    """Collect once; raises StoreError, also where another collection is running."""
    if policy.grace < 2 * policy.lease:
        raise StoreError(f"a grace of {policy.grace:g} s is too short", hint=f"Wait {2 * policy.lease:g} s at least.")
    done = Collected()
    run = _Run(layout, policy, time.time() - policy.grace, done)
    with translated("collect"), _alone(layout):
        for repository, place in layout.walk():
            run.repository(repository, place)
        run.contents()
        if not policy.dry_run:
            remove_leftovers(layout)
    return done


@contextmanager
def _alone(layout: Layout) -> Iterator[None]:
    handle = os.open(layout.staging, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError("another collection is running", hint="Wait until it is done.") from None
        yield
    finally:
        os.close(handle)


class _Run:
    def __init__(self, layout: Layout, policy: Policy, before: float, done: Collected) -> None:
        self._layout, self._policy, self._before, self._done = layout, policy, before, done
        self._dropped: set[Path] = set()

    def repository(self, name: str, place: Path) -> None:
        """Collect in one repository; one that holds a manifest nobody can read is left alone."""
        if not self._policy.dry_run:
            for digest in unfinished(place):
                with locked(place):
                    finish_deletion(place, digest)
        old = [entry for entry in names_in(place / "_blobs") if self._is_old(place / "_blobs" / entry)]
        named: dict[str, set[str]] = {}
        for entry in names_in(place / "_manifests"):
            digests = _named_by(place / "_manifests" / entry, digest_in(entry))
            if digests is None:
                self._done.unreadable.append(name)
                return
            named[digest_in(entry)] = digests
        if matches_any(self._policy.untagged, name):
            for digest in self._unused_manifests(place, named):
                if self._remove(place / "_manifests" / entry_of(digest), place):
                    self._done.manifests.append(f"{name}@{digest}")
        self._marks(place)
        used = set().union(*named.values()) if named else set()
        for entry in old:
            if digest_in(entry) not in used and self._remove(place / "_blobs" / entry, place):
                self._dropped.add(place / "_blobs" / entry)
                self._done.holds += 1

    def _marks(self, place: Path) -> None:
        """Remove what says that a manifest refers to another, where that manifest was deleted."""
        for subject in names_in(place / "_referrers"):
            for entry in names_in(place / "_referrers" / subject):
                mark, manifest = place / "_referrers" / subject / entry, place / "_manifests" / entry
                if manifest.exists() or not self._is_old(mark):
                    continue
                with locked(place):  # a push makes the mark first, then the manifest
                    if not manifest.exists() and self._is_old(mark):
                        self._done.marks += self._policy.dry_run or remove_file(mark)

    def contents(self) -> None:
        """Remove blobs that no repository holds."""
        held = {
            entry
            for _, place in self._layout.walk()
            for entry in names_in(place / "_blobs")
            if place / "_blobs" / entry not in self._dropped
        }
        for algorithm in names_in(self._layout.blobs):
            for shard in names_in(self._layout.blobs / algorithm):
                directory = self._layout.blobs / algorithm / shard
                for encoded in names_in(directory):
                    path = directory / encoded
                    if f"{algorithm}-{encoded}" in held or not self._is_old(path):
                        continue
                    size = path.stat().st_size
                    if self._remove(path, directory):
                        self._done.blobs += 1
                        self._done.bytes += size

    def _unused_manifests(self, place: Path, named: dict[str, set[str]]) -> list[str]:
        """Return what neither a tag, nor something touched of late, nor anything kept names, and what refers to none such."""
        tags = (read_file(f"{place}/_tags/{tag}") or b"" for tag in names_in(place / "_tags"))
        tagged = {tag.decode("ascii", "replace").strip() for tag in tags}
        kept = {d for d in named if d in tagged or not self._is_old(place / "_manifests" / entry_of(d))}
        pointing: dict[str, set[str]] = {}
        for subject in names_in(place / "_referrers"):
            pointing[digest_in(subject)] = {digest_in(mark) for mark in names_in(place / "_referrers" / subject)}
        waiting = list(kept)
        while waiting:
            digest = waiting.pop()
            more = (named[digest] | pointing.get(digest, set())) & named.keys() - kept
            kept |= more
            waiting += more
        return sorted(named.keys() - kept)

    def _is_old(self, path: Path) -> bool:
        try:
            return path.stat().st_mtime < self._before
        except FileNotFoundError:
            return False

    def _remove(self, path: Path, lock: Path) -> bool:
        """Remove a file unless it was touched since it was looked at."""
        with locked(lock):
            return self._is_old(path) and (self._policy.dry_run or remove_file(path))


def _named_by(path: Path, digest: str) -> set[str] | None:
    """Return all digests that a manifest names; None where it cannot be read."""
    content = read_file(str(path))
    if content is None:
        return set()
    _, _, body = content.partition(b"\n")
    if not is_digest(digest):
        return None
    hasher = hasher_for(digest)
    hasher.update(body)
    return digests_in(body) if matches(hasher, digest) else None
