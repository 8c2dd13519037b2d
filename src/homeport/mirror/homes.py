"""Where the target has blobs, so that they are mounted rather than sent again: nothing here asks the target.

It is known from whoever starts a job, from what earlier runs brought, and from images of the job that are there. What is wrong by
now costs nothing: a mount that fails opens the upload that would have been opened anyway.
"""

import threading
from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

import msgspec

from homeport.errors import ContentError
from homeport.mirror.kept import KeptManifests
from homeport.oci.manifest import parse_manifest
from homeport.oci.unreadable import UNREADABLE

Homes = Mapping[str, tuple[str, ...]]
"""The repositories of the target that have a blob, by its digest."""

MOST_KEPT: Final = 20_000
"""Blobs of which is remembered where one registry has them: 2 MB, read when a first blob is to be sent."""


class TargetHomes:
    """What is known of one target; any number of threads may use it. `kept` is where earlier runs left it, and this one does."""

    def __init__(
        self, given: Homes = MappingProxyType({}), kept: KeptManifests | None = None, registry: str = ""
    ) -> None:
        self._given, self._kept = given, kept
        self._name = f"homes-{quote(registry, safe='')}"
        self._lock = threading.Lock()
        self._remembered: dict[str, str] | None = None
        self._there: list[tuple[str, str]] = []
        self._brought: dict[str, str] = {}

    def of(self, digest: str) -> tuple[str, ...]:
        """Return repositories that have a blob, or had it."""
        if given := self._given.get(digest):
            return given
        with self._lock:
            if self._remembered is None:
                self._remembered = self._read()
            while self._there:
                self._learn(*self._there.pop())
            home = self._brought.get(digest) or self._remembered.get(digest)
        return (home,) if home else ()

    def is_given(self, digest: str) -> bool:
        """Tell whether whoever started the job says that the target has a blob."""
        return digest in self._given

    def see(self, repository: str, digest: str) -> None:
        """Note that an image is there; what it names is looked up once somebody asks for a blob."""
        with self._lock:
            self._there.append((repository, digest))

    def bring(self, repository: str, digest: str) -> None:
        """Note that a blob is there."""
        with self._lock:
            self._brought.setdefault(digest, repository)

    def keep(self) -> None:
        """Leave what was brought for the runs to come, the latest last; where that fails, they send more."""
        if self._kept and self._brought:
            known = self._read()
            for digest, repository in self._brought.items():
                known.pop(digest, None)
                known[digest] = repository
            latest = dict(list(known.items())[-MOST_KEPT:])
            self._kept.write(self._name, msgspec.json.encode(latest))

    def _read(self) -> dict[str, str]:
        content = self._kept.read(self._name) if self._kept else None
        try:
            return msgspec.json.decode(content or b"{}", type=dict[str, str])
        except UNREADABLE:
            return {}

    def _learn(self, repository: str, digest: str) -> None:
        raw = self._kept.get(digest) if self._kept else None
        if raw is None:
            return
        with suppress(ContentError):
            manifest = parse_manifest(raw)
            self._there += [(repository, child.digest) for child in manifest.children]
            for blob in manifest.blobs:
                self._brought.setdefault(blob.digest, repository)
