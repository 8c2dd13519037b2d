"""The kinds of objects that a cluster is asked for."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec


class Kind(msgspec.Struct, frozen=True):
    """A kind of namespaced object, and where the API server lists it; the first version that is served counts."""

    group: str
    versions: tuple[str, ...]
    name: str
    plural: str
    optional: bool = False
    """Whether a cluster may well not know it: a custom resource."""
    namespaced: bool = True

    def api_version(self, version: str) -> str:
        """Return the `apiVersion` of its objects."""
        return f"{self.group}/{version}" if self.group else version

    def path(self, version: str, namespace: str | None) -> str:
        """Return where it is listed: in one namespace, or in all."""
        root = "/apis" if self.group else "/api"
        scope = f"/namespaces/{namespace}" if namespace else ""
        return f"{root}/{self.api_version(version)}{scope}/{self.plural}"

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural


PODS: Final = Kind("", ("v1",), "Pod", "pods")
NAMESPACES: Final = Kind("", ("v1",), "Namespace", "namespaces")
CONFIG_MAPS: Final = Kind("", ("v1",), "ConfigMap", "configmaps")
LEASES: Final = Kind("coordination.k8s.io", ("v1",), "Lease", "leases")
SECRETS: Final = Kind("", ("v1",), "Secret", "secrets")
NODES: Final = Kind("", ("v1",), "Node", "nodes", namespaced=False)
EVENTS: Final = Kind("", ("v1",), "Event", "events")
SERVICE_ACCOUNTS: Final = Kind("", ("v1",), "ServiceAccount", "serviceaccounts")
TEMPLATES: Final = (
    Kind("apps", ("v1",), "Deployment", "deployments"),
    Kind("apps", ("v1",), "StatefulSet", "statefulsets"),
    Kind("apps", ("v1",), "DaemonSet", "daemonsets"),
    Kind("apps", ("v1",), "ReplicaSet", "replicasets"),
    Kind("", ("v1",), "ReplicationController", "replicationcontrollers"),
    Kind("batch", ("v1",), "CronJob", "cronjobs"),
    Kind("batch", ("v1",), "Job", "jobs"),
    Kind("", ("v1",), "PodTemplate", "podtemplates"),
)
"""What makes pods, now or later."""

CUSTOM_RESOURCES: Final = (
    Kind("app.redislabs.com", ("v1", "v1alpha1"), "RedisEnterpriseCluster", "redisenterpriseclusters", optional=True),
)
"""What operators make pods from, where a cluster does not say what it knows."""

DEFINITIONS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
"""Where a cluster keeps the definitions of custom resources, by PLURAL.GROUP."""

_BUILT_IN: Final = frozenset(
    {"", "apps", "autoscaling", "batch", "extensions", "policy", "packages.operators.coreos.com"}
)
"""Groups of Kubernetes itself, and of a catalog that names images which nobody pulls; others end in .k8s.io."""


def is_custom(group: str) -> bool:
    """Tell whether the kinds of a group may be custom resources that name images."""
    return group not in _BUILT_IN and not group.endswith(".k8s.io")


KNOWN: Final = {
    (kind.group, kind.name): kind
    for kind in (PODS, NAMESPACES, CONFIG_MAPS, LEASES, SECRETS, SERVICE_ACCOUNTS, *TEMPLATES, *CUSTOM_RESOURCES)
}


def path_of(value: Mapping[str, Any], kind: Kind) -> str:
    """Return where the API server keeps an object of a kind."""
    metadata = value["metadata"]
    version = value["apiVersion"].rpartition("/")[2]
    return f"{kind.path(version, metadata.get('namespace'))}/{quote(metadata['name'], safe='')}"
