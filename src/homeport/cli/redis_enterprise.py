"""`homeport redis-enterprise`: what belongs to which release of Redis Enterprise for Kubernetes."""

from typing import Annotated, Literal

import msgspec
from cyclopts import App, Parameter

from homeport.applications.redis_enterprise import images_of
from homeport.cli.app import DONE
from homeport.cli.output import render

redis_enterprise = App(name="redis-enterprise", help_format="plaintext", help_formatter="plain")


class _Images(msgspec.Struct, frozen=True):
    operator: str
    images: list[str]


@redis_enterprise.command
def images(
    operator: str,
    /,
    *,
    redis: str | None = None,
    openshift: Annotated[bool, Parameter(negative="")] = False,
    output: Annotated[Literal["names", "json", "yaml"], Parameter(name=["--output", "-o"])] = "names",
) -> int:
    """List every image that a release pulls, ready for `homeport mirror`.

    Args:
        operator: The operator's tag, for example 7.2.4-7.
        redis: The tag of Redis Enterprise itself; else the first one published for the operator.
        openshift: The names of Red Hat's registry.
        output: names (one a line), json or yaml.
    """
    names = sorted(map(str, images_of(operator, redis, openshift=openshift)))
    if output == "names":
        print("\n".join(names))
    else:
        print(render(_Images(operator, names), output, ""))
    return DONE
