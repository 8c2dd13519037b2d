"""`homeport redis-enterprise manifests` and `upgrade`: what to apply, and in which order."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from homeport.applications.redis_enterprise.manifests import Manifests, Wish, make_manifests
from homeport.applications.redis_enterprise.releases import doubts
from homeport.applications.redis_enterprise.upgrade import UNKNOWN_TARGET, Route, UpgradePlan, plan_upgrade, read_route
from homeport.cli.app import DONE
from homeport.cli.output import Form, columns, count, render
from homeport.cli.redis_enterprise import warn
from homeport.cli.redis_enterprise_check import live_facts, read_facts
from homeport.cli.sources import SourceName
from homeport.cluster.pull_secrets import is_namespace, is_secret_name
from homeport.errors import UsageError
from homeport.mapping import Target

Part = Literal["all", "operator", "cluster", "secret"]


def manifests(
    operator: str,
    /,
    *,
    to: str,
    pull_secret: str | None = None,
    openshift: Annotated[bool, Parameter(negative="")] = False,
    redis: str | None = None,
    minimal: Annotated[bool, Parameter(negative="")] = False,
    no_call_home: Annotated[bool, Parameter(negative="")] = False,
    namespace: Annotated[str, Parameter(name=["--namespace", "-n"])] = "",
    name: str = "rec",
    nodes: int = 3,
    part: Part = "all",
    output: Annotated[Literal["yaml", "json"], Parameter(name=["--output", "-o"])] = "yaml",
) -> int:
    """Write the manifests of a release at a private registry: operator, cluster, and how to make the pull secret.

    Args:
        operator: The operator's tag, for example 7.22.0-7.
        to: Where the images are, REGISTRY[/PATH].
        pull_secret: The pull secret that both are to use.
        openshift: The images that Red Hat's registry holds, under their names.
        redis: The tag of Redis Enterprise itself; else the first one published for the operator.
        minimal: The small base image of Redis.
        no_call_home: Disable the call-home client.
        namespace: The namespace of both.
        name: What the cluster is called.
        nodes: The number of the cluster's nodes.
        part: all, or one of operator (a patch of the Deployment), cluster, secret (the command that makes it).
        output: yaml or json.
    """
    wish = Wish(
        operator,
        Target.parse(to),
        redis,
        openshift=openshift,
        minimal=minimal,
        call_home=not no_call_home,
        pull_secret=pull_secret,
        namespace=namespace,
        cluster=name,
        nodes=nodes,
    )
    _check(wish)
    made = make_manifests(wish)
    warn(doubts(operator, redis))
    print(_json(made, part) if output == "json" else "\n".join(_yaml(made, wish, part)))
    return DONE


def upgrade(
    begin: str,
    end: str,
    /,
    *files: SourceName,
    to: str | None = None,
    pull_secret: str | None = None,
    openshift: Annotated[bool, Parameter(negative="")] = False,
    olm: bool | None = None,
    rhel7: Annotated[bool, Parameter(negative="")] = False,
    redis: str | None = None,
    minimal: Annotated[bool, Parameter(negative="")] = False,
    no_call_home: Annotated[bool, Parameter(negative="")] = False,
    namespace: Annotated[str, Parameter(name=["--namespace", "-n"])] = "",
    name: str = "rec",
    nodes: int = 3,
    cluster: Annotated[bool, Parameter(negative="")] = False,
    context: str | None = None,
    output: Annotated[Form, Parameter(name=["--output", "-o"])] = "table",
) -> int:
    """Plan an upgrade from one operator to another: hops, steps, commands, what waits, what restarts, what is pulled.

    Args:
        begin: The operator's tag now.
        end: The operator's tag to reach.
        files: What runs now (operator, clusters): it tells platform, nodes and names, and whether an upgrade may begin.
        to: Where the images are to be, REGISTRY[/PATH]; else where they are now, if that is a private registry.
        pull_secret: The pull secret that is in use; else the cluster's.
        openshift: The platform is OpenShift.
        olm: Whether OLM installed the operator.
        rhel7: The nodes run a RHEL 7 image (OpenShift).
        redis: The Redis tag to reach; else the first one published for the operator.
        minimal: The small base image of Redis.
        no_call_home: Disable the call-home client.
        namespace: The namespace.
        name: What the cluster is called.
        nodes: The number of its nodes.
        cluster: Look at what runs in a live cluster, in --namespace where it is given, instead of files.
        context: The kubeconfig's context.
        output: table, json or yaml.
    """
    wish = Wish(
        end,
        Target.parse(to) if to else UNKNOWN_TARGET,
        redis,
        openshift=openshift or olm is True,
        minimal=minimal,
        call_home=not no_call_home,
        pull_secret=pull_secret,
        namespace=namespace,
        cluster=name,
        nodes=nodes,
    )
    _check(wish)
    route = Route(begin, wish, olm, rhel7)
    if cluster and files:
        raise UsageError("--cluster takes no files", hint="Leave one of the two out.")
    if cluster:
        route = read_route(live_facts(context, (namespace,) if namespace else ()), route)
    elif files:
        route = read_route(read_facts(files), route)
    plan = plan_upgrade(route)
    warn(doubts(end, redis))
    print(render(plan, output, "\n".join(_plan(plan, route.wish))))
    return DONE


def _check(wish: Wish) -> None:
    if wish.pull_secret and not is_secret_name(wish.pull_secret):
        raise UsageError(
            f"{wish.pull_secret!r} cannot be the name of a Secret",
            hint="Use lower-case letters, digits, hyphens and dots.",
        )
    for label in filter(None, (wish.namespace, wish.cluster)):
        if not is_namespace(label):
            raise UsageError(f"{label!r} is not a name that Kubernetes takes")
    if wish.nodes < 1:
        raise UsageError(f"{wish.nodes} is not a number of nodes")


def _json(made: Manifests, part: Part) -> str:
    if part == "secret":
        raise UsageError(
            "the secret is a command, not JSON", hint="homeport redis-enterprise manifests ... --part secret"
        )
    wanted = {"operator": made.operator, "cluster": made.cluster}
    chosen: Any = wanted.get(part) or {"apiVersion": "v1", "kind": "List", "items": list(wanted.values())}
    return render(chosen, "json", "")


def _yaml(made: Manifests, wish: Wish, part: Part) -> Iterator[str]:
    where = f" -n {wish.namespace}" if wish.namespace else ""
    if part == "secret":
        yield made.secret
    if part == "all":
        if made.secret:
            yield f"# Pull secret: {made.secret}"
        yield "# Operator, a patch of the bundle's Deployment (--part operator writes it alone):"
        yield f"#   kubectl patch deployment redis-enterprise-operator{where} --patch-file FILE"
    if part in ("all", "operator"):
        yield render(made.operator, "yaml", "")
    if part == "all":
        yield "---"
        yield f"# Cluster (--part cluster writes it alone): kubectl apply{where} -f FILE"
    if part in ("all", "cluster"):
        yield render(made.cluster, "yaml", "")


def _plan(plan: UpgradePlan, wish: Wish) -> Iterator[str]:
    yield f"{plan.begin} to {plan.end}: {count(len(plan.hops), 'upgrade')}"
    yield ""
    yield "Before:"
    yield from (f"  - {note}" for note in plan.before)
    last = plan.begin
    for hop in plan.hops:
        yield ""
        yield f"{last} -> {hop.operator} (Redis {hop.redis})" + (f", because {hop.why}" if hop.why else "")
        for number, step in enumerate(hop.steps, 1):
            yield f"  {number}. {step.title}"
            yield from (f"       {command}" for command in step.commands)
            notes = [("waits:", step.suspended), ("restarts:", step.restarts)]
            yield from columns([note for note in notes if note[1]], indent="     ")
        yield (
            f"  Pulls of the roll-out: at most {hop.pulls} manifests for {count(wish.nodes, 'node')}, "
            f"all from {wish.target}; none counts at Docker Hub."
        )
        last = hop.operator
