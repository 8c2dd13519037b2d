"""The built-in kinds that hold pod specifications (kubernetes/api: core/v1, apps/v1, batch/v1)."""

from typing import Final

from homeport.discovery.findings import ObjectKey
from homeport.discovery.knowledge import group_of
from homeport.discovery.tree import is_map, text_of

KUSTOMIZATION_FILES: Final = ("kustomization.yaml", "kustomization.yml", "Kustomization")

_TEMPLATE: Final = ("spec", "template", "spec")
_POD_SPECS: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("", "Pod"): ("spec",),
    ("", "PodTemplate"): ("template", "spec"),
    ("", "ReplicationController"): _TEMPLATE,
    ("batch", "Job"): _TEMPLATE,
    ("batch", "CronJob"): ("spec", "jobTemplate", *_TEMPLATE),
    **{
        (group, kind): _TEMPLATE
        for group in ("apps", "extensions")
        for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")
    },
}
_KUSTOMIZE: Final = "kustomize.config.k8s.io"
_BY_KIND: Final = {kind: path for (_, kind), path in _POD_SPECS.items()}


def pod_spec_path(key: ObjectKey) -> tuple[str, ...] | None:
    """Return where a built-in kind holds its pod specification; a kind without apiVersion is taken for the built-in one."""
    if not key.api_version:
        return _BY_KIND.get(key.kind)
    return _POD_SPECS.get((group_of(key.api_version), key.kind))


def is_service_account(key: ObjectKey) -> bool:
    """Tell whether an object is a service account, which lends its pull secrets to pods."""
    return key.kind == "ServiceAccount" and not group_of(key.api_version)


def is_kustomization(root: object, file: str) -> bool:
    """Tell whether a document is a kustomization or a component, by its kind or, where it has none, by its file's name."""
    if not is_map(root):
        return False
    kind, group = text_of(root.get("kind")), group_of(text_of(root.get("apiVersion")))
    if kind:
        return kind in {"Kustomization", "Component"} and group in {_KUSTOMIZE, ""}
    return file.replace("\\", "/").rpartition("/")[2] in KUSTOMIZATION_FILES
