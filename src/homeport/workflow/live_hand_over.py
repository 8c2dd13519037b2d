"""Files for the tools that decide what live objects are: the change that is theirs to make, in the form that each of them takes."""

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
import yaml

from homeport.cluster.api import Api
from homeport.cluster.changes import Change, is_item, operations
from homeport.cluster.helm_releases import Release, read_release
from homeport.cluster.kinds import Kind
from homeport.cluster.owners import Owner, tool_of
from homeport.discovery.inputs import Source
from homeport.discovery.packaging.transformer import cut_name
from homeport.discovery.walk import walk
from homeport.errors import ClusterError, HomeportError
from homeport.relocation.overlay import dump_kustomization, overlay
from homeport.relocation.relocate import relocate
from homeport.workflow.helm_values import Rules as ValueRules
from homeport.workflow.live_changes import Rules, key_of, manifest_of, moved_of, takes_secret
from homeport.workflow.live_helm import values_of_release

BUNDLES: Final = Kind(
    "operators.coreos.com", ("v1alpha1",), "ClusterServiceVersion", "clusterserviceversions", optional=True
)
SUBSCRIPTIONS: Final = Kind("operators.coreos.com", ("v1alpha1",), "Subscription", "subscriptions", optional=True)

_PREFIXES: Final = {"Kustomization": "flux", "HelmRelease": "flux", "Application": "argo", "Release": "helm"}


class Handed(msgspec.Struct, frozen=True):
    """A file: its name in the folder, and how it is used, a line each; `name` stands for FILE there."""

    name: str
    text: str
    use: tuple[str, ...]


class HandOver(msgspec.Struct, frozen=True):
    """All files, and what could not be put into one, in sentences."""

    files: tuple[Handed, ...] = ()
    rest: tuple[str, ...] = ()


def hand_over(api: Api, values: Iterable[dict[str, Any]], rules: Rules) -> HandOver:
    """Make the files for objects that tools decide; reads Secrets of Helm and Subscriptions of OLM, and changes nothing."""
    files: list[Handed] = []
    rest: list[str] = []
    for owner, objects in _by_owner(values).items():
        try:
            made, open_ = _handed(api, owner, objects, rules)
        except HomeportError as error:
            made, open_ = (), (f"{owner.name}: {error.message}",)
        files += made
        rest += open_
    return HandOver(tuple(files), tuple(rest))


def _by_owner(values: Iterable[dict[str, Any]]) -> dict[Owner, list[dict[str, Any]]]:
    """Put together what one tool decides by one of its units; a ClusterServiceVersion decides itself."""
    found: dict[Owner, list[dict[str, Any]]] = {}
    for value in values:
        key = key_of(value)
        owner = tool_of(value) or Owner("", "")
        if key.kind == BUNDLES.name:
            owner = Owner(f"OLM ({key.name})", "", BUNDLES.name, key.name, key.namespace)
        if owner.kind:
            found.setdefault(owner, []).append(value)
    return found


def _handed(
    api: Api, owner: Owner, objects: Sequence[dict[str, Any]], rules: Rules
) -> tuple[Sequence[Handed], Sequence[str]]:
    if owner.kind == "Release":
        return handed_to_helm(read_release(api, owner.namespace, owner.called), rules)
    if owner.kind == BUNDLES.name:
        return handed_to_olm(objects[0], _subscription(api, objects[0]), rules)
    return handed_to_git(owner, objects, rules)


def handed_to_helm(release: Release, rules: Rules) -> tuple[Sequence[Handed], Sequence[str]]:
    """Make a values file for a release; what no value says is left to a post-renderer."""
    made = values_of_release(
        release, ValueRules(rules.mapping, rules.knowledge, rules.default_registry, rules.secret or None)
    )
    name, namespace = release.name, release.namespace
    version = release.chart.metadata.get("version", "")
    upgrade = f"helm upgrade {name} CHART --version {version} -n {namespace} --reuse-values"
    rest = [f"Helm (release {name}): {it}" for it in (*made.left, *filter(None, (made.failure,)))]
    if rest:
        secret = f" --pull-secret {rules.secret}" if rules.secret else ""
        rest.append(
            f"Helm (release {name}): render it through homeport: homeport helm-plugin DIR --to {rules.mapping.target}{secret}, "
            f"and then: {upgrade} --post-renderer homeport"
        )
    files = (
        [Handed(f"helm/{namespace}.{name}.values.yaml", made.text, (f"{upgrade} --values FILE",))] if made.text else []
    )
    return files, rest


