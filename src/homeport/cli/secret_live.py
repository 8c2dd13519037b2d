"""The part of `homeport secret` that is about a live cluster."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Parameter

from homeport.cli.app import DONE, WRONG, complain
from homeport.cli.live_lines import Changed, say, what_changes, what_is_left, who_restarts
from homeport.cli.output import Form, render
from homeport.cli.registry_options import RegistryOptions
from homeport.cluster.pull_secrets import make_pull_secret
from homeport.errors import UsageError
from homeport.mapping import Target
from homeport.registry.credentials import Credential

if TYPE_CHECKING:
    from homeport.cluster.api import Api


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class LiveOptions:
    """Options that put a pull secret into a live cluster, or take it away."""

    cluster: Annotated[bool, Parameter(negative="")] = False
    """Put it into the live cluster."""
    context: str | None = None
    """The kubeconfig's context."""
    all_namespaces: Annotated[bool, Parameter(name=["--all-namespaces", "-A"], negative="")] = False
    """All namespaces of the cluster; without it and without -n, that of the context."""
    service_account: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = ()
    """Let this service account lend it to the pods that it makes from now on; may be repeated."""
    attach: Annotated[bool, Parameter(negative="")] = False
    """Add it wherever images of the registry are pulled: to lists of pods and custom resources, else to the service account."""
    overlap: Annotated[bool, Parameter(negative="")] = False
    """Keep the credentials that it has beside the new ones: pulls go on whichever the registry accepts."""
    check: bool = True
    """Ask the registry whether it accepts the password, before it is written; --no-check does not."""
    detach: Annotated[bool, Parameter(negative="")] = False
    """Take it out of every list that has another secret for the same registry."""
    prune: Annotated[bool, Parameter(negative="")] = False
    """Delete it where nothing uses it any more; without a name, all pull secrets that Homeport made."""
    dry_run: Annotated[bool, Parameter(negative="")] = False
    """Say what would be done; change nothing."""

    def check_use(self, namespaces: Sequence[str]) -> None:
        """Raise UsageError for options that do not go together."""
        if not self.cluster and self != LiveOptions():
            raise UsageError("this option is about a live cluster", hint="Add --cluster.")
        if namespaces and self.all_namespaces:
            raise UsageError("--namespace and --all-namespaces exclude each other")
        if (self.detach or self.prune) and (self.attach or self.overlap or self.service_account):
            raise UsageError("--detach and --prune take away; do that in a command of its own")


class Wish(msgspec.Struct, frozen=True):
    """The pull secret that is to be in a cluster."""

    name: str
    target: Target
    credential: Credential
    namespaces: tuple[str, ...]


def spread(wish: Wish, options: LiveOptions, registries: RegistryOptions, output: Form) -> int:
    """Put a pull secret into a cluster; raises UsageError and ClusterError."""
    api = _open(options)
    from homeport.applications.registry import learn_all
    from homeport.workflow.live_apply import LiveApplied, apply_live, described
    from homeport.workflow.live_spread import check_accepted, plan_spread

    if options.check and not options.overlap:
        with registries.open() as opened:
            check_accepted(opened, wish.target, wish.credential)
    with api:
        namespaces = _namespaces(api, wish.namespaces, options)
        manifests = [make_pull_secret(wish.name, it, wish.target, wish.credential) for it in namespaces]
        plan = plan_spread(
            api,
            wish.target,
            manifests,
            accounts=options.service_account,
            attach=(lambda found: learn_all(found).knowledge) if options.attach else None,
            overlap=options.overlap,
        )
        applied = LiveApplied(())
        if not options.dry_run:
            applied = apply_live(api, plan, None, namespace=namespaces[0], say=say)
        report = Changed(
            api.context,
            [f"Secret/{it.namespace}/{it.name}: {it.status if options.dry_run else it.done}" for it in plan.secrets],
            {str(it.key): described(it) for it in (*plan.accounts, *plan.objects) if it.changes},
            plan.restarts,
            [f"{it.object} {it.path}: {it.reason}" for it in plan.left],
            applied.done,
            str(applied.failed) if applied.failed else None,
            plan.errors,
        )
    if applied.failed:
        complain(applied.failed)
    print(render(report, output, _table(report, dry_run=options.dry_run)))
    return WRONG if report.left or report.failed or report.errors else DONE


def take_away(name: str, namespaces: tuple[str, ...], options: LiveOptions, output: Form) -> int:
    """Take a pull secret out of lists, or delete it where nothing uses it; raises UsageError and ClusterError."""
    if options.detach and not name:
        raise UsageError("which pull secret is to be taken out of lists is not said", hint="homeport secret NAME ...")
    api = _open(options)
    from homeport.applications.registry import learn_all
    from homeport.workflow.live_apply import LiveApplied, described
    from homeport.workflow.live_spread import detach, plan_detach, plan_prune

    changes: dict[str, list[str]] = {}
    left: list[str] = []
    gone: list[str] = []
    applied = LiveApplied(())
    with api:
        chosen = _namespaces(api, namespaces, options)
        if options.detach:
            steps, kept = plan_detach(api, chosen, name, lambda found: learn_all(found).knowledge)
            changes = {str(it.key): described(it) for it in steps}
            left += [f"{it.object} {it.path}: {it.reason}" for it in kept]
            if not options.dry_run:
                applied = detach(api, chosen[0], steps, say)
        if options.prune and not applied.failed:
            pruned = plan_prune(api, chosen, name)
            left += pruned.kept if name else ()
            gone += () if name else (f"{it}, kept" for it in pruned.kept)
            for each in pruned.unused:
                if not options.dry_run:
                    api.delete(each)
                verb = "to be deleted" if options.dry_run else "deleted"
                gone.append(f"Secret/{each['metadata']['namespace']}/{each['metadata']['name']}: {verb}")
        failed = str(applied.failed) if applied.failed else None
        report = Changed(api.context, gone, changes, (), left, applied.done, failed)
    if applied.failed:
        complain(applied.failed)
    print(render(report, output, _table(report, dry_run=options.dry_run)))
    return WRONG if report.left or report.failed else DONE


def _open(options: LiveOptions) -> "Api":
    from homeport.cluster import require_kube

    require_kube()
    from homeport.cluster.api import Api
    from homeport.cluster.kubeconfig import load_config

    return Api(load_config(options.context))


def _namespaces(api: "Api", named: tuple[str, ...], options: LiveOptions) -> tuple[str, ...]:
    from homeport.workflow.live_spread import every_namespace

    return every_namespace(api) if options.all_namespaces else tuple(dict.fromkeys(named)) or (api.namespace,)


def _table(report: Changed, *, dry_run: bool) -> str:
    lines = [*what_changes(report)]
    if not report.secrets and not report.changes:
        lines += ["  nothing has to change"]
    return "\n".join([*lines, *who_restarts(report, dry_run=dry_run), *what_is_left(report)])
