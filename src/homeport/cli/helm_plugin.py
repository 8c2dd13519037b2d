"""`homeport helm-plugin`: let Helm relocate what it renders."""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from homeport import __version__
from homeport.cli.app import DONE
from homeport.cli.mapping_options import MappingOptions
from homeport.cli.relocate import check_pull_secret
from homeport.cli.sources import check_registry
from homeport.relocation.write import write_whole

_MANIFEST = """\
apiVersion: v1
type: postrenderer/v1
name: {name}
version: {version}
runtime: subprocess
runtimeConfig:
  platformCommand:
  - command: homeport
    args: {arguments}
"""


def helm_plugin(
    folder: Annotated[Path, Parameter(name="DIR")],
    *,
    to: str,
    name: str = "homeport",
    pull_secret: str | None = None,
    default_registry: str | None = None,
    names: MappingOptions = MappingOptions(),  # noqa: B008  # frozen; cyclopts reads options from the default
) -> int:
    """Write a Helm 4 plugin of type postrenderer/v1 that relocates what Helm renders, hooks included.

    Install it with `helm plugin install DIR`, use it with `--post-renderer homeport`. Helm 3 takes the command itself; it is printed.

    Args:
        folder: Where to write plugin.yaml; made where it is missing.
        to: The target, REGISTRY[/PATH].
        name: The plugin's name.
        pull_secret: Add this pull secret to pods, service accounts and custom resources that take one.
        default_registry: Where names without a registry come from, where that is not docker.io.
        names: What images are called at the target.
    """
    names.mapping(to)
    check_pull_secret(pull_secret)
    arguments = ["relocate", "--to", to]
    arguments += ["--pull-secret", pull_secret] if pull_secret else []
    if default_registry:
        check_registry(default_registry)
        arguments += ["--default-registry", default_registry]
    arguments += ["--keep-registry"] if names.keep_registry else []
    arguments += [word for redirect in names.map for word in ("--map", redirect)]
    arguments.append("-")
    text = _MANIFEST.format(name=json.dumps(name), version=__version__, arguments=json.dumps(arguments))
    write_whole(folder / "plugin.yaml", text.encode())
    print(f"wrote {folder / 'plugin.yaml'}", file=sys.stderr)
    print(f"helm plugin install {shlex.quote(str(folder))}")
    print(f"helm upgrade --install RELEASE CHART --post-renderer {name}")
    print("# Helm 3 takes the command itself, and leaves hooks out:")
    options = " ".join(f"--post-renderer-args {shlex.quote(word)}" for word in arguments)
    print(f"helm upgrade --install RELEASE CHART --post-renderer homeport {options}")
    return DONE
