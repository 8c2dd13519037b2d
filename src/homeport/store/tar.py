"""The tar format (POSIX.1-2017 pax, ustar; GNU long names), read as a table and written to the byte.

Nothing is ever unpacked: a name is a key of the table, so it cannot point outside a folder.
"""

import posixpath
import re
import tarfile
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from homeport.errors import ContentError
from homeport.store.pieces import Bytes

BLOCK: Final = 512
_MOST_EXTENSIONS: Final = 16
_READ: Final = frozenset({"path", "linkpath", "size"})
_SIZE: Final = re.compile(r"[0-9]{1,18}")
END: Final = bytes(2 * BLOCK)

_MOST_ENTRIES = 1_000_000
_MOST_HEADER = 1 << 20
"""Bytes of an extended header, which is read into memory; real ones have some hundreds."""


class Entry(msgspec.Struct, frozen=True):
    """Where a file lies in an archive."""

    offset: int
    size: int


def read_table(archive: Bytes) -> dict[str, Entry]:
    """Find the files of an archive by their headers; links to other files of it are followed. Raises ContentError."""
    table: dict[str, Entry] = {}
    links: dict[str, str] = {}
    for name, entry, link in _members(archive):
        if name in table or name in links:
            raise _bad(archive, entry.offset, f"it holds {name} twice")
        if len(table) + len(links) >= _MOST_ENTRIES:
            raise _bad(archive, entry.offset, f"it holds more than {_MOST_ENTRIES} files")
        if link is None:
            table[name] = entry
        else:
            links[name] = link
    for name, link in links.items():
        if link in table:  # a link to a link, or to nothing, is missed where it is asked for
            table[name] = table[link]
    return table


def header(name: str, size: int) -> bytes:
    """Return the header of a file; equal names and sizes give equal bytes."""
    member = tarfile.TarInfo(name)
    member.size = size
    member.mode = 0o644
    return member.tobuf(tarfile.PAX_FORMAT)


def padded(size: int) -> int:
    """Return the bytes that content of a size takes."""
    return -(-size // BLOCK) * BLOCK


def _members(archive: Bytes) -> Iterator[tuple[str, Entry, str | None]]:
    """Yield name, place and target of a link for each file."""
    offset = extensions = 0
    extended: dict[str, str] = {}
    while block := archive.read(offset, BLOCK):
        if not block.strip(b"\0"):
            return
        member = _parse(archive, offset, block)
        size = _size(archive, offset, extended.get("size")) if "size" in extended else member.size
        entry = Entry(offset + BLOCK, size)
        offset = entry.offset + padded(size)
        if size < 0 or entry.offset + size > archive.size:
            raise _bad(archive, entry.offset, f"it is cut off within {member.name[:200]!r}")
        if member.type in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK):
            extended.update(_extension(archive, member.type, entry))
            extensions += 1
            if extensions > _MOST_EXTENSIONS:
                raise _bad(archive, entry.offset, f"more than {_MOST_EXTENSIONS} headers are about one file")
            continue
        name = _checked(archive, entry.offset, extended.get("path") or member.name)
        if size and member.type in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE):
            # Some readers pass over such content, and some take it for headers.
            raise _bad(archive, entry.offset, f"{name} is no file, and has content")
        if member.type in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            base = posixpath.dirname(name) if member.type == tarfile.SYMTYPE else ""
            link = extended.get("linkpath") or member.linkname
            yield name, entry, _checked(archive, entry.offset, posixpath.normpath(posixpath.join(base, link)))
        elif member.type in (tarfile.REGTYPE, tarfile.AREGTYPE):
            yield name, entry, None
        elif member.type != tarfile.DIRTYPE:
            raise _bad(archive, entry.offset, f"{name} is no file, folder or link")
        extended, extensions = {}, 0


def _size(archive: Bytes, offset: int, text: str | None) -> int:
    if not text or not _SIZE.fullmatch(text):
        raise _bad(archive, offset, "an extended header is damaged")
    return int(text)


def _parse(archive: Bytes, offset: int, block: bytes) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        reason = "it is no tar archive" if offset == 0 else f"its header at byte {offset} is damaged"
        if offset and len(block) < BLOCK:
            reason = "it is cut off"
        raise _bad(archive, offset, reason) from None


def _extension(archive: Bytes, kind: bytes, entry: Entry) -> dict[str, str]:
    """Read what a header says of the next one; a global one (g) is read over, as nothing here depends on it."""
    if entry.size > _MOST_HEADER:
        raise _bad(archive, entry.offset, f"a header of {entry.size} bytes is too large")
    if kind == tarfile.XGLTYPE:
        return {}
    content = archive.read(entry.offset, entry.size)
    if kind != tarfile.XHDTYPE:
        text = content.rstrip(b"\0").decode(errors="surrogateescape")
        return {"path" if kind == tarfile.GNUTYPE_LONGNAME else "linkpath": text}
    try:
        found = {key: value for key, value in _records(content) if key in _READ or key.startswith("GNU.sparse")}
    except ValueError:
        raise _bad(archive, entry.offset, "an extended header is damaged") from None
    if any(key.startswith("GNU.sparse") for key in found):
        raise _bad(archive, entry.offset, "it holds a sparse file")
    return found


def _records(content: bytes) -> Iterable[tuple[str, str]]:
    """Yield the records of a pax header: length, key and value, as in ``20 path=some/name``."""
    while content:
        length = int(content.partition(b" ")[0])
        record, content = content[:length], content[length:]
        key, equals, value = record.partition(b" ")[2].partition(b"=")
        if length < 1 or len(record) < length or not equals or not value.endswith(b"\n"):
            raise ValueError
        yield key.decode(), value[:-1].decode(errors="surrogateescape")


def _checked(archive: Bytes, offset: int, name: str) -> str:
    plain = posixpath.normpath(name)
    if name.startswith("/") or plain.startswith("../") or plain == ".." or "\0" in name:
        raise _bad(archive, offset, f"it names {name[:200]!r}, which is outside of it")
    if not name.isprintable():
        raise _bad(archive, offset, f"it names {name[:200]!r}, which cannot be shown")
    return plain


def _bad(archive: Bytes, offset: int, reason: str) -> ContentError:
    return ContentError(
        f"{archive.name(offset, offset + 1)}: {reason}", hint="Copy or make the archive again; nothing of it was used."
    )
