"""Content on its way: what hands it out, and where it goes."""

from typing import Protocol

import msgspec


class BlobReader(Protocol):
    """Verified content as it streams: the last read raises ContentError unless digest and size are as named."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the buffer from its start; return the number of bytes, 0 at the end."""

    def seek(self, offset: int, /) -> None:
        """Go back to an offset that was reached before, so that an upload that was cut goes on there."""


class Upload(msgspec.Struct, frozen=True):
    """An upload that the target has opened; `location` is the target's own affair."""

    location: str
    offset: int = 0
    """How many bytes of the content the target has."""
