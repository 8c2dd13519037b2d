"""What a live cluster says of Redis Enterprise: the objects that the checks look at."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from homeport.applications.redis_enterprise.facts import ENVIRONMENT
from homeport.cluster.api import Api
from homeport.cluster.kinds import CONFIG_MAPS, CUSTOM_RESOURCES, NODES, TEMPLATES, Kind
from homeport.errors import ClusterError

_WORKLOADS: Final = tuple(kind for kind in TEMPLATES if kind.name in ("Deployment", "StatefulSet"))
_BUNDLES: Final = Kind(
    "operators.coreos.com", ("v1alpha1",), "ClusterServiceVersion", "clusterserviceversions", optional=True
)


def live_roots(api: Api, namespaces: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield objects with the cluster's name; without namespaces, of all. Raises ClusterError where lists may not be read.

    Nodes and the operator's ConfigMap are left out where they may not be read: they add to the checks, and are not their subject.
    """
    source, seen = f"cluster {api.context}", set[str]()
    for kind in (*_WORKLOADS, _BUNDLES, *CUSTOM_RESOURCES):
        for namespace in namespaces or (None,):
            for value in api.objects(kind, namespace):
                if kind in CUSTOM_RESOURCES:
                    seen.add(value["metadata"]["namespace"])
                yield source, value
    for namespace in sorted(seen):
        try:
            config = api.get(f"{CONFIG_MAPS.path('v1', namespace)}/{ENVIRONMENT}")
        except ClusterError as error:
            if error.status != 403:
                raise
            config = None
        if config:
            yield source, {"apiVersion": "v1", "kind": "ConfigMap", **config}
    try:
        yield from ((source, value) for value in api.objects(NODES))
    except ClusterError as error:
        if error.status not in (403, 404):
            raise
