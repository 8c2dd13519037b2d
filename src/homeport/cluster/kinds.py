"""The kinds of objects that a cluster is asked for."""

from typing import Final

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
