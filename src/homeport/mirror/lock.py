"""homeport.lock: the digest that each tag had, and which part of the images was brought."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

import msgspec

from homeport.errors import HomeportError, InputError, StoreError, UsageError
from homeport.mirror.platforms import is_platform
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


class Portion(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """Which part of images that have several platforms is brought, all by default; its fields are keys of the file.

    They cannot be taken for images there, whose names always have a registry and a slash.
    """

    platforms: tuple[str, ...] = ()
    rebuild_index: bool = False

    @classmethod
    def of(cls, platforms: Sequence[str] = (), *, rebuild_index: bool = False) -> Self:
        """Hold platforms in an order of their own."""
        return cls(tuple(sorted(set(platforms))), rebuild_index)

    def __str__(self) -> str:
        platforms = f"{', '.join(self.platforms)} alone" if self.platforms else "all platforms"
        return f"{platforms} and --rebuild-index" if self.rebuild_index else platforms


class Lock(msgspec.Struct, frozen=True):
    """What each reference of a source named: a digest. Written as one JSON object, sorted, with the portion before the images."""

    digests: dict[str, str] = {}
    portion: Portion = Portion()

    @classmethod
    def of(cls, result: MirrorResult, portion: Portion = Portion()) -> Self:  # noqa: B008  # frozen
        """Hold what a mirror of a portion brought, and what it found to be there."""
        return cls(
            {
                str(image.wanted.source): image.digest
                for image in result.images
                if image.digest and image.status != "failed"
            },
            portion,
        )

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read a lock; raises InputError."""
        try:
            content = file.read_bytes()
            portion = msgspec.json.decode(content, type=Portion)
            named = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
            digests = {
                name: msgspec.json.decode(raw, type=str)
                for name, raw in named.items()
                if name not in Portion.__struct_encode_fields__
            }
            for reference, digest in digests.items():
                Reference.parse(reference)
                check_digest(digest)
            if wrong := [each for each in portion.platforms if not is_platform(each)]:
                raise HomeportError(f"{wrong[0]!r} is no platform")  # noqa: TRY301  # said as for the other parts
        except OSError as error:
            raise InputError(error.strerror or str(error), file=str(file)) from None
        except (*UNREADABLE, HomeportError) as error:
            raise InputError(
                f"is no lock: {error}", file=str(file), hint="A lock is a JSON object of names and digests."
            ) from None
        return cls(digests, Portion.of(portion.platforms, rebuild_index=portion.rebuild_index))

    def after(self, result: MirrorResult, portion: Portion = Portion()) -> Self:  # noqa: B008  # frozen
        """Return the lock as it is after a mirror: what failed keeps the digest that it had, what was not asked for is dropped."""
        asked = {str(image.wanted.source) for image in result.images}
        kept = {name: digest for name, digest in self.digests.items() if name in asked}
        return type(self)({**kept, **self.of(result).digests}, portion)

    def check(self, wanted: Portion, file: Path, hint: str) -> None:
        """Raise UsageError unless the lock was made with this portion: it says nothing of what another one brings."""
        if wanted != self.portion:
            raise UsageError(f"{file} was made with {self.portion}, not with {wanted}", hint=hint)

    def digest(self, reference: Reference) -> str | None:
        """Return the digest that a reference had; None if the lock does not know it."""
        return self.digests.get(str(reference.pinned))

    def encode(self) -> bytes:
        """Return the lock as the bytes of its file."""
        fields = {**msgspec.to_builtins(self.portion), **dict(sorted(self.digests.items()))}
        return msgspec.json.format(msgspec.json.encode(fields), indent=2) + b"\n"

    def write(self, file: Path) -> None:
        """Write the lock, whole or not at all; raises StoreError."""
        try:
            write_file(file, self.encode(), staging=file.parent)
        except OSError as error:
            raise StoreError(f"cannot write {file}: {error.strerror}") from None
