"""Bring rewritten texts out: a file in one piece, several texts as one stream, a diff."""

import contextlib
import difflib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from homeport.discovery.inputs import Source
from homeport.errors import InputError
from homeport.store.durable import sync_directory


def write_whole(path: Path, content: bytes, *, mode: int | None = None) -> None:
    """Put content in the place of a file, whole or not at all; a symbolic link stays one.

    The file's mode stays, unless `mode` says otherwise; raises InputError.
    """
    target = Path(os.path.realpath(path))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                os.fchmod(file.fileno(), _mode_of(target) if mode is None else mode)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(target)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                Path(name).unlink()
            raise
        sync_directory(target.parent)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", file=str(path)) from error


def join(texts: Iterable[tuple[Source, str]]) -> bytes:
    """Return texts as one stream of documents, with ``---`` where one does not end with it and the next does not begin with it."""
    stream = ""
    for source, text in texts:
        if not stream:
            stream = ("\ufeff" if source.bom else "") + text
            continue
        line_end = "\r\n" if "\r\n" in stream[:1000] else "\n"
        if not stream.endswith(("\n", "\r")):
            stream += line_end
        if text.startswith("%"):
            stream += f"...{line_end}"
        elif stream.rstrip().rpartition("\n")[2] != "---" and not text.startswith("---"):
            stream += f"---{line_end}"
        stream += text
    return stream.encode()


def unified_diff(source: Source, text: str, context: int = 3) -> str:
    """Return what changed as a unified diff, empty where nothing did."""
    name = source.relative or source.name
    lines = difflib.unified_diff(
        _lines(source.text), _lines(text), f"a/{name.lstrip('/')}", f"b/{name.lstrip('/')}", n=context
    )
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _lines(text: str) -> list[str]:
    lines = text.split("\n")
    return [line + "\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def _mode_of(target: Path) -> int:
    try:
        return target.stat().st_mode & 0o7777
    except FileNotFoundError:
        umask = os.umask(0)
        os.umask(umask)
        return 0o666 & ~umask
