"""Who says what a live object is: a person, or a tool that would write its own again.

Signs: Helm's annotations (helm.sh, pkg/action/validate.go), Argo CD's tracking (argo-cd, docs/user-guide/resource_tracking), Flux's
labels (kustomize-controller and helm-controller), OLM's labels (operator-lifecycle-manager), and owner references (meta/v1).
"""

import re
from collections.abc import Mapping
from typing import Any, Final, Self

import msgspec

_PEOPLE: Final = re.compile(r"(kubectl|oc|k9s|mozilla|homeport)\b.*|before-first-apply", re.IGNORECASE | re.DOTALL)
"""Field managers that people set fields with; another manager goes on setting them by itself."""

STATIC_POD: Final = "static pod of node"
"""A pod that a kubelet makes from a file; the API server shows a mirror of it."""


class Owner(msgspec.Struct, frozen=True):
    """The tool or object that decides, and where a change belongs then.

    `kind` is that of the tool's own unit (a Helm Release, a Kustomization, an Application), `called` and `namespace` name it.
    """

    name: str
    advice: str
    kind: str = ""
    called: str = ""
    namespace: str = ""

    def __str__(self) -> str:
        return f"{self.name} decides: {self.advice}"


def owner_of(value: Mapping[str, Any]) -> Owner | None:
    """Return who else decides what an object is; None where nobody else does."""
    for owner in value["metadata"].get("ownerReferences") or ():
        if owner["kind"] == "ClusterServiceVersion":
            return _olm(owner["name"])
        if owner["kind"] == "Node" and owner.get("controller"):
            return Owner(f"Node {owner['name']} (static pod)", "change its manifest among the files of the node")
        if owner.get("controller"):
            return Owner(f"{owner['kind']} {owner['name']}", f"change the {owner['kind']}")
    return tool_of(value)


def tool_of(value: Mapping[str, Any]) -> Owner | None:
    """Return the tool that brought an object into the cluster; None where it left no sign."""
    metadata = value["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    for owner in metadata.get("ownerReferences") or ():
        if owner["kind"] == "ClusterServiceVersion":
            return _olm(owner["name"])
    if labels.get("olm.owner") or labels.get("olm.managed"):
        return _olm(labels.get("olm.owner", ""))
    if name := labels.get("kustomize.toolkit.fluxcd.io/name"):
        advice = "change the manifest in git: homeport relocate --in-place FILE"
        space = labels.get("kustomize.toolkit.fluxcd.io/namespace", "")
        return Owner(f"Flux (Kustomization {name})", advice, "Kustomization", name, space)
    if name := labels.get("helm.toolkit.fluxcd.io/name"):
        advice = "change the values of the HelmRelease in git"
        space = labels.get("helm.toolkit.fluxcd.io/namespace", "")
        return Owner(f"Flux (HelmRelease {name})", advice, "HelmRelease", name, space)
    if "argocd.argoproj.io/tracking-id" in annotations or "argocd.argoproj.io/instance" in labels:
        name = annotations.get("argocd.argoproj.io/tracking-id", "").partition(":")[0]
        name = name or labels.get("argocd.argoproj.io/instance", "")
        advice = "change the manifest in git: homeport relocate --in-place FILE"
        # One that is not in Argo CD's own namespace is tracked as NAMESPACE_NAME.
        space, _, called = name.rpartition("_")
        return Owner(f"Argo CD (Application {name})", advice, "Application", called, space)
    if name := annotations.get("meta.helm.sh/release-name"):
        advice = "set the images in its values, or upgrade it with homeport relocate as its post-renderer"
        space = annotations.get("meta.helm.sh/release-namespace", "") or metadata.get("namespace", "")
        return Owner(f"Helm (release {name})", advice, "Release", name, space)
    return None


def controller(value: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the reference to the one owner that manages an object (meta/v1 OwnerReference)."""
    owners = value["metadata"].get("ownerReferences") or ()
    return next((owner for owner in owners if owner.get("controller")), None)


class Link(msgspec.Struct, frozen=True):
    """The owner of an object: its uid and its name with its kind; or else the tool that brought the object."""

    uid: str = ""
    name: str = ""
    tool: str = ""

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Self:
        """Read it from a live object."""
        owner, namespace = controller(value), value["metadata"].get("namespace")
        if owner is None:
            tool = tool_of(value)
            return cls(tool=tool.name if tool else "")
        if owner["kind"] == "Node":
            return cls(tool=f"{STATIC_POD} {owner['name']}")
        # An owner is in the namespace of what it owns, or in none (meta/v1 OwnerReference).
        return cls(owner["uid"], "/".join(filter(None, (owner["kind"], namespace, owner["name"]))))


class Links:
    """Who made what, as far as objects were noted; one that was not is the end of its chain."""

    def __init__(self) -> None:
        self._links: dict[str, Link] = {}
        self._chains: dict[Link, tuple[str, ...]] = {}

    def note(self, value: Mapping[str, Any]) -> None:
        """Note an object that may own others."""
        self._links[value["metadata"]["uid"]] = Link.of(value)

    def __contains__(self, uid: str) -> bool:
        return uid in self._links

    def chain(self, link: Link) -> tuple[str, ...]:
        """Return the owners from a link on, the nearest first, when all is noted: ReplicaSet, Deployment, Helm release."""
        if link not in self._chains:
            found, seen, at = list[str](), set[str](), link
            while at.uid and at.uid not in seen:
                seen.add(at.uid)
                found.append(at.name)
                at = self._links.get(at.uid, Link())
            self._chains[link] = (*found, at.tool) if at.tool else tuple(found)
        return self._chains[link]


def is_person(manager: str) -> bool:
    """Tell whether a field manager is a tool in the hands of a person, whose fields may be taken over."""
    return bool(_PEOPLE.fullmatch(manager))


def _olm(name: str) -> Owner:
    return Owner(
        f"OLM ({name or 'an operator'})",
        "change the catalog and the ClusterServiceVersion in it, or let ImageDigestMirrorSets redirect the pulls",
    )
