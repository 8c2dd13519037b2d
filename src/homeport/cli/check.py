"""`homeport check`: what a registry can do."""

from typing import Annotated

import msgspec
from cyclopts import Parameter

from homeport.cli.app import DONE, WRONG
from homeport.cli.output import Form, columns, render
from homeport.cli.registry_options import RegistryOptions
from homeport.mapping import Target
from homeport.registry.checkup import Finding, check_up


class _Report(msgspec.Struct, frozen=True):
    registry: str
    identity: str
    findings: list[Finding]


def check(
    registry: str,
    /,
    *,
    output: Annotated[Form, Parameter(name=["--output", "-o"])] = "table",
    registries: RegistryOptions = RegistryOptions(),  # noqa: B008  # frozen; cyclopts reads options from the default
) -> int:
    """Find out what a registry can do, before images are brought to it. Pushes a few bytes and deletes them again.

    Exits with 1 if images cannot be brought.

    Args:
        registry: The target, REGISTRY[/PATH]; the check works in the repository homeport-check below it.
        output: How the report is written to stdout: table, json or yaml.
        registries: How registries are reached.
    """
    target = Target.parse(registry)
    with registries.open() as opened:
        credential = opened.credential(target.registry, target.path)
        findings = list(check_up(opened.client(target.registry), target.path))
    report = _Report(str(target), credential.identity if credential else "anonymous", findings)
    print(render(report, output, _table(report)))
    return WRONG if any(finding.is_bad for finding in findings) else DONE


def _table(report: _Report) -> str:
    lines = [f"{report.registry}, {report.identity}", ""]
    lines += columns((finding.state, finding.what) for finding in report.findings)
    said = [finding.means for finding in report.findings if finding.means]
    return "\n".join([*lines, *([""] if said else []), *said])
