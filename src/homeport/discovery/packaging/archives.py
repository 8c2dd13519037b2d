"""Read packed files into memory: bounded in number and size, and no name leaves the archive."""

import io
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Final

from homeport.errors import InputError

MAX_UNPACKED: Final = 64 << 20
MAX_MEMBERS: Final = 10_000
_GZIP: Final = b"\x1f\x8b"
_GZIP_WINDOW: Final = 31
_SUFFIXES: Final = (".tgz", ".tar.gz", ".tar")


def is_archive(path: Path) -> bool:
    """Tell by its name whether a file is an archive."""
    return path.name.lower().endswith(_SUFFIXES)


def read_archive(content: bytes, name: str) -> dict[str, bytes]:
    """Return the regular files of a tar archive, packed with gzip or not, by their names; links and devices are left out.

    Raises InputError where it cannot be read, is larger than MAX_UNPACKED when unpacked, has more than MAX_MEMBERS members, or names
    a file outside of itself.
    """
    files: dict[str, bytes] = {}
    try:
        # Unpacked within bounds before anything in it is believed: a header may claim any size.
        with tarfile.open(fileobj=io.BytesIO(_unzipped(content, name)), mode="r:") as archive:
            for number, member in enumerate(archive):
                if number >= MAX_MEMBERS:
                    raise InputError(f"the archive has more than {MAX_MEMBERS:,} members", file=name)
                inside = safe_name(member.name, name)
                stream = archive.extractfile(member) if member.isfile() else None
                if stream is not None:
                    files[inside] = stream.read()
    except (tarfile.TarError, EOFError, OSError, ValueError, zlib.error) as error:
        raise InputError(f"the archive cannot be read: {error}", file=name) from error
    return files


def _unzipped(content: bytes, name: str) -> bytes:
    if content.startswith(_GZIP):
        stream = zlib.decompressobj(_GZIP_WINDOW)
        content = stream.decompress(content, MAX_UNPACKED + 1)
        if not stream.eof and len(content) <= MAX_UNPACKED:
            raise InputError("the archive ends too early", file=name)
    if len(content) > MAX_UNPACKED:
        raise InputError(f"the archive is larger than {MAX_UNPACKED:,} bytes when unpacked", file=name)
    return content


def safe_name(member: str, archive: str) -> str:
    """Return a member's name without ``./``; raises InputError where it leads outside of the archive."""
    path = PurePosixPath(member)
    if path.is_absolute() or ".." in path.parts or "\\" in member or "\0" in member:
        raise InputError(f"the archive names a file outside of itself: {member[:80]!r}", file=archive)
    return str(path)
