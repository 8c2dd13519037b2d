"""Uploads in files: the file is the truth about what was received, so a killed server goes on where it stopped."""

import fcntl
import hashlib
import os
import re
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from homeport.errors import ContentError, StoreError, StoreFullError, UploadTakenError
from homeport.oci.digest import Hasher, check_digest, hasher_for, matches
from homeport.store.durable import send_to_disk, sync_directory, translated, write_all

REHASH_BYTES: Final = 1 << 20
REMEMBERED: Final = 1024
"""How many uploads may keep their running hash between requests; the others are read again."""

_SESSION = re.compile(r"[0-9a-f]{32}")


class Sessions:
    """The uploads of all repositories, in one directory."""

    def __init__(self, directory: Path, finish: Callable[[str, Path, str], None]) -> None:
        """`finish` makes a complete, synced file a blob of a repository: repository, file, digest."""
        self._directory, self._finish = directory, finish
        self._lock = threading.Lock()
        self._writers: dict[Path, FileUpload] = {}
        self._hashes: OrderedDict[Path, tuple[Hasher, int]] = OrderedDict()

    def start(self, repository: str) -> str:
        """Open an upload and return its id."""
        session = uuid.uuid4().hex
        path = self._path(repository, session)
        with translated("start an upload"):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
        self.remember(path, (hashlib.sha256(), 0))
        return session

    def open(self, repository: str, session: str) -> "FileUpload | None":
        """Go on with an upload; an earlier writer loses it."""
        path = self._path(repository, session)
        with self._lock:
            earlier = self._writers.pop(path, None)
        if earlier:
            earlier.close()
        with translated("go on with an upload"):
            try:
                handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
            except FileNotFoundError:
                return None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise UploadTakenError("another request is writing to this upload") from None
        if not _is_at(handle, path):
            os.close(handle)
            return None
        writer = FileUpload(self, path, handle, lambda digest: self._finish(repository, path, digest))
        with self._lock:
            self._writers[path] = writer
        return writer

    def size(self, repository: str, session: str) -> int | None:
        """Return how many bytes an upload has received."""
        try:
            return self._path(repository, session).stat().st_size
        except FileNotFoundError:
            return None

    def cancel(self, repository: str, session: str) -> bool:
        """End an upload and drop its bytes."""
        path = self._path(repository, session)
        with self._lock:
            writer = self._writers.pop(path, None)
        if writer:
            writer.close()
        return self.drop(path)

    def drop(self, path: Path) -> bool:
        """Forget an upload and free its room."""
        with self._lock:
            self._hashes.pop(path, None)
        with translated("drop an upload"):
            try:
                path.unlink()
            except FileNotFoundError:
                return False
            return True

    def release(self, path: Path, writer: "FileUpload", running: tuple[Hasher, int] | None) -> None:
        """Note that a writer is done."""
        with self._lock:
            if self._writers.get(path) is writer:
                del self._writers[path]
        if running:
            self.remember(path, running)

    def remember(self, path: Path, running: tuple[Hasher, int]) -> None:
        """Keep the running hash of an upload for its next request."""
        with self._lock:
            self._hashes[path] = running
            if len(self._hashes) > REMEMBERED:
                self._hashes.popitem(last=False)

    def recall(self, path: Path) -> tuple[Hasher, int]:
        """Return the running hash of an upload and the number of bytes in it."""
        with self._lock:
            return self._hashes.pop(path, None) or (hashlib.sha256(), 0)

    def _path(self, repository: str, session: str) -> Path:
        """Bind an upload to its repository: the id alone opens nothing."""
        owner = hashlib.sha256(repository.encode()).hexdigest()[:16]
        name = session if _SESSION.fullmatch(session) else "-"
        return self._directory / f"{name}.{owner}"


def _is_at(handle: int, path: Path) -> bool:
    """Tell whether an open file still has this name: by now it may be a blob, which is never written to."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


class FileUpload:
    """An upload that is open for one writer. Hashes with sha256 as it receives; other digests read the file again."""

    def __init__(self, sessions: Sessions, path: Path, handle: int, finish: Callable[[str], None]) -> None:
        self._sessions, self._path, self._handle, self._finish = sessions, path, handle, finish
        self._lock = threading.Lock()
        self._open = True
        self._offset = self._sent = os.fstat(handle).st_size
        self._hasher, self._hashed = sessions.recall(path)

    @property
    def offset(self) -> int:
        """The number of bytes received so far."""
        return self._offset

    def write(self, *data: bytes) -> None:
        """Append and hash."""
        with self._lock:
            self._check()
            self._catch_up()
            try:
                with translated("store what was received"):
                    write_all(self._handle, *data)
            except StoreFullError:
                self._give_up()
                raise
            for chunk in data:
                self._hasher.update(chunk)
                self._offset += len(chunk)
            self._hashed = self._offset
            self._sent = send_to_disk(self._handle, self._sent, self._offset)

    def sync(self) -> None:
        """Make the bytes and the name durable; if that fails, the upload is gone.

        After a failed fsync the kernel counts the pages as clean: a second try would succeed without having written them.
        """
        with self._lock:
            self._check()
            try:
                with translated("store what was received"):
                    os.fsync(self._handle)
                    sync_directory(self._path.parent)
            except StoreError:
                self._give_up()
                raise

    def commit(self, digest: str) -> None:
        """Make it a blob and end it; whatever goes wrong, the upload is gone, for the reason that `sync` gives."""
        check_digest(digest)
        with self._lock:
            self._check()
            try:
                self._verify(digest)
                with translated("store a blob"):
                    os.utime(self._handle)  # its lease begins now, however long ago it was written
                    os.fsync(self._handle)
                    self._finish(digest)
            except BaseException:
                self._give_up()
                raise
            self._let_go(keep_hash=False)

    def close(self) -> None:
        """Let go; the bytes stay."""
        with self._lock:
            if self._open:
                self._let_go(keep_hash=True)

    def _verify(self, digest: str) -> None:
        hasher: Hasher = self._hasher
        if digest.startswith("sha256:"):
            self._catch_up()
            hasher = self._hasher
        else:
            hasher = hasher_for(digest)
            self._hash_file(hasher, 0)
        if not matches(hasher, digest):
            raise ContentError(f"the {self._offset} bytes received are not {digest}")

    def _catch_up(self) -> None:
        """Hash what another process, or this one before it was killed, has received."""
        if self._hashed < self._offset:
            self._hash_file(self._hasher, self._hashed)
            self._hashed = self._offset

    def _hash_file(self, hasher: Hasher, start: int) -> None:
        while start < self._offset and (chunk := os.pread(self._handle, REHASH_BYTES, start)):
            hasher.update(chunk)
            start += len(chunk)

    def _check(self) -> None:
        if not self._open:
            raise UploadTakenError("another request has taken this upload over")

    def _give_up(self) -> None:
        self._let_go(keep_hash=False)
        with suppress(OSError):
            self._sessions.drop(self._path)

    def _let_go(self, *, keep_hash: bool) -> None:
        self._open = False
        os.close(self._handle)
        self._sessions.release(self._path, self, (self._hasher, self._hashed) if keep_hash else None)
