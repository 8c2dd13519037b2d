"""Who says what a live object is: a person, or a tool that would write its own again.

Signs: Helm's annotations (helm.sh, pkg/action/validate.go), Argo CD's tracking (argo-cd, docs/user-guide/resource_tracking), Flux's
labels (kustomize-controller and helm-controller), OLM's labels (operator-lifecycle-manager), and owner references (meta/v1).
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

_PEOPLE: Final = re.compile(r"(kubectl|oc|k9s|mozilla|homeport)\b.*|before-first-apply", re.IGNORECASE | re.DOTALL)
"""Field managers that people set fields with; another manager goes on setting them by itself."""


class Owner(msgspec.Struct, frozen=True):
    """The tool or object that decides, and where a change belongs then."""

    name: str
    advice: str

    def __str__(self) -> str:
        return f"{self.name} decides: {self.advice}"


def owner_of(value: Mapping[str, Any]) -> Owner | None:
    """Return who else decides what an object is; None where nobody else does."""
    metadata = value["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    for owner in metadata.get("ownerReferences") or ():
        if owner["kind"] == "ClusterServiceVersion":
            return _olm(owner["name"])
        if owner.get("controller"):
            return Owner(f"{owner['kind']} {owner['name']}", f"change the {owner['kind']}")
    if labels.get("olm.owner") or labels.get("olm.managed"):
        return _olm(labels.get("olm.owner", ""))
    if name := labels.get("kustomize.toolkit.fluxcd.io/name"):
        return Owner(f"Flux (Kustomization {name})", "change the manifest in git: homeport relocate --in-place FILE")
    if name := labels.get("helm.toolkit.fluxcd.io/name"):
        return Owner(f"Flux (HelmRelease {name})", "change the values of the HelmRelease in git")
    if "argocd.argoproj.io/tracking-id" in annotations or "argocd.argoproj.io/instance" in labels:
        name = annotations.get("argocd.argoproj.io/tracking-id", "").partition(":")[0]
        name = name or labels.get("argocd.argoproj.io/instance", "")
        return Owner(f"Argo CD (Application {name})", "change the manifest in git: homeport relocate --in-place FILE")
    if name := annotations.get("meta.helm.sh/release-name"):
        return Owner(
            f"Helm (release {name})",
            "set the images in its values, or upgrade it with homeport relocate as its post-renderer",
        )
    return None


def is_person(manager: str) -> bool:
    """Tell whether a field manager is a tool in the hands of a person, whose fields may be taken over."""
    return bool(_PEOPLE.fullmatch(manager))


def _olm(name: str) -> Owner:
    return Owner(
        f"OLM ({name or 'an operator'})",
        "change the catalog and the ClusterServiceVersion in it, or let ImageDigestMirrorSets redirect the pulls",
    )
