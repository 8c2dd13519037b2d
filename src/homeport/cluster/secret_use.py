"""Who uses a pull secret: whatever names it that will pull again, or mount it."""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final

from homeport.cluster.api import Api, shown
from homeport.cluster.kinds import CUSTOM_RESOURCES, PODS, SERVICE_ACCOUNTS, TEMPLATES

_ENDED: Final = ("Succeeded", "Failed")


def users_of(api: Api, namespace: str, names: AbstractSet[str]) -> dict[str, str]:
    """Return for each secret of a namespace that is used one object that uses it; raises ClusterError.

    A text that is the name of the secret, anywhere in an object, counts: in a custom resource it may be any field. What a kind
    that may not be listed uses is not known, so that is an error.
    """
    found: dict[str, str] = {}
    if not names:
        return found
    custom = [kind for kind in api.custom_kinds() if kind.namespaced] or CUSTOM_RESOURCES
    for kind in (PODS, SERVICE_ACCOUNTS, *TEMPLATES, *custom):
        for value in api.objects(kind, namespace):
            if not _is_over(value):
                for name in names & _texts(value):
                    found.setdefault(name, shown(value))
    return found


def _is_over(value: Mapping[str, Any]) -> bool:
    """Tell whether an object makes or pulls nothing any more: a pod or Job that has ended, and what a Deployment was before."""
    status, kind = value.get("status") or {}, value["kind"]
    if kind == "Pod":
        return status.get("phase") in _ENDED
    if kind == "Job":
        return any(
            it["type"] in ("Complete", "Failed") and it["status"] == "True" for it in status.get("conditions") or ()
        )
    is_past = kind == "ReplicaSet" and bool(value["metadata"].get("ownerReferences"))
    return is_past and not value["spec"].get("replicas", 1) and not status.get("replicas")


def _texts(value: Mapping[str, Any]) -> set[str]:
    own = ("apiVersion", "kind", "metadata", "status")
    return set(_strings({name: inner for name, inner in value.items() if name not in own}))


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)
