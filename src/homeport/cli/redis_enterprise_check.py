"""`homeport redis-enterprise check` and `effective`: what is wrong before it is applied, and what will really be pulled."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import Parameter

from homeport.applications.redis_enterprise.checks import Context, Problem
from homeport.applications.redis_enterprise.checks import check as find_problems
from homeport.applications.redis_enterprise.effective import Pulled, effective_images
from homeport.applications.redis_enterprise.facts import Facts
from homeport.cli.app import DONE, WRONG
from homeport.cli.output import Form, columns, count, render
from homeport.cli.sources import SourceName, read_sources
from homeport.cluster.pull_access import FilePullSecrets, PullSecrets
from homeport.discovery.documents import parse_documents
from homeport.discovery.inputs import MAX_SIZE
from homeport.errors import InputError, UsageError
from homeport.mapping import Target

if TYPE_CHECKING:
    from homeport.cluster.api import Api

Roots = list[tuple[str, Any]]


class _Report(msgspec.Struct, frozen=True):
    problems: tuple[Problem, ...]
    errors: tuple[str, ...]


def check(
    *files: SourceName,
    secret: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    registry: str | None = None,
    openshift: Annotated[bool | None, Parameter(negative="")] = None,
    cluster: Annotated[bool, Parameter(negative="")] = False,
    context: str | None = None,
    namespace: Annotated[tuple[str, ...], Parameter(name=["--namespace", "-n"], negative="")] = (),
    output: Annotated[Form, Parameter(name=["--output", "-o"])] = "table",
) -> int:
    """Look for the known mistakes of Redis Enterprise deployments; each problem has a number, a reason and a fix.

    The exit code is 1 where something is wrong, 0 where there are warnings alone.

    Args:
        files: Manifests, a ClusterServiceVersion or the chart's values: files, folders, - for stdin.
        secret: A file with pull secrets that the manifests name; may be repeated.
        registry: The registry that all images are to come from, REGISTRY[/PATH]; else the private one that is named most.
        openshift: The platform is OpenShift, where the manifests do not tell.
        cluster: Check a live cluster instead of files.
        context: The kubeconfig's context.
        namespace: A namespace of the cluster, all by default; may be repeated.
        output: table, json or yaml.
    """
    home = Target.parse(registry).registry if registry else None
    if cluster == bool(files):
        raise UsageError(
            "--cluster takes no files" if files else "nothing is named that could be checked",
            hint="homeport redis-enterprise check FILE..., or homeport redis-enterprise check --cluster",
        )
    if cluster:
        problems = _live(context, namespace, home, openshift=openshift)
        errors: list[str] = []
    else:
        roots, errors = read_roots(files)
        extra, secret_errors = read_roots(secret)
        known = FilePullSecrets.of(root for _, root in roots + extra)
        problems = _judge(roots, known, home, openshift=openshift, secrets_known=bool(known.secrets))
        errors += secret_errors
    print(render(_Report(problems, tuple(errors)), output, "\n".join(_table(problems, errors))))
    return WRONG if errors or any(problem.severity == "error" for problem in problems) else DONE


def effective(
    *files: SourceName,
    openshift: Annotated[bool | None, Parameter(negative="")] = None,
    cluster: Annotated[bool, Parameter(negative="")] = False,
    context: str | None = None,
    namespace: Annotated[tuple[str, ...], Parameter(name=["--namespace", "-n"], negative="")] = (),
    output: Annotated[Form, Parameter(name=["--output", "-o"])] = "table",
) -> int:
    """Show which image each pod will really pull, defaults included, and by which rule.

    Args:
        files: The operator's Deployment or ClusterServiceVersion and the clusters: files, folders, - for stdin.
        openshift: The platform is OpenShift, where the manifests do not tell.
        cluster: Look at a live cluster instead of files.
        context: The kubeconfig's context.
        namespace: A namespace of the cluster, all by default; may be repeated.
        output: table, json or yaml.
    """
    if cluster == bool(files):
        raise UsageError("--cluster takes no files" if files else "no file is named", hint="Name files, or --cluster.")
    found = effective_images(live_facts(context, namespace) if cluster else read_facts(files), openshift=openshift)
    print(render(found, output, "\n".join(_pods(found))))
    return DONE


def read_facts(files: Sequence[str]) -> Facts:
    """Read what files say; raises UsageError where one cannot be read, or none is about Redis Enterprise."""
    roots, errors = read_roots(files)
    if errors:
        raise UsageError(errors[0])
    return _facts(roots)


def live_facts(context: str | None, namespaces: Sequence[str]) -> Facts:
    """Read what a live cluster says; raises ClusterError, or UsageError where nothing there is about Redis Enterprise."""
    with _api(context) as api:
        return _facts(_live_roots(api, namespaces))


def read_roots(files: Sequence[str]) -> tuple[Roots, list[str]]:
    """Read documents with the names of their files; what cannot be read is an error beside them."""
    sources, unread = read_sources(files, MAX_SIZE)
    errors, roots = list(map(str, unread)), Roots()
    for source in sources:
        try:
            roots += [(source.name, document.root) for document in parse_documents(source)]
        except InputError as error:
            errors.append(str(error))
    if errors and not roots:
        raise UsageError(errors[0])
    return roots, errors


def _facts(roots: Roots) -> Facts:
    facts = Facts.of(roots)
    if not (facts.operators or facts.clusters):
        names = ", ".join(dict.fromkeys(name for name, _ in roots)) or "what was read"
        raise UsageError(
            f"there is no operator and no RedisEnterpriseCluster in {names}",
            hint="Name the operator's Deployment (bundle.yaml), a ClusterServiceVersion, a cluster or the chart's values.",
        )
    return facts


def _judge(
    roots: Roots, secrets: PullSecrets, home: str | None, *, openshift: bool | None, secrets_known: bool
) -> tuple[Problem, ...]:
    context = Context.of(_facts(roots), secrets, secrets_known=secrets_known, home=home, openshift=openshift)
    return find_problems(context)


def _live(
    context: str | None, namespaces: Sequence[str], home: str | None, *, openshift: bool | None
) -> tuple[Problem, ...]:
    api = _api(context)
    from homeport.cluster.live_secrets import LivePullSecrets

    with api:
        roots = _live_roots(api, namespaces)
        return _judge(roots, LivePullSecrets(api), home, openshift=openshift, secrets_known=True)


def _api(context: str | None) -> "Api":
    from homeport.cluster import require_kube

    require_kube()
    from homeport.cluster.api import Api
    from homeport.cluster.kubeconfig import load_config

    return Api(load_config(context))


def _live_roots(api: "Api", namespaces: Sequence[str]) -> Roots:
    from homeport.applications.redis_enterprise.live import live_roots

    return list(live_roots(api, namespaces))


def _table(problems: Sequence[Problem], errors: Sequence[str]) -> Iterator[str]:
    for (number, why), group in groupby(problems, key=lambda problem: (problem.id, problem.why)):
        alike = list(group)
        yield f"{number}  {alike[0].severity}: {why}"
        for it in alike:
            where = f"{it.source}:{it.line}" if it.line > 0 else it.source
            yield f"  {where}  {str(it.object) or 'values'}  {it.path}".rstrip()
            yield f"    {it.what}"
            yield f"    fix: {it.fix}"
        yield ""
    yield from (f"error: {error}" for error in errors)
    told = Counter(problem.severity for problem in problems)
    yield ", ".join(count(told[severity], severity) for severity in ("error", "warning") if told[severity]) or (
        "no problem found"
    )


def _pods(found: Sequence[Pulled]) -> Iterator[str]:
    for pod, group in groupby(found, key=lambda pulled: pulled.pod):
        yield pod
        rows = [(it.container, f"{it.image} (tag not known)" if it.open else it.image, it.rule) for it in group]
        yield from columns(rows, indent="  ")
