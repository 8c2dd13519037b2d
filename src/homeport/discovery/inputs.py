"""Read manifests: files, folders, standard input."""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from homeport.errors import InputError

MAX_SIZE: Final = 32 << 20
STDIN: Final = "-"
_SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})
_BOM: Final = "\ufeff"
_FOREIGN_BOMS: Final = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


class Source(msgspec.Struct, frozen=True):
    """One text: its name for people, its characters without byte order mark and with their line ends, and its file.

    `relative` is its name below the folder that was asked for; `path` is None for standard input.
    """

    name: str
    text: str
    bom: bool = False
    path: Path | None = None
    relative: str = ""

    def encode(self, text: str) -> bytes:
        """Return a new text as this source's bytes."""
        return ((_BOM if self.bom else "") + text).encode()


def read_inputs(
    names: Sequence[str], *, stdin: BinaryIO, max_size: int = MAX_SIZE
) -> tuple[list[Source], list[InputError]]:
    """Read files, folders (.yaml, .yml, .json below them, sorted) and ``-``; what cannot be read comes back as an error."""
    sources: list[Source] = []
    errors: list[InputError] = []
    for name in names:
        try:
            found = list(_find(name))
        except InputError as error:
            errors.append(error)
            continue
        for path, relative in found:
            try:
                sources.append(
                    read_file(path, relative, max_size) if path else decode(STDIN, stdin.read(max_size + 1), max_size)
                )
            except InputError as error:
                errors.append(error)
    return sources, errors


def _find(name: str) -> Iterator[tuple[Path | None, str]]:
    if name == STDIN:
        yield None, STDIN
        return
    path = Path(name)
    if not path.is_dir():
        yield path, path.name
        return
    files = sorted(_walk(path))
    if not files:
        raise InputError(
            "no manifest in this folder or below", file=name, hint="Manifests are files named *.yaml, *.yml or *.json."
        )
    for file in files:
        yield file, str(file.relative_to(path))


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the manifests of a folder; folders behind symbolic links too, and none twice."""
    seen: set[str] = set()
    for here, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(here)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        yield from (path for path in map(Path(here).joinpath, files) if path.suffix.lower() in _SUFFIXES)


def read_file(path: Path, relative: str, max_size: int) -> Source:
    """Read one file; raises InputError."""
    name = str(path)
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if stat.S_ISREG(status.st_mode) and status.st_size > max_size:
                raise _too_large(name, max_size)
            content = file.read(max_size + 1)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", file=name) from error
    return msgspec.structs.replace(decode(name, content, max_size), path=path, relative=relative)


def decode(name: str, content: bytes, max_size: int) -> Source:
    """Read a text's bytes; raises InputError where they are too many or no UTF-8."""
    if len(content) > max_size:
        raise _too_large(name, max_size)
    if (encoding := _FOREIGN_BOMS.get(content[:2])) is not None:
        raise InputError(f"the text is {encoding}, not UTF-8", file=name, hint="Convert it: iconv -f UTF-16 -t UTF-8.")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"the text is not UTF-8 (byte 0x{content[error.start]:02x})",
            file=name,
            line=line,
            hint="Convert it to UTF-8.",
        ) from error
    bom = text.startswith(_BOM)
    return Source(name, text[1:] if bom else text, bom, relative=name)


def _too_large(name: str, max_size: int) -> InputError:
    return InputError(
        f"the file is larger than {max_size:,} bytes",
        file=name,
        hint="Manifests are small; --max-size BYTES raises the limit.",
    )
