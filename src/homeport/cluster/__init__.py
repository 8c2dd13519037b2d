"""A live Kubernetes cluster: what it runs, and the pull secrets it pulls with."""

from collections.abc import Sequence

from homeport.discovery.findings import Scan
from homeport.discovery.knowledge import Knowledge
from homeport.errors import UsageError
from homeport.reference import DOCKER_HUB


def scan_cluster(
    context: str | None, namespaces: Sequence[str], knowledge: Knowledge, default_registry: str = DOCKER_HUB
) -> Scan:
    """Find the images of a live cluster: of the named namespaces, or of all; raises UsageError and ClusterError.

    `context` is one of the kubeconfig's, the current one by default. Kinds that may not be read are errors of the scan.
    """
    require_kube()
    from homeport.cluster.scan import scan_live

    return scan_live(context, namespaces, knowledge, default_registry)


def require_kube() -> None:
    """Make sure that the extra for clusters is installed; raises UsageError."""
    try:
        import lightkube  # noqa: F401 - only its presence counts
    except ImportError:
        raise UsageError(
            "talking to a cluster needs one more package", hint="Install it: pip install 'homeport[kube]'."
        ) from None
