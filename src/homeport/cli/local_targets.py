"""A target that is a folder on this machine, as skopeo writes it: oci:FOLDER."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from homeport.cli.mapping_options import MappingOptions
from homeport.cli.mirror_report import Report
from homeport.errors import UsageError
from homeport.mapping import Mapping
from homeport.reference import Reference

if TYPE_CHECKING:
    from homeport.store.layout_target import LayoutTarget

_PREFIX = "oci:"
_ARCHIVES = ("oci-archive:", "docker-archive:")


def folder_of(target: str) -> Path | None:
    """Return the folder that is meant, None for a registry; raises UsageError for an archive."""
    if target.startswith(_ARCHIVES):
        kind, _, file = target.partition(":")
        raise UsageError(
            f"--to {target}: images are brought to a registry or to oci:FOLDER",
            hint=f"An {kind} is written by: homeport bundle save -o {file} ..."
            if kind == "oci-archive"
            else "skopeo makes one of a layout: skopeo copy oci:FOLDER:NAME docker-archive:FILE",
        )
    if target.startswith(_PREFIX) and not target.removeprefix(_PREFIX).split("/", 1)[0].isdigit():
        return Path(target.removeprefix(_PREFIX))
    return None


def full_names(names: MappingOptions) -> Mapping:
    """Return the rule of names for a folder, in which images keep theirs; raises UsageError."""
    if names.map or names.keep_registry:
        raise UsageError(
            "in a folder images keep their full names", hint="Leave --map and --keep-registry out, or name a registry."
        )
    return Mapping.parse("localhost", keep_registry=True)


def open_folder(folder: Path, mapping: Mapping, references: Iterable[Reference]) -> "LayoutTarget":
    """Return the folder as a target; raises UsageError, StoreError."""
    from homeport.store.layout_target import LayoutTarget

    return LayoutTarget(folder, {mapping.relocate(each).repository: each.name for each in references})


def in_folder(report: Report, folder: Path) -> Report:
    """Say of each image where it is in the folder."""
    images = [msgspec.structs.replace(image, target=f"{_PREFIX}{folder}:{image.source}") for image in report.images]
    return msgspec.structs.replace(report, images=images)
