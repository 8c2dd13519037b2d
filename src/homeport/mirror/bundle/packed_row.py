"""Compressed files that are written in a row, up to a size each, and go on where an earlier run stopped."""

import os
from pathlib import Path

from homeport.errors import InputError
from homeport.mirror.bundle.output_archive import check_count
from homeport.mirror.bundle.parts import names_of, partial, remove
from homeport.store.durable import send_to_disk
from homeport.store.pieces import Pieces


class Row:
    """What is on the disk is always the beginning of what is to be; several files where a size is given for each."""

    def __init__(self, file: Path, step: int | None) -> None:
        self._file, self._step = file, step
        self.files: tuple[Path, ...] = ()
        self.size = 0
        self._handle, self._at, self._sent = -1, 0, 0

    def open(self) -> Pieces | None:
        """Open what an earlier run wrote, to be read and closed; None where nothing of it is of use."""
        files = self._earlier()
        try:
            pieces = Pieces.open(files) if files else None
        except InputError:
            pieces = None
        if pieces and self._step and any(file.stat().st_size != self._step for file in files[:-1]):
            pieces.close()
            return None
        return pieces

    def begin(self, size: int) -> None:
        """Keep the first bytes of what an earlier run wrote, which are all there, and go on behind them. Raises OSError."""
        earlier = self._earlier()
        count = -(-size // self._step) if self._step else min(size, 1)
        self.files, self.size = earlier[:count], size
        remove(earlier[count:])
        if self.files:
            self._at = self._sent = size - (count - 1) * (self._step or 0)
            self._handle = os.open(self.files[-1], os.O_WRONLY | os.O_CLOEXEC)
            os.ftruncate(self._handle, self._at)
            os.lseek(self._handle, self._at, os.SEEK_SET)

    def write(self, data: bytes | memoryview) -> None:
        """Write every byte; raises OSError, UsageError."""
        view = memoryview(data)
        while view:
            if self._handle < 0 or self._at == self._step:
                self._next()
            written = os.write(self._handle, view[: self._step - self._at] if self._step else view)
            self._at += written
            self.size += written
            self._sent = send_to_disk(self._handle, self._sent, self._at)
            view = view[written:]

    def end(self) -> None:
        """Make the last file durable and close it. Raises OSError."""
        if self._handle >= 0:
            os.fsync(self._handle)
        self.close()

    def close(self) -> None:
        """Close the last file."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)

    def _next(self) -> None:
        self.end()
        number = len(self.files) + 1
        if self._step:
            check_count(number, self._step)
        file = self._name(number)
        self._handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        self.files = (*self.files, file)
        self._at = self._sent = 0

    def _earlier(self) -> tuple[Path, ...]:
        found: list[Path] = []
        while (file := self._name(len(found) + 1)).exists() and (self._step or not found):
            found.append(file)
        return tuple(found)

    def _name(self, number: int) -> Path:
        return partial(names_of(self._file, number, split=bool(self._step))[-1])
