"""`homeport mirror`: bring images to a registry."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from homeport.cli.app import DONE, NOT_STARTED, WRONG, complain
from homeport.cli.mapping_options import MappingOptions
from homeport.cli.mirror_report import Report, refused, report_plan, report_result, report_table
from homeport.cli.output import Form, render
from homeport.cli.progress import watching
from homeport.cli.references import Named, read_references
from homeport.cli.registry_options import RegistryOptions
from homeport.errors import CollisionError, UsageError
from homeport.mapping import Mapping
from homeport.mirror.executor import forecast
from homeport.mirror.executor import mirror as bring
from homeport.mirror.platforms import is_platform


def mirror(
    *references: Annotated[str, Parameter(allow_leading_hyphen=True)],
    to: str,
    from_scan: Annotated[Path | None, Parameter(allow_leading_hyphen=True)] = None,
    output: Annotated[Form, Parameter(name=["--output", "-o"])] = "table",
    platform: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    dry_run: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    names: MappingOptions = MappingOptions(),  # noqa: B008  # frozen; cyclopts reads options from the default
    registries: RegistryOptions = RegistryOptions(),  # noqa: B008  # frozen; cyclopts reads options from the default
) -> int:
    """Bring images to a registry under the same tags and digests; what is there already costs no pull.

    Args:
        references: Images, as in nginx:1.27 or quay.io/org/app@sha256:...; - reads them from stdin, one a line.
        to: The target, REGISTRY[/PATH]; the source's registry is dropped from names, the path is kept.
        from_scan: Take the images of a report of `homeport scan -o json`; - reads it from stdin.
        output: How the report is written to stdout: table, json or yaml.
        platform: Bring only this platform, os/architecture, of images that have several; may be repeated. Index and digest stay as
            they are, so the target must take an index that lacks platforms; Docker Registry and Harbor may not.
        dry_run: Only say what would be done and cost; asks by HEAD alone, which no registry counts as a pull.
        names: What images are called at the target.
        registries: How registries are reached.
    """
    mapping = names.mapping(to)
    for each in platform:
        if not is_platform(each):
            raise UsageError(f"{each!r} is not a platform", hint="Write os/architecture, for example linux/amd64.")
    named = read_references(references, from_scan)
    for warning in named.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    try:
        report = (_forecast if dry_run else _run)(named, mapping, registries, platform)
    except CollisionError as error:
        complain(error)
        return NOT_STARTED
    print(render(report, output, report_table(report, mapping.target)))
    return WRONG if any(image.status == "failed" for image in report.images) else DONE


def _run(named: Named, mapping: Mapping, options: RegistryOptions, platforms: Sequence[str]) -> Report:
    with watching() as watcher, options.open(watcher.waits) as registries:
        target = registries.client(mapping.target.registry)
        result = bring(named.references, mapping, registries.client, target, observer=watcher, platforms=platforms)
    return report_result(result, refused(named.open, mapping))


def _forecast(named: Named, mapping: Mapping, options: RegistryOptions, platforms: Sequence[str]) -> Report:
    with options.open() as registries:
        target = registries.client(mapping.target.registry)
        plan = forecast(named.references, mapping, registries.client, target, platforms=platforms)
    return report_plan(plan, refused(named.open, mapping))
