"""What has changed since an earlier verification, by its report (-o json)."""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from homeport.errors import UsageError
from homeport.oci.unreadable import UNREADABLE
from homeport.workflow.verify import Origin, Status, Verdict, Verification


class Moved(msgspec.Struct, frozen=True, order=True):
    """An image whose name stands for another digest now."""

    image: str
    before: str
    now: str


class Turned(msgspec.Struct, frozen=True, order=True):
    """An image of which something else is known now."""

    image: str
    before: tuple[Status, ...]
    now: tuple[Status, ...]


class Drift(msgspec.Struct, frozen=True):
    """All that has changed; images are told apart by name."""

    appeared: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    moved: tuple[Moved, ...] = ()
    turned: tuple[Turned, ...] = ()


class Earlier(msgspec.Struct, frozen=True):
    """The part of a report that counts."""

    registry: str
    images: tuple[Verdict, ...]

    @classmethod
    def read(cls, file: Path, registry: str) -> "Earlier":
        """Read a report; raises UsageError where it is none, or one about another registry."""
        try:
            found = msgspec.json.decode(file.read_bytes(), type=cls)
        except OSError as error:
            raise UsageError(f"--since {file}: it cannot be read: {error.strerror}") from None
        except UNREADABLE as error:
            raise UsageError(
                f"--since {file}: it is no report of verify: {error}",
                hint="Write one: homeport verify ... -o json > FILE",
            ) from None
        if found.registry != registry:
            raise UsageError(f"--since {file}: it is about {found.registry}, not about {registry}")
        return found

    def drift(self, now: Iterable[Verdict]) -> Drift:
        """Compare."""
        before, after = _by_image(self.images), _by_image(now)
        both = sorted(before.keys() & after.keys())
        pairs = [(image, _digest(before[image]), _digest(after[image])) for image in both]
        states = [(image, _statuses(before[image]), _statuses(after[image])) for image in both]
        return Drift(
            tuple(sorted(after.keys() - before.keys())),
            tuple(sorted(before.keys() - after.keys())),
            tuple(Moved(image, old, new) for image, old, new in pairs if old and new and old != new),
            tuple(Turned(image, old, new) for image, old, new in states if old != new),
        )


def with_drift(verification: Verification, drift: Drift, origin: Origin) -> Verification:
    """Count a moved name as wrong, unless the lock says what it stands for: names and digests belong together."""
    locked = {str(reference) for reference in origin.digests}
    added = tuple(
        Verdict(it.image, "differs", it.now, (f"{it.now} now, {it.before} at the last report",))
        for it in drift.moved
        if it.image not in locked
    )
    moved = {it.image for it in added}
    kept = (it for it in verification.verdicts if it.status != "proven" or it.image not in moved)
    return Verification(tuple(sorted((*kept, *added))), verification.errors)


def _by_image(verdicts: Iterable[Verdict]) -> dict[str, list[Verdict]]:
    found: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        found.setdefault(verdict.image, []).append(verdict)
    return found


def _digest(verdicts: Iterable[Verdict]) -> str:
    return next((verdict.digest for verdict in verdicts if verdict.digest), "")


def _statuses(verdicts: Iterable[Verdict]) -> tuple[Status, ...]:
    return tuple(sorted({verdict.status for verdict in verdicts}))
