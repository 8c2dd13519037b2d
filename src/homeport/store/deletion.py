"""Deleting a manifest with all its tags: one step decides, and what a kill or a power cut leaves of the rest is done later.

A mark is made first, then the manifest goes, and with it the meaning of its tags; then the tags, then the mark. Without the mark
nobody could tell a tag whose deletion was interrupted from one whose manifest the disk has lost.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from homeport.store.durable import make_directory, read_file, remove_file, write_mark
from homeport.store.layout import digest_in, entry_of, names_in

_MARKS = "_deleted"


def tags_of(place: Path, digest: str) -> list[str]:
    """Return the tags of a repository that name a digest."""
    wanted = digest.encode() + b"\n"
    return [tag for tag in names_in(place / "_tags") if read_file(f"{place}/_tags/{tag}") == wanted]


def delete_with_tags(place: Path, digest: str, tags: Iterable[str], known: set[Path]) -> bool:
    """Delete a manifest and the tags that name it; False if there was none. The lock of the repository is held."""
    tags = list(tags)
    if tags:
        make_directory(place / _MARKS, known)
        write_mark(place / _MARKS / entry_of(digest))
    deleted = remove_file(place / "_manifests" / entry_of(digest))
    for tag in tags:
        remove_file(place / "_tags" / tag)
    if tags:
        remove_file(place / _MARKS / entry_of(digest))
    return deleted


def is_unfinished(place: Path, digest: str) -> bool:
    """Tell whether the deletion of a manifest was interrupted after it was decided: its tags are void."""
    return _is_marked(place, digest) and not (place / "_manifests" / entry_of(digest)).exists()


def finish_deletion(place: Path, digest: str) -> None:
    """Do what is left of a deletion, if it was decided; forget it otherwise. The lock of the repository is held."""
    if is_unfinished(place, digest):
        for tag in tags_of(place, digest):
            remove_file(place / "_tags" / tag)
    remove_file(place / _MARKS / entry_of(digest))


def unfinished(place: Path) -> Iterator[str]:
    """Yield the digests whose deletion was begun and not ended."""
    yield from map(digest_in, names_in(place / _MARKS))


def _is_marked(place: Path, digest: str) -> bool:
    return (place / _MARKS / entry_of(digest)).exists()
