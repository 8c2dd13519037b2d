"""The files of a bundle: one, or parts with a list of their checksums, as sha256sum writes and checks it."""

import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

from homeport.errors import ContentError, InputError, StoreError
from homeport.store.durable import sync_directory, write_file

SUMS: Final = ".sha256"
_BLOCK: Final = 1 << 20
_PART = re.compile(r"(.+)\.[0-9]{3,4}")
_SUM = re.compile(r"([0-9a-f]{64}) [ *]([^/\0]+)")


def names_of(file: Path, count: int, *, split: bool) -> tuple[Path, ...]:
    """Return what the files of a bundle are called."""
    if not split:
        return (file,)
    return tuple(file.with_name(f"{file.name}.{number:03}") for number in range(1, count + 1))


def partial(file: Path) -> Path:
    """Return what a file is called until it is whole."""
    return file.with_name(file.name + ".partial")


def appear(file: Path, temporaries: Sequence[Path], *, split: bool) -> tuple[Path, ...]:
    """Give files that are whole and durable their names; of parts, the list appears last: without it they are none.

    Parts of an earlier bundle of this name are removed, so that no glob takes them for parts of this one. Raises StoreError.
    """
    finals = names_of(file, len(temporaries), split=split)
    sums = file.with_name(file.name + SUMS)
    try:
        lines = _sums(temporaries, finals) if split else ""
        sums.unlink(missing_ok=True)
        for temporary, final in zip(temporaries, finals, strict=True):
            temporary.replace(final)
        if split:
            _remove_rest(file, len(finals))
        sync_directory(file.parent)
        if split:
            write_file(sums, lines.encode(), file.parent)
    except OSError as error:
        raise StoreError(f"cannot write {file}: {error.strerror}") from None
    return (*finals, sums) if split else finals


def remove(files: Iterable[Path]) -> None:
    """Remove files, as far as they are there."""
    for file in files:
        with suppress(OSError):
            file.unlink()


def bundles(paths: Iterable[Path]) -> list[list[Path]]:
    """Tell the files of several bundles apart: parts of one stand together."""
    paths = tuple(paths)
    found: dict[Path, list[Path]] = {}
    for path in paths:
        listed = _list_of(path, paths)
        found.setdefault(listed or path, []).append(path)
    return list(found.values())


def lists_of(paths: Iterable[Path]) -> list[Path]:
    """Return the lists that files are parts of, or are; raises InputError."""
    paths = tuple(paths)
    return list(dict.fromkeys(filter(None, (_list_of(path, paths) for path in paths))))


def part_sums(paths: Sequence[Path]) -> tuple[dict[str, str], list[Path]] | None:
    """Return the checksums of a bundle in parts, and the parts in order; None where it is in one piece."""
    lists = lists_of(paths)
    if not lists:
        return None
    sums = read_sums(lists[0])
    return sums, _parts(sums, [*paths, lists[0]])


def read_sums(file: Path) -> dict[str, str]:
    """Read the list of a bundle's parts, in order; raises InputError."""
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(getattr(error, "strerror", None) or "is no list of checksums", file=str(file)) from None
    matches = [_SUM.fullmatch(line) for line in lines]
    if not matches or None in matches:
        raise InputError("is no list of checksums", file=str(file), hint="It has lines as sha256sum writes them.")
    return {match[2]: match[1] for match in matches if match}


def check_sums(sums: dict[str, str], parts: Iterable[Path]) -> None:
    """Read all parts; raises ContentError that names the first damaged one, InputError."""
    for part in parts:
        try:
            digest = _sum(part)
        except OSError as error:
            raise InputError(error.strerror or str(error), file=str(part)) from None
        if digest != sums[part.name]:
            raise ContentError(
                f"{part} is damaged: it is not what its checksum says", hint="Copy this part here again."
            )


def _sums(files: Sequence[Path], names: Iterable[Path]) -> str:
    with ThreadPoolExecutor(4) as threads:
        return "".join(f"{digest}  {name.name}\n" for digest, name in zip(threads.map(_sum, files), names, strict=True))


def _sum(file: Path) -> str:
    hasher = sha256()
    buffer = memoryview(bytearray(_BLOCK))
    with file.open("rb", buffering=0) as opened:
        while count := opened.readinto(buffer):
            hasher.update(buffer[:count])
    return hasher.hexdigest()


def _list_of(path: Path, named: Sequence[Path]) -> Path | None:
    """Return the list of parts that a file is one of, or is: it lies beside it, or is named too."""
    if path.name.endswith(SUMS):
        return path
    part = _PART.fullmatch(path.name)
    if part is None:
        return None
    sums = path.with_name(part[1] + SUMS)
    if sums.is_file():
        return sums
    if elsewhere := next((each for each in named if each.name == sums.name), None):
        return elsewhere
    raise InputError(
        f"is a part of a bundle, and its list {sums.name} is not beside it",
        file=str(path),
        hint=f"Copy {sums.name} too, or name it.",
    )


def _parts(sums: dict[str, str], paths: Iterable[Path]) -> list[Path]:
    """Find all parts, in order: those that were named, and those that lie beside them."""
    paths = tuple(paths)
    named = {path.name: path for path in paths}
    folders = dict.fromkeys(path.parent for path in paths)
    parts = []
    for name in sums:
        beside = (folder / name for folder in folders)
        part = named.get(name) or next((path for path in beside if path.is_file()), None)
        if part is None:
            raise InputError("this part of the bundle is missing", file=name, hint="Copy it beside the others.")
        parts.append(part)
    return parts


def _remove_rest(file: Path, count: int) -> None:
    for each in file.parent.glob(f"{_escaped(file.name)}.[0-9]*"):
        number = each.name.removesuffix(".partial").rpartition(".")[2]
        if number.isdigit() and len(number) >= 3 and int(number) > count:
            each.unlink()


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
