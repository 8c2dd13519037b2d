"""The hooks of Helm releases: pods that an upgrade or a rollback makes, and that no object in the cluster names."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from homeport.cluster.api import Api, Choice
from homeport.cluster.helm_releases import TYPE, unpack
from homeport.cluster.kinds import SECRETS
from homeport.discovery.findings import Scan
from homeport.discovery.inputs import Source
from homeport.discovery.knowledge import Knowledge
from homeport.discovery.scan import scan_source
from homeport.errors import ClusterError
from homeport.reference import DOCKER_HUB

_DEPLOYED: Final = Choice("owner=helm,status=deployed")


class _Hook(msgspec.Struct):
    path: str = ""
    manifest: str = ""


class _Release(msgspec.Struct):
    name: str = ""
    namespace: str = ""
    hooks: list[_Hook] | None = None


def scan_helm_hooks(
    api: Api, namespaces: Sequence[str], knowledge: Knowledge, default_registry: str = DOCKER_HUB
) -> Scan:
    """Find the images of the hooks of all deployed releases; the right to list Secrets is needed, and its lack is an error.

    Raises ClusterError where the cluster cannot be asked at all.
    """
    found: list[Scan] = []
    for namespace in namespaces or (None,):
        try:
            secrets = api.objects(SECRETS, namespace, _DEPLOYED)
            found.extend(_scan(each, f"cluster {api.context}", knowledge, default_registry) for each in secrets)
        except ClusterError as error:
            if error.status in (None, 401):
                raise
            found.append(Scan(errors=(f"{error}; the hooks of Helm releases are not in the report",)))
    return Scan.joined(found)


def _scan(secret: Mapping[str, Any], cluster: str, knowledge: Knowledge, default_registry: str) -> Scan:
    if secret.get("type") != TYPE:
        return Scan()
    release = unpack(secret, _Release)
    if release is None:
        metadata = secret["metadata"]
        name = f"Secret/{metadata['namespace']}/{metadata['name']}"
        return Scan(errors=(f"{cluster}: {name} cannot be unpacked as a Helm release",))
    where = f"{cluster} Helm release {release.namespace}/{release.name}"
    texts = [Source(f"{where} {hook.path}", hook.manifest) for hook in release.hooks or ()]
    return Scan.joined(scan_source(text, knowledge, default_registry) for text in texts)
