"""A live Kubernetes cluster: what it runs, and the pull secrets it pulls with."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from homeport.discovery.findings import Finding
from homeport.discovery.knowledge import Knowledge
from homeport.errors import UsageError
from homeport.reference import DOCKER_HUB

if TYPE_CHECKING:
    from homeport.cluster.scan import LiveScan


def scan_cluster(
    context: str | None,
    namespaces: Sequence[str],
    knowledge: Knowledge,
    *,
    default_registry: str = DOCKER_HUB,
    labels: str = "",
    only_running: bool = False,
    learn: Callable[[Iterable[Finding]], Knowledge] | None = None,
    helm_hooks: bool = False,
) -> "LiveScan":
    """Find the images of a live cluster: of the named namespaces, or of all; raises UsageError and ClusterError.

    `context` is one of the kubeconfig's, the current one by default. Kinds that may not be read are errors of the scan. `labels`
    is a selector in the words of kubectl. `learn` makes the rules for custom resources from what runs. `helm_hooks` reads the Secrets
    of Helm releases, too.
    """
    require_kube()
    from homeport.cluster.inventory import View
    from homeport.cluster.scan import scan_live

    view = View(labels, only_running)
    return scan_live(
        context,
        namespaces,
        knowledge,
        default_registry=default_registry,
        view=view,
        learn=learn,
        helm_hooks=helm_hooks,
    )


def require_kube() -> None:
    """Make sure that the extra for clusters is installed; raises UsageError."""
    try:
        import lightkube  # noqa: F401 - only its presence counts
    except ImportError:
        raise UsageError(
            "talking to a cluster needs one more package", hint="Install it: pip install 'homeport[kube]'."
        ) from None
