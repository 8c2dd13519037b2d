"""Options of `homeport scan` that are about live clusters."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from homeport.errors import ClusterError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from homeport.cluster.scan import LiveScan
    from homeport.discovery.findings import Finding
    from homeport.discovery.knowledge import Knowledge


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """Options that say which clusters are looked at, and what of them."""

    cluster: Annotated[bool, Parameter(negative="", show_default=False)] = False
    """Look at a live cluster: all its pods, workloads that run no pod, custom resources."""
    context: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = ()
    """The kubeconfig's context to use; the current one otherwise. May be given again for another cluster."""
    namespace: Annotated[tuple[str, ...], Parameter(name=["--namespace", "-n"], negative="", show_default=False)] = ()
    """Only this namespace; may be given again."""
    selector: Annotated[str, Parameter(name=["--selector", "-l"], show_default=False)] = ""
    """Only objects with these labels, as kubectl takes them: app=web,tier!=test."""
    only_running: Annotated[bool, Parameter(negative="", show_default=False)] = False
    """Only pods that run now: no templates, no custom resources."""

    helm_hooks: Annotated[bool, Parameter(negative="", show_default=False)] = False
    """Also what the hooks of Helm releases pull at the next upgrade; it takes the right to list Secrets."""

    @property
    def partial(self) -> bool:
        """Whether some of a cluster is left out."""
        return bool(self.namespace or self.selector or self.only_running)

    def check(self) -> None:
        """Refuse what makes sense with a cluster alone; raises UsageError."""
        given = {
            "--context": self.context,
            "--namespace": self.namespace,
            "--selector": self.selector,
            "--only-running": self.only_running,
            "--helm-hooks": self.helm_hooks,
        }
        wrong = [name for name, value in given.items() if value]
        if wrong and not self.cluster:
            verb = "is" if len(wrong) == 1 else "are"
            raise UsageError(f"{' and '.join(wrong)} {verb} about a cluster", hint="Add --cluster.")

    def scan(
        self,
        knowledge: "Knowledge",
        default_registry: str,
        learn: "Callable[[Iterable[Finding]], Knowledge]",
    ) -> "LiveScan":
        """Scan the clusters; of several, those that cannot be read are errors. Raises UsageError and ClusterError."""
        from homeport.cluster import require_kube, scan_cluster

        require_kube()
        from homeport.cluster.scan import LiveScan
        from homeport.discovery.findings import Scan

        found, last = [], None
        for context in dict.fromkeys(self.context) or (None,):
            try:
                found.append(
                    scan_cluster(
                        context,
                        self.namespace,
                        knowledge,
                        default_registry=default_registry,
                        labels=self.selector,
                        only_running=self.only_running,
                        learn=learn,
                        helm_hooks=self.helm_hooks,
                    )
                )
            except ClusterError as error:
                last = error
                found.append(LiveScan(Scan(errors=(str(error),))))
        if last and all(not each.nodes for each in found):
            raise last
        return LiveScan.joined(found)
