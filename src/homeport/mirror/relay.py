"""A blob between its source and the target, where either may break off."""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Self

from homeport.errors import BeganAnewError, ContentError
from homeport.mirror.ports import Source
from homeport.mirror.spool import Part, Spool
from homeport.oci.manifest import Descriptor
from homeport.oci.transfer import NOTHING, Begun, BlobReader

HELD_BYTES = 1 << 20
"""Blobs up to this size are held in memory while they are on their way."""


class Relay:
    """Streams a blob as it comes; one that must be sent, or read, again from its start goes by way of a file.

    So a target that loses what it got costs a second fetch at most, as does a source that can only begin anew, and the source need not
    wait for a slow target then.
    `check` is called now and then, and may raise.
    """

    def __init__(
        self, source: Source, origin: str, blob: Descriptor, spool: Spool | None, check: Callable[[], None]
    ) -> None:
        self._source, self._origin, self._blob = source, origin, blob
        self._spool = None if source.is_local else spool
        self._check = check
        self._opened = ExitStack()
        self._part: Part | None = None
        self._content: BlobReader
        self._start = self._at = 0
        self.is_verified = True
        """Whether all that was handed out is hashed; False where the target had a part that was never seen here."""

    def open(self, offset: int, *, is_weak: bool) -> None:
        """Begin at an offset; `is_weak` tells that this blob broke off before. Raises RegistryError, ContentError."""
        if self._spool and (self._spool.has_part(self._blob) or (is_weak and not offset)) and self._take_file():
            self._content.seek(offset)
        elif self._blob.size <= HELD_BYTES:
            self._content = self._held()
            self._content.seek(offset)
        else:
            self._stream(offset)
        self._at = offset

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the buffer from its start; return the number of bytes, 0 at the end. Raises ContentError, RegistryError."""
        try:
            count = self._read(buffer)
        except ContentError:
            if self._part:
                self._part.drop()
            raise
        self._at += count
        return count

    def _read(self, buffer: memoryview) -> int:
        try:
            return self._content.readinto(buffer)
        except BeganAnewError:
            self._begin_anew()
            return self._content.readinto(buffer)

    def seek(self, offset: int, /) -> None:
        """Go back; to the start by way of a file, as what the target lost once it may lose again."""
        is_stream = self._part is None and self._blob.size > HELD_BYTES
        if is_stream and offset != self._at and (not offset or offset < self._start):
            self._opened.close()
            if not self._take_file():
                self._stream(0)
        self._at = offset
        try:
            self._content.seek(offset)
        except BeganAnewError:
            self._begin_anew()

    def done(self) -> None:
        """The target has the blob."""
        if self._part:
            self._part.drop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._opened.close()
        if self._part:
            self._part.close()

    def _stream(self, offset: int) -> None:
        self._start, self.is_verified = offset, not offset or self._source.is_local
        begun = Begun(offset, rereads=self._spool is None)
        self._content = self._opened.enter_context(self._source.open_blob(self._origin, self._blob, begun))

    def _begin_anew(self) -> None:
        """Take a blob that comes from its start again to a file, or else skip what was there before."""
        if self._take_file(self._content):
            self._opened.close()
            self._content.seek(self._at)
            return
        self._spool = None
        self._opened.close()
        self._stream(0)
        rest = self._at
        buffer = memoryview(bytearray(min(rest, HELD_BYTES)))
        while rest:
            rest -= self._content.readinto(buffer[:rest])

    def _held(self) -> BlobReader:
        content = memoryview(bytearray(self._blob.size))
        rest = content
        with self._source.open_blob(self._origin, self._blob) as reader:
            while rest and (count := reader.readinto(rest)):
                rest = rest[count:]
        return _Held(content)

    def _take_file(self, content: BlobReader | None = None) -> bool:
        """Bring the blob, or `content` that stands at its start, to a file and read from there; False where that cannot be."""
        part = self._spool.part(self._blob) if self._spool else None
        if part is None:
            return False
        self._part = part
        try:
            self._fill(part, content)
        except OSError:
            # The disk is full, or fails: the copy does not need it.
            part.drop()
            part.close()
            self._part = None
            return False
        self._content, self._start, self.is_verified = part.reader(), 0, True
        return True

    def _fill(self, part: Part, content: BlobReader | None) -> None:
        if content:
            part.clear()
            with suppress(BeganAnewError):
                self._copy(content, part)
            self._opened.close()  # whoever asks for another download must hold none
        begun = part.begun()
        try:
            self._fetch(part, begun)
        except ContentError:
            part.clear()
            if not begun.offset:
                raise
            self._fetch(part, NOTHING)

    def _fetch(self, part: Part, begun: Begun) -> None:
        if begun.offset == self._blob.size:
            return
        with self._source.open_blob(self._origin, self._blob, begun) as content:
            self._copy(content, part)

    def _copy(self, content: BlobReader, part: Part) -> None:
        buffer = memoryview(bytearray(HELD_BYTES))
        while count := content.readinto(buffer):
            self._check()
            part.append(buffer[:count])


class _Held:
    """Content in memory."""

    def __init__(self, content: memoryview) -> None:
        self._content = self._rest = content

    def readinto(self, buffer: memoryview, /) -> int:
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def seek(self, offset: int, /) -> None:
        self._rest = self._content[offset:]
