"""`homeport apply`: the whole job of a homeport.yaml."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from homeport.cli.app import DONE, WRONG
from homeport.cli.job_options import with_config
from homeport.cli.job_report import applied_table, report_applied
from homeport.cli.output import Form, render
from homeport.cli.progress import watching
from homeport.cli.registry_options import RegistryOptions
from homeport.workflow.apply import apply_job
from homeport.workflow.config import load_config
from homeport.workflow.job import read_job


def apply(
    file: Path = Path("homeport.yaml"),
    /,
    *,
    output: Annotated[Form, Parameter(name=["--output", "-o"])] = "table",
    registries: RegistryOptions = RegistryOptions(),  # noqa: B008  # frozen; cyclopts reads options from the default
) -> int:
    """Do the whole job of homeport.yaml: bring the images, write manifests and pull secret, prove it.

    Doing it again does nothing, and an interrupted job goes on where it stopped. The digests of the images are kept in
    homeport.lock beside the file. Manifests are written only when every image is at the target.

    Args:
        file: The configuration.
        output: How the report is written to stdout: table, json or yaml.
        registries: How registries are reached.
    """
    config = load_config(file)
    job = read_job(config)
    with watching() as watcher, with_config(registries, config).open(watcher.waits) as opened:
        applied = apply_job(job, opened, watcher)
    report = report_applied(job, applied)
    print(render(report, output, applied_table(report, job)))
    return DONE if applied.is_whole and not job.unresolved and not job.errors else WRONG
