"""What was seen of pull limits, kept for the next run in one small file: numbers by registry and user name, no secrets."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

import msgspec

from homeport.errors import StoreError
from homeport.oci.unreadable import UNREADABLE
from homeport.quota.experience import Experience
from homeport.store.durable import write_file

MOST_KEPT: Final = 100
"""Identities of which is remembered what they saw: 10 kB."""
_MOST_BYTES = 1 << 16

Key = tuple[str, str]
"""A registry's host, and who one is there."""


class Ledger:
    """A file of experiences, the ones that were used last; whatever is wrong with it, nothing is known. Without a file it holds none."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._known: dict[str, Experience] | None = None

    @classmethod
    def of_user(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Keep it in the user's cache folder (XDG base directory specification)."""
        home = Path(environment.get("HOME") or Path.home())
        return cls(Path(environment.get("XDG_CACHE_HOME") or home / ".cache") / "homeport" / "quota.json")

    def get(self, key: Key) -> Experience:
        """Return what earlier runs saw."""
        if self._known is None:
            self._known = self._read()
        return self._known.get(_name(key), Experience())

    def add(self, seen: Mapping[Key, Experience]) -> None:
        """Leave what a run saw for the runs to come; what another one has left meanwhile stays."""
        if self._file is None or not any(experience != Experience() for experience in seen.values()):
            return
        known = self._read()
        for key, experience in seen.items():
            if experience != Experience():
                known[_name(key)] = experience.after(known.pop(_name(key), Experience()))
        self._known = None
        latest = dict(list(known.items())[-MOST_KEPT:])
        with suppress(OSError, StoreError):
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_file(self._file, msgspec.json.encode(latest) + b"\n", staging=self._file.parent)

    def _read(self) -> dict[str, Experience]:
        if self._file is None:
            return {}
        try:
            with self._file.open("rb") as opened:
                return msgspec.json.decode(opened.read(_MOST_BYTES), type=dict[str, Experience])
        except (OSError, *UNREADABLE):
            return {}


def _name(key: Key) -> str:
    return " ".join(key)