def handed_to_git(
    owner: Owner, objects: Sequence[dict[str, Any]], rules: Rules
) -> tuple[Sequence[Handed], Sequence[str]]:
    """Make a patch of a Kustomization or HelmRelease of Flux, or of an Application of Argo CD: images and patches of kustomize."""
    files: list[tuple[Source, str]] = []
    staying: dict[str, str] = {}
    for value in objects:
        key, text = key_of(value), manifest_of(value)
        noted = walk(value, "cluster", rules.knowledge, rules.default_registry)
        staying |= {
            cut_name(it.text)[0]: it.text
            for it in noted.findings
            if rules.mapping.relocate(it.reference) == it.reference
        }
        secret = rules.secret if rules.secret and takes_secret(key, noted) else None
        source = Source(str(key), text, relative=f"{len(files)}.yaml")
        result = relocate(
            source,
            rules.mapping,
            knowledge=rules.knowledge,
            default_registry=rules.default_registry,
            pull_secret=secret,
        )
        files.append((source, result.text))
    kustomization = yaml.load(overlay(files)["kustomization.yaml"], Loader=yaml.CSafeLoader)
    images, patches = kustomization.get("images", []), kustomization.get("patches", [])
    for image in images:
        if image["name"] in staying:
            text = staying[image["name"]]
            return (), [
                f"{owner.name}: {text} is not brought, and kustomize's images would move every tag of {image['name']}"
            ]
    shape, advice = _SHAPES[owner.kind]
    metadata = {"name": owner.called, **({"namespace": owner.namespace} if owner.namespace else {})}
    content = {**shape(images, patches), "metadata": metadata}
    ordered = {name: content[name] for name in ("apiVersion", "kind", "metadata", "spec")}
    name = ".".join(filter(None, (owner.namespace, owner.called, owner.kind.lower(), "yaml")))
    return [Handed(f"{_PREFIXES[owner.kind]}/{name}", dump_kustomization(ordered), advice)], ()


def handed_to_olm(
    bundle: dict[str, Any], subscription: Mapping[str, Any] | None, rules: Rules
) -> tuple[Sequence[Handed], Sequence[str]]:
    """Make a patch of a ClusterServiceVersion, and of its Subscription for what it gives operators as environment."""
    changes = moved_of(bundle, rules)
    environment = {name: it.new for it in changes if (name := _variable(it))}
    key = key_of(bundle)
    tests = [it for change in changes for it in _test(bundle, change)]
    patch = [*tests, *operations(bundle, changes)[1:]]
    text = msgspec.json.format(msgspec.json.encode(patch), indent=2).decode() + "\n"
    use = (
        f"kubectl patch clusterserviceversion {shlex.quote(key.name)} -n {key.namespace} --type=json --patch-file FILE"
    )
    lasting = "it lasts until OLM installs the next version: change the catalog, or let nodes redirect the pulls (homeport nodes)"
    files = [Handed(f"olm/{key.namespace}.{key.name}.patch.json", text, (use, lasting))]
    if not environment:
        return files, ()
    name = subscription["metadata"]["name"] if subscription else "SUBSCRIPTION"
    before = ((subscription or {}).get("spec", {}).get("config") or {}).get("env") or []
    env = [it for it in before if it["name"] not in environment] + [
        {"name": name, "value": value} for name, value in sorted(environment.items())
    ]
    merged = dump_kustomization({"spec": {"config": {"env": env}}})
    use = f"kubectl patch subscription.operators.coreos.com {name} -n {key.namespace} --type=merge --patch-file FILE"
    lasting = "it outlives upgrades, and these images with it: renew it before the operator is upgraded"
    files.append(Handed(f"olm/{key.namespace}.{name}.subscription.yaml", merged, (use, lasting)))
    return files, ()


def _subscription(api: Api, bundle: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the Subscription that installed a bundle; None where there is none, or it may not be read."""
    key = key_of(bundle)
    try:
        found = api.objects(SUBSCRIPTIONS, key.namespace)
        return next((it for it in found if (it.get("status") or {}).get("installedCSV") == key.name), None)
    except ClusterError as error:
        if error.status != 403:
            raise
        return None


def _variable(change: Change) -> str:
    """Return the environment variable that a change is about; empty where it is about something else."""
    *_, outer, item, last = ("", "", "", *change.path)
    return item[1:-1] if outer == "env" and last == "value" and is_item(item) else ""


def _test(root: Mapping[str, Any], change: Change) -> list[dict[str, Any]]:
    """Let a patch fail where the field is no longer what it was."""
    if change.old is None:
        return []
    (operation,) = operations(root, [change])[1:]
    return [{"op": "test", "path": operation["path"], "value": change.old}]


_Shape = Callable[[list[dict[str, str]], list[dict[str, Any]]], dict[str, Any]]


def _kustomization(images: list[dict[str, str]], patches: list[dict[str, Any]]) -> dict[str, Any]:
    spec = {"images": images, "patches": patches}
    return {"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "spec": _filled(spec)}


def _helm_release(images: list[dict[str, str]], patches: list[dict[str, Any]]) -> dict[str, Any]:
    spec = {"postRenderers": [{"kustomize": _filled({"images": images, "patches": patches})}]}
    return {"apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease", "spec": spec}


def _application(images: list[dict[str, str]], patches: list[dict[str, Any]]) -> dict[str, Any]:
    names = [f"{it['name']}={it['newName']}" for it in images]
    spec = {"source": {"kustomize": _filled({"images": names, "patches": patches})}}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "spec": spec}


def _filled(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}


_SHAPES: Final[dict[str, tuple[_Shape, tuple[str, ...]]]] = {
    "Kustomization": (_kustomization, ("add these fields to the Kustomization in git",)),
    "HelmRelease": (
        _helm_release,
        ("add these fields to the HelmRelease in git", "hooks are not reached by post-renderers"),
    ),
    "Application": (
        _application,
        (
            "add these fields to the Application in git, where its source is a kustomization",
            "manifests in git: homeport relocate --in-place; a chart: homeport relocate --helm-values",
        ),
    ),
}
