"""`homeport rbac`: the least rights that Homeport needs."""

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Final

from cyclopts import Parameter

from homeport.cli.app import DONE
from homeport.cli.output import render
from homeport.cli.sources import read_sources
from homeport.cluster.pull_secrets import is_namespace
from homeport.cluster.rights import Purpose, binding, role
from homeport.discovery.inputs import MAX_SIZE
from homeport.discovery.schemas import all_definitions
from homeport.discovery.tree import dig, text_of
from homeport.errors import UsageError

_KIND: Final = re.compile(r"[a-z][a-z0-9-]*(?:\.[a-z0-9-]+)+")


def rbac(
    purpose: Purpose = "scan",
    /,
    *,
    namespace: Annotated[tuple[str, ...], Parameter(name=["--namespace", "-n"], negative="")] = (),
    kind: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    crds: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    helm_hooks: Annotated[bool, Parameter(negative="")] = False,
    subject: Annotated[tuple[str, ...], Parameter(name="--for", negative="")] = (),
) -> int:
    """Print the least rights for scan, verify, apply or secret --cluster as a role; pipe it into kubectl apply -f -.

    Args:
        purpose: What is to be allowed: scan, verify (scan, reading events and pull secrets), probe (verify --probe), apply (and
            rollback) or secret (secret --cluster).
        namespace: Allow it in this namespace only; may be repeated.
        kind: A kind of custom resource to read as well, PLURAL.GROUP as `kubectl get crd` lists it; may be repeated.
        crds: Read the kinds of these CustomResourceDefinitions as well: a file, a folder, or - for stdin; may be repeated.
        helm_hooks: Allow scan --helm-hooks as well, which lists Secrets.
        subject: Give the role to this user, or service account as NAMESPACE:NAME; may be repeated.
    """
    for name in namespace:
        if not is_namespace(name):
            raise UsageError(f"{name!r} is not a namespace", hint="`kubectl get namespaces` lists them.")
    custom = (*kind, *_defined(crds, namespaced=bool(namespace)))
    for name in kind:
        if not _KIND.fullmatch(name):
            raise UsageError(f"{name!r} is not PLURAL.GROUP", hint="`kubectl get crd` lists them.")
    made = [role(purpose, name, custom, helm_hooks=helm_hooks) for name in namespace or ("",)]
    bound = [binding(each, who) for each in made for who in subject]
    if len(subject) > 1:
        for number, each in enumerate(bound):
            each["metadata"] = {**each["metadata"], "name": f"{each['metadata']['name']}-{number % len(subject) + 1}"}
    print("\n---\n".join(render(each, "yaml", "") for each in (*made, *bound)))
    return DONE


def _defined(crds: Sequence[str], *, namespaced: bool) -> Iterator[str]:
    """Yield the kinds that definitions define; raises UsageError where one cannot be read."""
    sources, errors = read_sources(crds, MAX_SIZE)
    if errors:
        raise UsageError(str(errors[0]), hint=errors[0].hint)
    for definition in all_definitions(sources):
        if not (namespaced and dig(definition, ("spec", "scope")) == "Cluster"):
            yield text_of(dig(definition, ("metadata", "name")))
