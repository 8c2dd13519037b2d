"""`homeport policy`: let a cluster run images of your registry alone."""

from typing import Annotated

from cyclopts import Parameter

from homeport.cli.app import DONE
from homeport.cli.output import render
from homeport.cluster.policy import Action
from homeport.cluster.policy import policy as make_policy
from homeport.cluster.pull_secrets import is_namespace
from homeport.errors import UsageError
from homeport.mapping import Target


def policy(
    *registry: str,
    action: Action = "deny",
    exempt: Annotated[tuple[str, ...], Parameter(negative="")] = ("kube-system",),
) -> int:
    """Print a policy of the API server that lets pods run images of your registry alone; pipe it into kubectl apply -f -.

    It judges containers of all three kinds and image volumes, in pods and in what makes pods. Begin with --action warn: kubectl
    shows what would be refused. Kubernetes 1.30 or newer; nothing runs in the cluster for it.

    Args:
        registry: Where images may come from, REGISTRY[/PATH]; several may be named.
        action: deny refuses; warn lets pass, and warns; audit lets pass, and writes it to the audit log.
        exempt: A namespace that is not judged, kube-system by default; may be repeated.
    """
    if not registry:
        raise UsageError("no registry is named", hint="homeport policy REGISTRY[/PATH] | kubectl apply -f -")
    for name in exempt:
        if not is_namespace(name):
            raise UsageError(f"--exempt {name!r} is not a namespace", hint="`kubectl get namespaces` lists them.")
    manifests = make_policy([Target.parse(text) for text in registry], action, exempt)
    print("\n---\n".join(render(manifest, "yaml", "") for manifest in manifests))
    return DONE
