"""`homeport plan`: what `homeport apply` would do."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from homeport.cli.app import DONE, WRONG
from homeport.cli.job_options import with_config
from homeport.cli.job_report import plan_table, report_job_plan
from homeport.cli.output import Form, render
from homeport.cli.registry_options import RegistryOptions
from homeport.mirror.kept import KeptManifests
from homeport.workflow.config import load_config
from homeport.workflow.job import plan_job, read_job


def plan(
    file: Path = Path("homeport.yaml"),
    /,
    *,
    locked: Annotated[bool, Parameter(negative="")] = False,
    deep: Annotated[bool, Parameter(negative="")] = False,
    output: Annotated[Form, Parameter(name=["--output", "-o"])] = "table",
    registries: RegistryOptions = RegistryOptions(),  # noqa: B008  # frozen; cyclopts reads options from the default
) -> int:
    """Show what apply would do, from homeport.yaml: images, bytes, requests, counted pulls, edits.

    Changes nothing, and asks registries by HEAD alone, which none counts as a pull; what cannot be known so is shown as a bound.

    Args:
        file: The configuration.
        locked: Keep to homeport.lock: refuse tags that have moved since, and ask sources only for what the target lacks.
        deep: Fetch the manifests too, which counts as pulls, and say exactly what would be copied. They are kept: `homeport apply`
            does not fetch them again.
        output: How the report is written to stdout: table, json or yaml.
        registries: How registries are reached.
    """
    config = load_config(file)
    job = read_job(config)
    with with_config(registries, config).open() as opened:
        planned = plan_job(job, opened, locked=locked, kept=KeptManifests.of_user(), deep=deep)
    report = report_job_plan(planned)
    print(render(report, output, plan_table(report, planned)))
    failed = any(image.status == "failed" for image in report.mirror.images)
    too_much = any(quota.fits is False for quota in report.quotas)
    return WRONG if failed or too_much or not job.is_clear else DONE
