"""Open whatever holds images: bundles in one file or in parts, OCI layouts, and what `docker save` writes."""

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

from homeport.errors import ContentError, InputError, UsageError
from homeport.mirror.bundle.contents import OWN, Contents, read_contents
from homeport.mirror.bundle.output import SUMS
from homeport.mirror.bundle.signature import VerifyKey, check_signature
from homeport.store.docker_archive import MANIFEST, read_docker_archive
from homeport.store.files import Archive, Files, Folder
from homeport.store.oci_layout import INDEX, Layout, read_layout

_BLOCK: Final = 1 << 20
_PART = re.compile(r"(.+)\.[0-9]{3,4}")
_SUM = re.compile(r"([0-9a-f]{64}) [ *]([^/\0]+)")
_PACKED = {b"\x1f\x8b": "gzip -d", b"\x28\xb5\x2f\xfd": "zstd -d"}


def open_layout(paths: Sequence[Path], keys: Sequence[VerifyKey] = ()) -> Layout:
    """Open an archive, its parts in any order, or a folder; the table of contents is checked where there is one.

    Where keys are given it must be a bundle that one of them has signed.

    Raises InputError, ContentError, UsageError.
    """
    if len(paths) == 1 and paths[0].is_dir():
        return _opened(Folder(paths[0]), keys)
    lists = _lists(paths)
    if not lists:
        if len(paths) > 1:
            raise UsageError("several files are the parts of one bundle, or each is loaded by itself")
        _check_plain(paths[0])
        return _opened(Archive(paths), keys)
    if len(lists) > 1:
        raise UsageError(f"{lists[0].stem} and {lists[1].stem} are two bundles", hint="Load them one after the other.")
    sums = read_sums(lists[0])
    parts = _parts(sums, [*paths, lists[0]])
    try:
        return _opened(Archive(parts), keys)
    except (ContentError, InputError):
        check_sums(sums, parts)  # which part is it?
        raise


def part_sums(paths: Sequence[Path]) -> tuple[dict[str, str], list[Path]] | None:
    """Return the checksums of a bundle in parts, and the parts in order; None where it is in one piece."""
    lists = _lists(paths)
    if not lists:
        return None
    sums = read_sums(lists[0])
    return sums, _parts(sums, [*paths, lists[0]])


def bundles(paths: Iterable[Path]) -> list[list[Path]]:
    """Tell the files of several bundles apart: parts of one stand together."""
    found: dict[Path, list[Path]] = {}
    for path in paths:
        listed = _list_of(path)
        found.setdefault(listed or path, []).append(path)
    return list(found.values())


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
    """Read all parts; raises ContentError that names the first damaged one."""
    for part in parts:
        hasher = sha256()
        try:
            with part.open("rb") as file:
                while block := file.read(_BLOCK):
                    hasher.update(block)
        except OSError as error:
            raise InputError(error.strerror or str(error), file=str(part)) from None
        if hasher.hexdigest() != sums[part.name]:
            raise ContentError(
                f"{part} is damaged: it is not what its checksum says", hint="Copy this part here again."
            )


def _opened(files: Files, keys: Sequence[VerifyKey]) -> Layout:
    try:
        return _read(files, keys)
    except BaseException:
        files.close()
        raise


def _read(files: Files, keys: Sequence[VerifyKey]) -> Layout:
    contents = read_contents(files)
    if keys:
        check_signature(files, keys)
    if contents:
        contents.check(files)
        _check_nothing_else(files, contents)
    if files.size(INDEX) is not None:
        layout = read_layout(files)
    elif files.size(MANIFEST) is not None:
        layout = read_docker_archive(files)
    else:
        raise ContentError(
            f"{files.name()} holds no images", hint="An OCI layout has an index.json, `docker save` a manifest.json."
        )
    if contents and contents.lacks:
        layout.missing = "It was made with --since: load the bundle first that it was made since."
    return layout


def _check_nothing_else(files: Files, contents: Contents) -> None:
    """Refuse what was added to an archive; a folder may hold more, of earlier saves."""
    for path in files.table if isinstance(files, Archive) else ():
        if path not in contents.files and path not in OWN:
            raise ContentError(
                f"{files.name(path)}: {path} in it is not in its table of contents", hint="Get the bundle again."
            )


def _check_plain(file: Path) -> None:
    with suppress(OSError), file.open("rb") as opened:
        start = opened.read(4)
        for magic, unpack in _PACKED.items():
            if start.startswith(magic):
                raise InputError("is compressed as a whole", file=str(file), hint=f"Unpack it first: {unpack} {file}")


def _lists(paths: Iterable[Path]) -> list[Path]:
    return list(dict.fromkeys(filter(None, map(_list_of, paths))))


def _list_of(path: Path) -> Path | None:
    """Return the list of parts that a file is one of, or is."""
    if path.name.endswith(SUMS):
        return path
    part = _PART.fullmatch(path.name)
    if part is None:
        return None
    sums = path.with_name(part[1] + SUMS)
    if sums.is_file():
        return sums
    raise InputError(
        f"is a part of a bundle, and its list {sums.name} is not beside it",
        file=str(path),
        hint=f"Copy {sums.name} too.",
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
