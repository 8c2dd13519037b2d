"""The least rights with which a cluster can be read, verified or changed, as a role."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal

from homeport.cluster.kinds import CUSTOM_RESOURCES, EVENTS, NODES, PODS, TEMPLATES, Kind

Purpose = Literal["scan", "verify", "probe", "apply", "secret"]
_GROUP: Final = "rbac.authorization.k8s.io"
_PATCHED: Final = ("Deployment", "StatefulSet", "DaemonSet", "CronJob")


def role(
    purpose: Purpose, namespace: str = "", custom: Iterable[str] = (), *, helm_hooks: bool = False
) -> dict[str, Any]:
    """Return the ClusterRole for a purpose, or the Role of one namespace; `custom` are more kinds to read, as PLURAL.GROUP.

    Each purpose includes scan: verify reads events and pull secrets as well, probe makes pods besides, apply writes, and secret
    deletes its own besides. Nodes and definitions belong to no namespace, so a Role cannot hold them; without them less can be told.
    """
    more = [Kind(group, ("v1",), "", plural) for plural, _, group in (name.partition(".") for name in custom)]
    rules = _rules([PODS, *TEMPLATES], ["get", "list"])
    rules += _rules(dict.fromkeys([*CUSTOM_RESOURCES, *more]), ["list"])
    if not namespace:
        rules.append(_rule("", [NODES.plural], ["list"]))
        rules.append(_rule("", ["namespaces"], ["get"]))
        rules.append(_rule("apiextensions.k8s.io", ["customresourcedefinitions"], ["get"]))
    if helm_hooks:
        rules.append(_rule("", ["secrets"], ["list"]))
    if purpose in ("verify", "probe"):
        rules.append(_rule("", ["secrets", "serviceaccounts"], ["get"]))
        rules.append(_rule("", [EVENTS.plural], ["list"]))
    if purpose == "probe":
        rules.append(_rule("", [PODS.plural], ["create", "delete"]))
    if purpose in ("apply", "secret"):
        patched = [kind for kind in TEMPLATES if kind.name in _PATCHED]
        rules += _rules([*patched, *CUSTOM_RESOURCES], ["get", "patch"])
        rules.append(_rule("", ["serviceaccounts"], ["get", "patch"]))
        rules.append(_rule("", ["secrets"], ["get", "create", "update"]))
        rules.append(_rule("", ["configmaps"], ["get", "create", "update", "delete"]))
        rules.append(_rule("coordination.k8s.io", ["leases"], ["get", "create", "update", "delete"]))
    if purpose == "secret":
        rules.append(_rule("", ["secrets"], ["list", "delete"]))
        rules.append(_rule("", ["serviceaccounts"], ["list"]))
        rules += [] if namespace else [_rule("", ["namespaces"], ["list"])]
    metadata = {"name": f"homeport-{purpose}", **({"namespace": namespace} if namespace else {})}
    return {
        "apiVersion": f"{_GROUP}/v1",
        "kind": "Role" if namespace else "ClusterRole",
        "metadata": metadata,
        "rules": rules,
    }


def binding(made: dict[str, Any], subject: str) -> dict[str, Any]:
    """Return what gives a role to a user, or to a service account written NAMESPACE:NAME."""
    place, colon, name = subject.partition(":")
    who = (
        {"kind": "ServiceAccount", "namespace": place, "name": name}
        if colon
        else {"kind": "User", "apiGroup": _GROUP, "name": subject}
    )
    return {
        "apiVersion": f"{_GROUP}/v1",
        "kind": f"{made['kind']}Binding",
        "metadata": made["metadata"],
        "roleRef": {"apiGroup": _GROUP, "kind": made["kind"], "name": made["metadata"]["name"]},
        "subjects": [who],
    }


def _rules(kinds: Iterable[Kind], verbs: Sequence[str]) -> list[dict[str, Any]]:
    groups: dict[str, list[str]] = {}
    for kind in kinds:
        groups.setdefault(kind.group, []).append(kind.plural)
    return [_rule(group, plurals, verbs) for group, plurals in groups.items()]


def _rule(group: str, plurals: Sequence[str], verbs: Sequence[str]) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": list(plurals), "verbs": list(verbs)}
