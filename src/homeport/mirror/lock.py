"""homeport.lock: the digest that each tag had."""

from pathlib import Path
from typing import Final, Self

import msgspec

from homeport.errors import HomeportError, InputError, StoreError
from homeport.mirror.result import MirrorResult
from homeport.oci.digest import check_digest
from homeport.oci.unreadable import UNREADABLE
from homeport.reference import Reference
from homeport.store.durable import write_file

LOCK: Final = "homeport.lock"


def is_lock(file: Path) -> bool:
    """Tell whether a file is written as a lock is, rather than as an archive; a folder, and what cannot be read, is not."""
    try:
        with file.open("rb") as opened:
            return opened.read(64).lstrip().startswith(b"{")
    except OSError:
        return False


class Lock(msgspec.Struct, frozen=True):
    """What each reference of a source named: a digest. Written as one JSON object, sorted."""

    digests: dict[str, str] = {}

    @classmethod
    def of(cls, result: MirrorResult) -> Self:
        """Hold what a mirror brought, and what it found to be there."""
        return cls(
            {
                str(image.wanted.source): image.digest
                for image in result.images
                if image.digest and image.status != "failed"
            }
        )

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read a lock; raises InputError."""
        try:
            digests = msgspec.json.decode(file.read_bytes(), type=dict[str, str])
            for reference, digest in digests.items():
                Reference.parse(reference)
                check_digest(digest)
        except OSError as error:
            raise InputError(error.strerror or str(error), file=str(file)) from None
        except (*UNREADABLE, HomeportError) as error:
            raise InputError(
                f"is no lock: {error}", file=str(file), hint="A lock is a JSON object of names and digests."
            ) from None
        return cls(digests)

    def after(self, result: MirrorResult) -> Self:
        """Return the lock as it is after a mirror: what failed keeps the digest that it had, what was not asked for is dropped."""
        asked = {str(image.wanted.source) for image in result.images}
        kept = {name: digest for name, digest in self.digests.items() if name in asked}
        return type(self)({**kept, **self.of(result).digests})

    def digest(self, reference: Reference) -> str | None:
        """Return the digest that a reference had; None if the lock does not know it."""
        return self.digests.get(str(reference.pinned))

    def encode(self) -> bytes:
        """Return the lock as the bytes of its file."""
        return msgspec.json.format(msgspec.json.encode(dict(sorted(self.digests.items()))), indent=2) + b"\n"

    def write(self, file: Path) -> None:
        """Write the lock, whole or not at all; raises StoreError."""
        try:
            write_file(file, self.encode(), staging=file.parent)
        except OSError as error:
            raise StoreError(f"cannot write {file}: {error.strerror}") from None
