"""Downloads of blobs: verified as they stream, resumed after cuts."""

from contextlib import suppress

from homeport.errors import BeganAnewError, ContentError, UnreachableError
from homeport.oci.digest import hasher_for, matches
from homeport.oci.manifest import Descriptor
from homeport.oci.transfer import Begun
from homeport.registry.auth import pull_scope
from homeport.registry.http import Answer, Ask, Host
from homeport.registry.retry import ATTEMPTS, backoff
from homeport.registry.transport import BLOCK

_MARK = 4 << 20
"""Bytes between two places to which one can go back without hashing again what is before them."""


class BlobDownload:
    """A blob as it streams from a registry: hashed on the way, asked for again from where a cut came.

    The bytes that complete the blob are handed out only if digest and size are right; where the hash of bytes that are elsewhere is
    unknown, the size alone can be.
    """

    def __init__(self, host: Host, repository: str, blob: Descriptor, begun: Begun) -> None:
        self._host, self._repository, self._blob = host, repository, blob
        self._hasher = begun.hasher if begun.offset else hasher_for(blob.digest)
        self._offset = begun.offset
        self._marks = [(self._offset, self._hasher and self._hasher.copy())]
        self._rereads, self._is_anew, self._has_ranges = begun.rereads, False, False
        self._answer: Answer | None = None
        # The place is kept while a cut is mended: who took it meanwhile could wait for this one's upload to end.
        self._leave = host.enter("download")
        try:
            self._open()
        except BaseException:
            self._leave()
            raise

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the buffer from its start; return the number of bytes, 0 at the end. Raises ContentError, RegistryError."""
        self._check_place()
        wanted = min(len(buffer), self._blob.size - self._offset)
        if wanted == 0:
            return 0
        count = self._read(buffer[:wanted])
        self._offset += count
        if self._hasher:
            self._hasher.update(buffer[:count])
        if self._offset - self._marks[-1][0] >= _MARK:
            self._marks.append((self._offset, self._hasher and self._hasher.copy()))
        self._host.received(count)
        if self._offset == self._blob.size:
            self._finish()
        return count

    def seek(self, offset: int, /) -> None:
        """Go back, not beyond where it began: what lies between the last mark and the offset is fetched and hashed again."""
        if offset == self._offset:
            return
        self._disconnect()
        while self._marks[-1][0] > offset:
            self._marks.pop()
        self._offset, hasher = self._marks[-1]
        self._hasher = hasher and hasher.copy()
        self._open()
        # A source that may not go on at an offset would have to be read from its start at the next cut, too.
        self._is_anew = self._is_anew or not (self._offset or self._rereads or self._has_ranges)
        self._check_place()
        before = memoryview(bytearray(min(BLOCK, offset - self._offset)))
        while self._offset < offset:
            self.readinto(before[: offset - self._offset])

    def close(self) -> None:
        """Be done, at the end or before; once."""
        self._disconnect()
        self._leave()

    def _disconnect(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.close()

    def _read(self, buffer: memoryview) -> int:
        failures = 0
        while True:
            try:
                answer = self._answer or self._open()
                self._check_place()
                count = answer.readinto(buffer)
                if count:
                    return count
                failure = UnreachableError(f"{self._named}: the connection ended early", host=self._host.name)
            except UnreachableError as error:
                failure = error
            self._disconnect()
            failures += 1
            if failures == ATTEMPTS:
                raise UnreachableError(
                    f"{self._named}: cut off {failures} times at byte {self._offset} of {self._blob.size}: {failure}",
                    host=self._host.name,
                    hint=failure.hint,
                ) from failure
            where = f"blob {self._blob.digest[:19]} at byte {self._offset} of {self._blob.size}"
            self._host.pace.pause(backoff(failures), failures, f"{where}: {failure.message}")

    def _check_place(self) -> None:
        """Raise BeganAnewError once where the source began anew."""
        if self._is_anew:
            self._is_anew = False
            raise BeganAnewError(f"{self._named}: it gives no part of a blob", host=self._host.name)

    def _open(self) -> Answer:
        headers = {"Range": f"bytes={self._offset}-"} if self._offset else {}
        ask = Ask(
            "GET",
            f"/v2/{self._repository}/blobs/{self._blob.digest}",
            f"blob {self._repository}@{self._blob.digest}",
            repository=self._repository,
            scopes=(pull_scope(self._repository),),
            expected=frozenset({200, 206}) if self._offset else frozenset({200}),
            headers=headers,
            lane=None,
        )
        answer = self._answer = self._host.open(ask)
        try:
            self._position(answer)
        except BaseException:
            self._disconnect()
            raise
        if self._blob.size == 0:
            self._finish()
        return answer

    def _position(self, answer: Answer) -> None:
        """Make sure that the next byte is the one at the offset; a registry without ranges starts anew."""
        start = self._offset if answer.status == 206 else 0
        self._has_ranges = answer.status == 206 or answer.headers.get("Accept-Ranges", "").lower() == "bytes"
        if self._offset > start and not self._rereads:
            self._offset, self._hasher, self._is_anew = 0, hasher_for(self._blob.digest), True
            self._marks = [(0, self._hasher.copy())]
        announced = answer.headers.get("Content-Length", "")
        if announced.isdigit() and int(announced) != self._blob.size - start:
            raise ContentError(
                f"{self._named}: {int(announced) + start} bytes are announced, {self._blob.size} are right",
                hint=f"The content at {self._host.name} is damaged, or a proxy changes it.",
            )
        shown = answer.headers.get("Content-Range", "")
        if answer.status == 206 and not shown.replace(" ", "").lower().startswith(f"bytes{start}-"):
            raise ContentError(f"{self._named}: bytes from {start} were asked for, {shown[:80]!r} came")
        rest = memoryview(bytearray(min(BLOCK, self._offset))) if not start else memoryview(b"")
        skipped = start
        while skipped < self._offset:
            count = answer.readinto(rest[: self._offset - skipped])
            if not count:
                raise UnreachableError(f"{self._named}: the connection ended early", host=self._host.name)
            skipped += count

    def _finish(self) -> None:
        has_more = 0
        # All is there: that the connection then breaks is of no interest.
        with suppress(UnreachableError):
            has_more = self._answer.readinto(memoryview(bytearray(1))) if self._answer else 0
        self._disconnect()
        if has_more:
            raise ContentError(f"{self._named}: more than {self._blob.size} bytes came")
        if self._hasher and not matches(self._hasher, self._blob.digest):
            raise ContentError(
                f"{self._named}: the content that came has another digest, {self._hasher.hexdigest()}",
                hint=f"The content at {self._host.name} is damaged, or a proxy changes it; nothing of it was kept.",
            )

    @property
    def _named(self) -> str:
        return f"{self._host.endpoint.shown}: blob {self._repository}@{self._blob.digest}"
