"""`homeport relocate`: point manifests at a registry."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from homeport.applications.application import Versions
from homeport.applications.redis_enterprise.fields import KIND
from homeport.cli.app import DONE, NOT_STARTED, WRONG, complain
from homeport.cli.mapping_options import MappingOptions
from homeport.cli.output import count
from homeport.cli.packaging_options import PackagingOptions
from homeport.cli.scan import describe
from homeport.cli.sources import SourceName, check_registry, read_sources
from homeport.cluster.pull_secrets import is_secret_name
from homeport.discovery.inputs import MAX_SIZE
from homeport.errors import HomeportError, InputError, UsageError
from homeport.reference import DOCKER_HUB, is_tag
from homeport.relocation.relocate import Relocated
from homeport.relocation.write import join, unified_diff, write_whole
from homeport.workflow.rewrite import Rewritten, place_in, rewrite


def relocate(
    *sources: SourceName,
    to: str,
    pull_secret: str | None = None,
    operator: str | None = None,
    redis: str | None = None,
    default_registry: str = DOCKER_HUB,
    in_place: Annotated[bool, Parameter(negative="")] = False,
    output_dir: Path | None = None,
    diff: Annotated[bool, Parameter(negative="")] = False,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    max_size: int = MAX_SIZE,
    packaging: PackagingOptions = PackagingOptions(),  # noqa: B008  # frozen; cyclopts reads options from the default
    names: MappingOptions = MappingOptions(),  # noqa: B008  # frozen; cyclopts reads options from the default
) -> int:
    """Point manifests at a registry; nothing but image names and pull secrets changes in them.

    The rewritten text goes to stdout, the report to stderr. What cannot be proved by scanning the result again is not written.

    Args:
        sources: Manifests: files, folders (*.yaml, *.yml, *.json in them and below), or - for stdin.
        to: The target, REGISTRY[/PATH]; the source's registry is dropped from names, the path is kept.
        pull_secret: Add this pull secret to pods, service accounts and custom resources that take one.
        operator: The Redis Enterprise operator's tag, where the manifests do not tell it.
        redis: The Redis tag for clusters that name none; else the first one published for the operator.
        default_registry: Where names without a registry come from.
        in_place: Rewrite the files themselves, each in one piece.
        output_dir: Write the files to this folder, under their names.
        diff: Show what changes on stdout instead of the text.
        dry_run: Write nothing; only report.
        max_size: The largest file to read, in bytes.
        packaging: How charts are rendered.
        names: What images are called at the target.
    """
    check_registry(default_registry)
    _check(sources, in_place, output_dir, pull_secret, (operator, redis))
    mapping = names.mapping(to)
    read, errors = read_sources(sources, max_size, packaging, kustomize=False)
    rewriting = rewrite(
        read,
        mapping,
        versions=Versions(operator, redis),
        default_registry=default_registry,
        pull_secret=pull_secret,
    )
    failures = [*errors, *rewriting.failures]
    placed = _place(rewriting.files, in_place, output_dir)
    written = [] if dry_run else _write(placed)
    if diff:
        sys.stdout.write("".join(unified_diff(file.source, file.result.text) for file in rewriting.files))
    elif output_dir is None and not in_place and not dry_run:
        sys.stdout.buffer.write(join((file.source, file.result.text) for file in rewriting.files))
        sys.stdout.buffer.flush()
    for file in rewriting.files:
        _report(file)
    if len(rewriting.operators) != 1 and any(_lacks_release(file.result) for file in rewriting.files):
        print(
            "  --operator TAG names the Redis Enterprise operator where the manifests do not tell it", file=sys.stderr
        )
    for failure in (*failures, *written):
        complain(failure)
    if not rewriting.files and all(isinstance(failure, InputError) for failure in failures):
        return NOT_STARTED
    unresolved = any(file.result.unresolved or file.left for file in rewriting.files)
    return WRONG if failures or written or unresolved else DONE


def _lacks_release(result: Relocated) -> bool:
    return any(place.object.kind == KIND for place in result.unresolved)


def _check(
    sources: Sequence[str],
    in_place: bool,
    output_dir: Path | None,
    pull_secret: str | None,
    tags: Sequence[str | None],
) -> None:
    if not sources:
        raise UsageError("nothing to relocate", hint="Name files or folders, or - for stdin.")
    if in_place and output_dir is not None:
        raise UsageError("--in-place and --output-dir exclude each other")
    if "-" in sources and (in_place or output_dir is not None):
        raise UsageError("stdin has no file to write to", hint="Take the result from stdout.")
    check_pull_secret(pull_secret)
    for tag in tags:
        if tag is not None and not is_tag(tag):
            raise UsageError(
                f"{tag!r} is not a tag", hint="An operator's tag is like 7.2.4-7, a Redis tag like 7.2.4-64."
            )


def check_pull_secret(name: str | None) -> None:
    """Refuse a pull secret's name that is none."""
    if name is not None and not is_secret_name(name):
        raise UsageError(
            f"{name!r} is not a Secret's name", hint="A name has lower-case letters, digits, dashes and dots."
        )


def _place(files: Sequence[Rewritten], in_place: bool, output_dir: Path | None) -> dict[Path, Rewritten]:
    """Say which files are to be written; none for stdout, none in place that would not change."""
    if output_dir is not None:
        return place_in(output_dir, files)
    changed = (file for file in files if file.result.text != file.source.text)
    return {file.source.path: file for file in changed if in_place and file.source.path}


def _write(placed: dict[Path, Rewritten]) -> list[HomeportError]:
    """Write files, each whole; those that cannot be written come back as errors."""
    failures: list[HomeportError] = []
    for path, file in placed.items():
        try:
            write_whole(path, file.content)
        except HomeportError as error:
            failures.append(error)
    return failures


def _report(one: Rewritten) -> None:
    result = one.result
    changes = f"{count(len(result.edits), 'name')} changed, {len(result.insertions)} added"
    unchanged = not result.edits and not result.insertions
    print(f"{one.source.name}: {'nothing to change' if unchanged else changes}", file=sys.stderr)
    for edit in result.edits:
        print(f"  line {edit.line}: {edit.old} -> {edit.new}", file=sys.stderr)
    for added in result.insertions:
        print(f"  line {added.line}: added {added.path}: {added.text}  ({added.object})", file=sys.stderr)
    for place in result.unresolved:
        print(f"  {describe(place)}", file=sys.stderr)
    for word in one.left:
        print(f"  left: {word.source}:{word.line}: {word.text}: {word.reason}", file=sys.stderr)
