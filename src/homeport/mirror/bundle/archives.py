"""Open whatever holds images: bundles in one file or in parts, OCI layouts, and what `docker save` writes."""

from collections.abc import Sequence
from pathlib import Path

from homeport.errors import ContentError, InputError, UsageError
from homeport.mirror.bundle.contents import OWN, Contents, read_contents
from homeport.mirror.bundle.parts import check_sums, lists_of, part_sums
from homeport.mirror.bundle.signature import VerifyKey, check_signature
from homeport.store.docker_archive import MANIFEST, read_docker_archive
from homeport.store.files import Archive, Files, Folder
from homeport.store.oci_layout import INDEX, Layout, read_layout


def open_layout(paths: Sequence[Path], keys: Sequence[VerifyKey] = ()) -> Layout:
    """Open an archive, its parts in any order, or a folder; the table of contents is checked where there is one.

    Where keys are given it must be a bundle that one of them has signed.

    Raises InputError, ContentError, UsageError.
    """
    if len(paths) == 1 and paths[0].is_dir():
        return _opened(Folder(paths[0]), keys)
    lists = lists_of(paths)
    if not lists:
        if len(paths) > 1:
            raise UsageError("several files are the parts of one bundle, or each is loaded by itself")
        return _opened(Archive(paths), keys)
    if len(lists) > 1:
        raise UsageError(f"{lists[0].stem} and {lists[1].stem} are two bundles", hint="Load them one after the other.")
    sums, parts = part_sums(paths) or ({}, [])
    try:
        return _opened(Archive(parts), keys)
    except (ContentError, InputError):
        check_sums(sums, parts)  # which part is it?
        raise


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
    elif not contents:
        layout.missing = "If it holds some platforms of the image alone, name those: --platform OS/ARCHITECTURE"
    return layout


def _check_nothing_else(files: Files, contents: Contents) -> None:
    """Refuse what was added to an archive; a folder may hold more, of earlier saves."""
    for path in files.table if isinstance(files, Archive) else ():
        if path not in contents.files and path not in OWN:
            raise ContentError(
                f"{files.name(path)}: {path} in it is not in its table of contents", hint="Get the bundle again."
            )
