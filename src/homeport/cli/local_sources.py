"""Images that are named in files, as skopeo writes it: oci:FOLDER, oci-archive:FILE, docker-archive:FILE, each with [:NAME]."""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from homeport.errors import UsageError
from homeport.reference import Reference
from homeport.store.oci_layout import Layout, parse_name

_PREFIXES = ("oci-archive:", "docker-archive:", "oci:")


class LocalSource(msgspec.Struct, frozen=True):
    """A file or folder, and the name of an image in it; "" means all."""

    path: Path
    name: str = ""

    def references(self, layout: Layout) -> tuple[Reference, ...]:
        """Return what is meant of the images in it; raises UsageError."""
        wanted = parse_name(self.name)
        chosen = [
            each
            for each in layout.images
            if not self.name or each.written == self.name or (wanted and each.reference == wanted.pinned)
        ]
        found = tuple(each.reference for each in chosen if each.reference)
        if not found or len(found) < len(chosen):
            there = ", ".join(each.written or each.manifest.digest for each in layout.images)
            raise UsageError(
                f"{self.path}: {f'there is no {self.name}' if not chosen else 'an image has no full name'} in it; there is {there}",
                hint=f"Give an image its name: homeport bundle load --name REPOSITORY:TAG --to REGISTRY {self.path}",
            )
        return found


def split_local(arguments: Iterable[str]) -> tuple[list[str], list[LocalSource]]:
    """Tell names of images from names of files; oci:1.0 is an image unless there is such a folder."""
    names: list[str] = []
    local: list[LocalSource] = []
    for argument in arguments:
        prefix = next((each for each in _PREFIXES if argument.startswith(each)), "")
        rest = argument.removeprefix(prefix)
        path, _, name = (rest, "", "") if Path(rest).exists() else rest.partition(":")
        if prefix and (prefix != "oci:" or "/" in path or Path(path).exists()):
            local.append(LocalSource(Path(path), name))
        else:
            names.append(argument)
    return names, local
