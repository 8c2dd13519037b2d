"""`homeport rbac`: the least rights that Homeport needs."""

from typing import Annotated

from cyclopts import Parameter

from homeport.cli.app import DONE
from homeport.cli.output import render
from homeport.cluster.pull_secrets import is_namespace
from homeport.cluster.rights import Purpose, binding, role
from homeport.errors import UsageError


def rbac(
    purpose: Purpose = "scan",
    /,
    *,
    namespace: Annotated[tuple[str, ...], Parameter(name=["--namespace", "-n"], negative="")] = (),
    subject: Annotated[tuple[str, ...], Parameter(name="--for", negative="")] = (),
) -> int:
    """Print the least rights for scan, verify, apply or secret --cluster as a role; pipe it into kubectl apply -f -.

    Args:
        purpose: What is to be allowed: scan, verify (scan, and reading pull secrets), apply (and rollback) or secret.
        namespace: Allow it in this namespace only; may be repeated.
        subject: Give the role to this user, or service account as NAMESPACE:NAME; may be repeated.
    """
    for name in namespace:
        if not is_namespace(name):
            raise UsageError(f"{name!r} is not a namespace", hint="`kubectl get namespaces` lists them.")
    made = [role(purpose, name) for name in namespace or ("",)]
    bound = [binding(each, who) for each in made for who in subject]
    if len(subject) > 1:
        for number, each in enumerate(bound):
            each["metadata"] = {**each["metadata"], "name": f"{each['metadata']['name']}-{number % len(subject) + 1}"}
    print("\n---\n".join(render(each, "yaml", "") for each in (*made, *bound)))
    return DONE
