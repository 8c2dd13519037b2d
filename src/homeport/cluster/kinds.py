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
"""What operators make pods from."""

_PLURALS: Final = {
    (kind.group, kind.name): kind.plural
    for kind in (PODS, NAMESPACES, CONFIG_MAPS, LEASES, SECRETS, SERVICE_ACCOUNTS, *TEMPLATES, *CUSTOM_RESOURCES)
}


def path_of(value: Mapping[str, Any]) -> str:
    """Return where the API server keeps an object of a known kind."""
    version, metadata = value["apiVersion"], value["metadata"]
    group = version.partition("/")[0] if "/" in version else ""
    root = f"/apis/{version}" if group else f"/api/{version}"
    scope = f"/namespaces/{metadata['namespace']}" if metadata.get("namespace") else ""
    return f"{root}{scope}/{_PLURALS[group, value['kind']]}/{quote(metadata['name'], safe='')}"
