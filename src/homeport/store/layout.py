"""Where things are in the directory of a store; docs/registry.md draws it."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from homeport.errors import UsageError
from homeport.oci.digest import check_digest
from homeport.store.durable import read_file
from homeport.store.names import check_repository

LAYOUT: Final = b"homeport 1\n"

STALE_STAGING: Final = 24 * 3600
STALE_UPLOAD: Final = 7 * 24 * 3600
"""Seconds without a byte after which leftovers are removed."""

_OWN = frozenset({"repositories", "blobs", "staging", "uploads", "spoilt", "tls", "lost+found"})


class Layout:
    """The paths of a store; names are checked on the way in."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.repositories = self.root / "repositories"
        self.blobs = self.root / "blobs"
        self.staging = self.root / "staging"
        self.uploads = self.root / "uploads"
        self.spoilt = self.root / "spoilt"

    def check(self) -> bool:
        """Tell whether a store is here already; raises UsageError where something else is."""
        layout = read_file(f"{self.root}/layout")
        if layout is None and not _OWN.issuperset(names_in(self.root)):
            raise UsageError(
                f"{self.root} holds something else", hint="Name an empty or a new directory for the registry's data."
            )
        if layout is not None and layout != LAYOUT:
            raise UsageError(
                f"{self.root} was written by another version",
                hint="Use the homeport that wrote it, or another directory.",
            )
        return layout is not None

    def place(self, repository: str) -> Path:
        """Return the directory of a repository."""
        return self.repositories / check_repository(repository)

    def link(self, repository: str, digest: str) -> str:
        """Return the file that says that a repository holds a blob."""
        return f"{self.repositories}/{check_repository(repository)}/_blobs/{entry_of(digest)}"

    def content(self, digest: str) -> Path:
        """Return the file of a blob."""
        algorithm, _, encoded = check_digest(digest).partition(":")
        return self.blobs / algorithm / encoded[:2] / encoded

    def walk(self) -> Iterator[tuple[str, Path]]:
        """Yield every repository with its directory, in no order."""
        directories = [("", self.repositories)]
        while directories:
            prefix, directory = directories.pop()
            try:
                with os.scandir(directory) as entries:
                    names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
            except FileNotFoundError:
                continue
            directories += [(f"{prefix}{name}/", directory / name) for name in names if not name.startswith("_")]
            if any(name.startswith("_") for name in names):
                yield prefix.rstrip("/"), directory

    def walk_sorted(self, after: str = "") -> Iterator[tuple[str, Path]]:
        """Yield every repository whose name sorts after a text, sorted; looks only into directories that it comes to."""
        return self._below("", self.repositories, after)

    def _below(self, prefix: str, directory: Path, after: str) -> Iterator[tuple[str, Path]]:
        # In the order of whole names: a-b comes between a and a/b, because - sorts before /.
        for key in sorted(key for name in _directories_in(directory) for key in (name, f"{name}/")):
            name = prefix + key
            if key.endswith("/"):
                if name > after or after.startswith(name):
                    yield from self._below(name, directory / key[:-1], after)
            elif name > after:
                yield name, directory / key


def _directories_in(directory: Path) -> list[str]:
    """Return the directories in one that are a repository or lead to one."""
    try:
        with os.scandir(directory) as entries:
            return [it.name for it in entries if not it.name.startswith("_") and it.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []


def entry_of(digest: str) -> str:
    """Write a digest as the name of a file."""
    return check_digest(digest).replace(":", "-", 1)


def digest_in(entry: str) -> str:
    """Read the name of a file as a digest, which it need not be."""
    return entry.replace("-", ":", 1)


def names_in(directory: Path) -> list[str]:
    """Return the names in a directory, none where there is none."""
    try:
        return os.listdir(directory)  # noqa: PTH208 - for each manifest and tag of a repository
    except (FileNotFoundError, NotADirectoryError):
        return []


def remove_leftovers(layout: Layout) -> None:
    """Remove what was left unfinished long ago."""
    for directory, seconds in ((layout.staging, STALE_STAGING), (layout.uploads, STALE_UPLOAD)):
        for name in names_in(directory):
            path = directory / name
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < time.time() - seconds:
                    path.unlink()
