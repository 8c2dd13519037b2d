"""`homeport relocate`: point manifests at a registry."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from homeport.applications.application import Versions
from homeport.applications.redis_enterprise.fields import KIND
from homeport.applications.registry import KNOWLEDGE
from homeport.cli.app import DONE, NOT_STARTED, WRONG, complain
from homeport.cli.mapping_options import MappingOptions
from homeport.cli.output import count
from homeport.cli.packaging_options import PackagingOptions
from homeport.cli.rule_options import RuleOptions
from homeport.cli.scan import describe
from homeport.cli.sources import SourceName, check_registry, read_sources
from homeport.cli.ways_out import WaysOut
from homeport.cluster.pull_secrets import is_secret_name
from homeport.discovery.inputs import MAX_SIZE
from homeport.discovery.knowledge import Knowledge
from homeport.discovery.packaging.charts import is_chart
from homeport.errors import InputError, UsageError
from homeport.reference import DOCKER_HUB, is_tag
from homeport.relocation.relocate import Relocated
from homeport.relocation.write import write_whole
from homeport.workflow.helm import Settings
from homeport.workflow.helm_values import Rules, override_values
from homeport.workflow.rewrite import Rewritten, rewrite


def relocate(
    *sources: SourceName,
    to: str,
    pull_secret: str | None = None,
    operator: str | None = None,
    redis: str | None = None,
    decode_secrets: Annotated[bool, Parameter(negative="")] = False,
    examples: Annotated[bool, Parameter(negative="")] = False,
    default_registry: str = DOCKER_HUB,
    max_size: int = MAX_SIZE,
    way: WaysOut = WaysOut(),  # noqa: B008  # frozen; cyclopts reads options from the default
    finding: RuleOptions = RuleOptions(),  # noqa: B008  # frozen; cyclopts reads options from the default
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
        decode_secrets: Rewrite names in the base64 `data` of Secrets, too; nothing of it but names of images is shown.
        examples: Rewrite examples, too: the alm-examples of a ClusterServiceVersion are what OpenShift's console offers to create.
        default_registry: Where names without a registry come from.
        max_size: The largest file to read, in bytes.
        way: Where the result goes.
        finding: How images are found.
        packaging: How charts are rendered.
        names: What images are called at the target.
    """
    check_registry(default_registry)
    _check(sources, pull_secret, (operator, redis))
    way.check(sources)
    mapping = names.mapping(to)
    if way.helm_values is not None:
        rules = Rules(mapping, KNOWLEDGE, default_registry, pull_secret)
        return _chart_values(Path(sources[0]), way, rules, packaging.settings(), max_size)
    read, errors = read_sources(sources, max_size, packaging, rewriting=True)
    taught, unread = finding.taught(read, max_size)
    errors += unread
    taught += Knowledge(examples=examples)
    rewriting = rewrite(
        read,
        mapping,
        versions=Versions(operator, redis),
        default_registry=default_registry,
        pull_secret=pull_secret,
        taught=taught,
        decode_secrets=decode_secrets,
    )
    failures = [*errors, *rewriting.failures]
    written = way.write(rewriting.files)
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


def _check(sources: Sequence[str], pull_secret: str | None, tags: Sequence[str | None]) -> None:
    if not sources:
        raise UsageError("nothing to relocate", hint="Name files or folders, or - for stdin.")
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


def _chart_values(chart: Path, way: WaysOut, rules: Rules, settings: Settings, max_size: int) -> int:
    """Write the values that point a chart at the target, and report."""
    if not is_chart(chart):
        raise UsageError(f"{chart} is no Helm chart", hint="Name a folder with a Chart.yaml, or a packed chart (.tgz).")
    made = override_values(chart, settings, rules, max_size)
    if way.helm_values is not None and not way.dry_run:
        write_whole(way.helm_values, made.text.encode())
    changes = f"{count(len(made.edits), 'name')} changed by values, {len(made.insertions)} added"
    print(f"{chart}: {changes}", file=sys.stderr)
    for edit in made.edits:
        print(f"  {edit.source}:{edit.line}: {edit.old} -> {edit.new}", file=sys.stderr)
    for added in made.insertions:
        print(f"  {added.source}:{added.line}: added {added.path}: {added.text}", file=sys.stderr)
    for place in made.left:
        print(f"  {describe(place)}", file=sys.stderr)
    for error in made.errors:
        complain(error)
    return WRONG if made.left or made.errors else DONE


def _report(one: Rewritten) -> None:
    result = one.result
    changes = f"{count(len(result.edits), 'name')} changed, {len(result.insertions)} added"
    unchanged = not result.edits and not result.insertions
    print(f"{one.source.name}: {'nothing to change' if unchanged else changes}", file=sys.stderr)
    for edit in result.edits:
        print(f"  line {edit.line}: {edit.old} -> {edit.new}", file=sys.stderr)
    for added in result.insertions:
        owner = f"  ({added.object})" if str(added.object) else ""
        print(f"  line {added.line}: added {added.path}: {added.text}{owner}", file=sys.stderr)
    for place in result.unresolved:
        print(f"  {describe(place)}", file=sys.stderr)
    for word in one.left:
        print(f"  left: {word.source}:{word.line}: {word.text}: {word.reason}", file=sys.stderr)
