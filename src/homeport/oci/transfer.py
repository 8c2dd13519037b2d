"""Content on its way: what hands it out, and where it goes."""

from typing import Final, Protocol

import msgspec

from homeport.oci.digest import Hasher


class BlobReader(Protocol):
    """Verified content as it streams: the last read raises ContentError unless digest and size are as named."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the buffer from its start; return the number of bytes, 0 at the end."""

    def seek(self, offset: int, /) -> None:
        """Go back to an offset that was reached before, so that an upload that was cut goes on there."""


class Begun(msgspec.Struct, frozen=True):
    """The first bytes of a blob, which are at hand elsewhere: how many, and their running hash.

    Without a hash nobody here has seen them: then what follows cannot be verified as it streams, and the whole must be before it
    is used. `rereads` says whether what came before is read again, unseen, where a source gives a blob from its start alone; otherwise
    BeganAnewError is raised, and the next read begins there.
    """

    offset: int = 0
    hasher: Hasher | None = None
    rereads: bool = True


NOTHING: Final = Begun()


class Upload(msgspec.Struct, frozen=True):
    """An upload that the target has opened; `location` is the target's own affair."""

    location: str
    offset: int = 0
    """How many bytes of the content the target has."""
