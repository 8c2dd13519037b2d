"""`homeport relocate`: point manifests at a registry."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from homeport.applications.redis_enterprise import KNOWLEDGE, choose, knowledge
from homeport.applications.redis_enterprise.fields import KIND
from homeport.cli.app import DONE, NOT_STARTED, WRONG, complain
from homeport.cli.output import count
from homeport.cli.scan import describe
from homeport.cli.sources import SourceName, check_registry, read_sources
from homeport.discovery.inputs import MAX_SIZE, Source
from homeport.discovery.knowledge import Knowledge
from homeport.discovery.scan import scan_source
from homeport.errors import CollisionError, HomeportError, InputError, UsageError
from homeport.mapping import Mapping, Target
from homeport.reference import DOCKER_HUB, is_tag
from homeport.relocation.relocate import Relocated
from homeport.relocation.relocate import relocate as rewrite
from homeport.relocation.write import join, unified_diff, write_whole

_SECRET_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")


class _Done(msgspec.Struct, frozen=True):
    source: Source
    relocated: Relocated


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
    """
    check_registry(default_registry)
    _check(sources, in_place, output_dir, pull_secret, (operator, redis))
    mapping = Mapping(Target.parse(to))
    read, errors = read_sources(sources, max_size)
    failures: list[HomeportError] = list(errors)
    findings = [it for source in read for it in scan_source(source, KNOWLEDGE, default_registry).findings]
    choice = choose(findings, operator, redis)
    rules = knowledge(choice)
    done: list[_Done] = []
    for source in read:
        try:
            done.append(_Done(source, _rewrite(source, mapping, rules, default_registry, pull_secret)))
        except HomeportError as error:
            failures.append(error)
    try:
        mapping.relocate_all(sorted({it for one in done for it in one.relocated.references}, key=str))
    except CollisionError as collision:
        complain(collision)
        return NOT_STARTED
    written = [] if dry_run else _write(done, in_place, output_dir, diff)
    if diff:
        sys.stdout.write("".join(unified_diff(one.source, one.relocated.text) for one in done))
    for one in done:
        _report(one)
    if len(choice.operators) != 1 and any(_lacks_release(one.relocated) for one in done):
        print(
            "  --operator TAG names the Redis Enterprise operator where the manifests do not tell it", file=sys.stderr
        )
    for failure in (*failures, *written):
        complain(failure)
    if not done and all(isinstance(failure, InputError) for failure in failures):
        return NOT_STARTED
    return WRONG if failures or written or any(one.relocated.unresolved for one in done) else DONE


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
    if pull_secret is not None and not _SECRET_NAME.fullmatch(pull_secret):
        raise UsageError(
            f"{pull_secret!r} is not a Secret's name", hint="A name has lower-case letters, digits, dashes and dots."
        )
    for tag in tags:
        if tag is not None and not is_tag(tag):
            raise UsageError(
                f"{tag!r} is not a tag", hint="An operator's tag is like 7.2.4-7, a Redis tag like 7.2.4-64."
            )


def _rewrite(
    source: Source, mapping: Mapping, rules: Knowledge, default_registry: str, pull_secret: str | None
) -> Relocated:
    return rewrite(source, mapping, knowledge=rules, default_registry=default_registry, pull_secret=pull_secret)


def _write(done: Sequence[_Done], in_place: bool, output_dir: Path | None, diff: bool) -> list[HomeportError]:
    """Write the results to where they were asked for; what cannot be written comes back as an error."""
    if not in_place and output_dir is None:
        if not diff:
            sys.stdout.buffer.write(join((one.source, one.relocated.text) for one in done))
            sys.stdout.buffer.flush()
        return []
    names = [one.source.relative for one in done]
    if output_dir is not None and len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(
            f"two sources would be written to {output_dir / twice}", hint="Relocate them in runs of their own."
        )
    failures: list[HomeportError] = []
    for one in done:
        path = output_dir / one.source.relative if output_dir is not None else one.source.path
        if path is None or (in_place and one.relocated.text == one.source.text):
            continue
        try:
            write_whole(path, one.source.encode(one.relocated.text))
        except HomeportError as error:
            failures.append(error)
    return failures


def _report(one: _Done) -> None:
    result = one.relocated
    changes = f"{count(len(result.edits), 'name')} changed, {len(result.insertions)} added"
    unchanged = not result.edits and not result.insertions
    print(f"{one.source.name}: {'nothing to change' if unchanged else changes}", file=sys.stderr)
    for edit in result.edits:
        print(f"  line {edit.line}: {edit.old} -> {edit.new}", file=sys.stderr)
    for added in result.insertions:
        print(f"  line {added.line}: added {added.path}: {added.text}  ({added.object})", file=sys.stderr)
    for place in result.unresolved:
        print(f"  {describe(place)}", file=sys.stderr)
