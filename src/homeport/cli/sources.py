"""The manifests a command is about."""

import sys
from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter

from homeport.cli.packaging_options import PackagingOptions
from homeport.discovery.inputs import STDIN, Source
from homeport.errors import InputError, UsageError
from homeport.reference import is_host
from homeport.workflow.packages import read_packages

SourceName = Annotated[str, Parameter(allow_leading_hyphen=True)]
"""A file, a folder, a pattern, a chart, a kustomization, or ``-``, which would be taken for an option otherwise."""


def read_sources(
    names: Sequence[str], max_size: int, packaging: PackagingOptions | None = None, *, rewriting: bool = False
) -> tuple[list[Source], list[InputError]]:
    """Read manifests, charts and kustomizations; what cannot be read comes back as an error. Raises UsageError.

    For `rewriting` a kustomization is the files that it is made of, and a chart is read only where it is rendered.
    """
    for name in names:
        if name.startswith("-") and name != STDIN:
            raise UsageError(f"there is no option {name}", hint=f"For a file of that name write ./{name}.")
    if names.count(STDIN) > 1:
        raise UsageError("stdin can be read once only")
    settings = packaging.settings() if packaging else None
    return read_packages(names, stdin=sys.stdin.buffer, max_size=max_size, settings=settings, rewriting=rewriting)


def check_registry(text: str) -> None:
    """Refuse a default registry that is none."""
    if not is_host(text):
        raise UsageError(
            f"--default-registry {text!r} is not a registry", hint="Write host[:port], for example docker.io."
        )
