"""Targets that are files on this machine, as skopeo writes them: oci:FOLDER, oci-archive:FILE, docker-archive:FILE."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from homeport.cli.mapping_options import MappingOptions
from homeport.cli.mirror_report import Report, failures
from homeport.cli.progress import tell
from homeport.errors import UsageError
from homeport.mapping import Mapping
from homeport.reference import Reference

if TYPE_CHECKING:
    from homeport.mirror.bundle.archive_target import ArchiveTarget
    from homeport.store.layout_target import LayoutTarget

_FOLDER: Final = "oci:"
_DOCKER: Final = "docker-archive:"
_ARCHIVES: Final = ("oci-archive:", _DOCKER)


class LocalTarget:
    """A folder or an archive; it is one and the same throughout a command, and closed at its end."""

    def __init__(self, prefix: str, path: Path) -> None:
        self._prefix, self._path = prefix, path
        self._names: dict[str, str] = {}
        self._target: LayoutTarget | None = None
        self._archive: ArchiveTarget | None = None

    @property
    def is_docker(self) -> bool:
        """Whether `docker load` is to read it: one platform of each image, and nothing that is about it."""
        return self._prefix == _DOCKER

    def open(self, mapping: Mapping, references: Iterable[Reference]) -> "LayoutTarget":
        """Return the target of these images too; raises UsageError, ContentError."""
        self._names |= {mapping.relocate(each).repository: each.name for each in references}
        if self._target is None:
            self._target = self._open()
        return self._target

    def finish(self, report: Report, form: str) -> None:
        """Let an archive appear if all images are there, else say why it does not. Raises StoreError, ContentError."""
        if not self._archive:
            return
        if not failures(report):
            self._archive.finish()
            return
        kept = f"; what came is kept in {self._archive.unfinished}" if self._archive.unfinished.exists() else ""
        tell("warning", f"{self._path} was not written, as not all images came{kept}: run it again", form)

    def close(self) -> None:
        """Be done."""
        if self._archive:
            self._archive.close()

    def shown(self, report: Report) -> Report:
        """Say of each image where it is."""
        images = [msgspec.structs.replace(image, target=self._name(image.source)) for image in report.images]
        return msgspec.structs.replace(report, images=images)

    def _name(self, source: str) -> str:
        if self.is_docker:
            from homeport.mirror.bundle.docker_list import docker_name

            source = docker_name(source)
        return f"{self._prefix}{self._path}:{source}"

    def _open(self) -> "LayoutTarget":
        if self._prefix == _FOLDER:
            from homeport.store.layout_target import LayoutTarget

            return LayoutTarget(self._path, self._names)
        from homeport.mirror.bundle.archive_target import ArchiveTarget

        self._archive = ArchiveTarget(self._path, self._names, is_docker=self.is_docker)
        return self._archive


def local_target(text: str) -> LocalTarget | None:
    """Return the files that are meant, None for a registry; raises UsageError."""
    prefix = next((each for each in (*_ARCHIVES, _FOLDER) if text.startswith(each)), "")
    path = text.removeprefix(prefix)
    if not prefix or (prefix == _FOLDER and path.split("/", 1)[0].isdigit()):
        return None
    if not path or (prefix != _FOLDER and ":" in path):
        raise UsageError(
            f"--to {text}: it is {prefix}{'FOLDER' if prefix == _FOLDER else 'FILE'}, without a name",
            hint="Images have their own names there.",
        )
    return LocalTarget(prefix, Path(path))


def full_names(names: MappingOptions) -> Mapping:
    """Return the rule of names for files, in which images keep theirs; raises UsageError."""
    if names.map or names.keep_registry:
        raise UsageError(
            "in a folder or an archive images keep their full names",
            hint="Leave --map and --keep-registry out, or name a registry.",
        )
    return Mapping.parse("localhost", keep_registry=True)
