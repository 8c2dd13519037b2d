"""Where the result of a relocation goes, as options and as what they do."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from homeport.errors import HomeportError, UsageError

if TYPE_CHECKING:
    from homeport.workflow.rewrite import Rewritten


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class WaysOut:
    """Options that say where the result goes; to stdout without any."""

    in_place: Annotated[bool, Parameter(negative="", show_default=False)] = False
    """Rewrite the files themselves, each in one piece."""
    output_dir: Path | None = None
    """Write the files to this folder, under their names."""
    kustomize: Path | None = None
    """Write a kustomize overlay to this folder: the originals, an images transformer, and patches for the rest."""
    helm_values: Path | None = None
    """Write the values that point one chart at the target to this file, for `helm --values`."""
    diff: Annotated[bool, Parameter(negative="", show_default=False)] = False
    """Show what changes on stdout instead of the text."""
    dry_run: Annotated[bool, Parameter(negative="", show_default=False)] = False
    """Write nothing; only report."""

    def check(self, sources: Sequence[str]) -> None:
        """Refuse what excludes each other; raises UsageError."""
        ways = {
            "--in-place": self.in_place,
            "--output-dir": self.output_dir,
            "--kustomize": self.kustomize,
            "--helm-values": self.helm_values,
        }
        chosen = [name for name, value in ways.items() if value]
        if len(chosen) > 1:
            raise UsageError(f"{' and '.join(chosen)} exclude each other")
        if "-" in sources and chosen and not self.kustomize:
            raise UsageError("stdin has no file to write to", hint="Take the result from stdout.")
        if self.helm_values and len(sources) != 1:
            raise UsageError("--helm-values is about one chart", hint="Name the chart's folder or archive.")

    def write(self, files: "Sequence[Rewritten]") -> list[HomeportError]:
        """Bring the files out; those that cannot be written come back as errors. Raises UsageError, InputError."""
        from homeport.relocation.write import join, unified_diff

        placed = self._placed(files)
        failures = [] if self.dry_run else _write(placed)
        if self.diff:
            sys.stdout.write("".join(unified_diff(file.source, file.result.text) for file in files))
        elif not (self.in_place or self.output_dir or self.kustomize or self.dry_run):
            sys.stdout.buffer.write(join((file.source, file.result.text) for file in files))
            sys.stdout.buffer.flush()
        return failures

    def _placed(self, files: "Sequence[Rewritten]") -> dict[Path, bytes]:
        """Say which files are to be written; none for stdout, none in place that would not change."""
        from homeport.relocation.overlay import overlay
        from homeport.workflow.rewrite import place_in

        if self.kustomize is not None:
            written = overlay((file.source, file.result.text) for file in files)
            return {self.kustomize / name: text.encode() for name, text in written.items()}
        if self.output_dir is not None:
            return {path: file.content for path, file in place_in(self.output_dir, files).items()}
        if not self.in_place:
            return {}
        for file in files:
            if file.source.path is None:
                raise UsageError(
                    f"{file.source.name} has no file to write to",
                    hint="For a chart write the values that point it at the target: --helm-values FILE.",
                )
        changed = (file for file in files if file.result.text != file.source.text)
        return {file.source.path: file.content for file in changed if file.source.path}


def _write(placed: dict[Path, bytes]) -> list[HomeportError]:
    """Write files, each whole; those that cannot be written come back as errors."""
    from homeport.relocation.write import write_whole

    failures: list[HomeportError] = []
    for path, content in placed.items():
        try:
            write_whole(path, content)
        except HomeportError as error:
            failures.append(error)
    return failures
