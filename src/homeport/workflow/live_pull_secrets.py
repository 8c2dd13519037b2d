"""Pull secrets of a live cluster: compared with what they should be, and written. Their content is never shown.

A secret that is there keeps its uid when its credentials change: since 1.35 nodes remember with which secret they pulled an image,
and ask the registry again for any other (Kubernetes, pkg/kubelet/images/pullmanager).
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from homeport.cluster.api import Api, ConflictError, shown
from homeport.cluster.pull_access import held
from homeport.cluster.pull_secrets import beside
from homeport.errors import ClusterError, UsageError

MANAGED: Final = {"app.kubernetes.io/managed-by": "homeport"}
_TRIES: Final = 5


class SecretStep(msgspec.Struct, frozen=True):
    """A pull secret of a namespace: `manifest` is what it becomes, empty where it stays. Its content is never shown."""

    namespace: str
    name: str
    status: str
    manifest: dict[str, Any] = {}

    @property
    def done(self) -> str:
        """The status when it has been done."""
        return self.status.removeprefix("to be ")

    def __repr__(self) -> str:
        return f"SecretStep({self.namespace}/{self.name}: {self.status})"


def secret_step(api: Api, manifest: Mapping[str, Any], *, overlap: bool = False) -> SecretStep:
    """Compare a pull secret with the one that is there; raises UsageError where that is another's, and does not serve.

    With `overlap` it keeps the credentials that it has beside the new ones: the kubelet tries both.
    """
    namespace, name = manifest["metadata"]["namespace"], manifest["metadata"]["name"]
    wanted = {**manifest, "metadata": {"namespace": namespace, "name": name, "labels": MANAGED}}
    found = api.get(api.path(wanted))
    if found is None:
        return SecretStep(namespace, name, "to be made", _tried(api, wanted))
    if found.get("type") == manifest["type"] and is_managed(found):
        data = beside(manifest, found)["data"] if overlap else manifest["data"]
        return _changed(found, data, overlap=overlap)
    if found.get("type") == manifest["type"] and found.get("data") == manifest["data"]:
        return SecretStep(namespace, name, "as it should be")
    mine, theirs = held(manifest).keyring.entries, held(found).keyring.entries
    if set(mine) <= set(theirs):
        return SecretStep(namespace, name, "as it should be, and not Homeport's")
    raise UsageError(
        f"Secret {namespace}/{name} is not Homeport's, and has other credentials for {mine[0].key} or none",
        hint="Choose another name (in homeport.yaml pullSecret.name), or delete this one.",
    )


def write_secrets(api: Api, steps: Iterable[SecretStep], note: Callable[[str], None]) -> None:
    """Write what has to be written; where another writer came between, look again. Raises UsageError and ClusterError."""
    for step in steps:
        for _ in range(_TRIES):
            if not step.manifest:
                break
            try:
                if "resourceVersion" in step.manifest["metadata"]:
                    api.replace(step.manifest)
                else:
                    api.create(step.manifest)
            except ConflictError:
                step = secret_step(api, step.manifest)  # noqa: PLW2901  # what is there now decides
                continue
            note(f"{shown(step.manifest)}: {step.done}")
            break
        else:
            raise ClusterError(
                f"Secret/{step.namespace}/{step.name} is changed by somebody else again and again", status=409
            )


def is_managed(secret: Mapping[str, Any]) -> bool:
    """Tell whether Homeport has made a secret."""
    return bool((secret["metadata"].get("labels") or {}).items() >= MANAGED.items())


def _changed(found: dict[str, Any], data: Mapping[str, str], *, overlap: bool) -> SecretStep:
    namespace, name = found["metadata"]["namespace"], found["metadata"]["name"]
    if found.get("data") == data:
        return SecretStep(namespace, name, "as it should be")
    if found.get("immutable"):
        raise UsageError(
            f"Secret {namespace}/{name} is immutable, and holds other credentials",
            hint="Make one of another name with --attach, then take this one away: --detach, and --prune when no pod needs it.",
        )
    status = "to be given the new credentials beside the old" if overlap else "to be given other credentials"
    return SecretStep(namespace, name, status, {**found, "data": data})


def _tried(api: Api, wanted: dict[str, Any]) -> dict[str, Any]:
    """Return a secret that can be made; raises UsageError where its namespace is missing, and ClusterError."""
    namespace = wanted["metadata"]["namespace"]
    try:
        api.create(wanted, dry_run=True)
    except ClusterError as error:
        if error.status != 404:
            raise
        raise UsageError(f"there is no namespace {namespace!r}", hint=f"kubectl create namespace {namespace}") from None
    return wanted
