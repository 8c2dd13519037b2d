"""What kinds an API server serves, as one answer of its aggregated discovery tells (apidiscovery.k8s.io/v2)."""

from collections.abc import Iterator
from typing import Final

import msgspec

from homeport.cluster.kinds import Kind

DISCOVERY: Final = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
"""The media type to ask for; a server that does not know it answers with a list of groups alone."""


class _Name(msgspec.Struct):
    name: str = ""


class _Resource(msgspec.Struct, rename="camel"):
    """A kind as discovery lists it (apidiscovery.k8s.io/v2)."""

    resource: str
    scope: str
    verbs: list[str] = []
    response_kind: dict[str, str] = {}


class _Version(msgspec.Struct):
    version: str = ""
    resources: list[_Resource] = []


class _Group(msgspec.Struct):
    metadata: _Name = msgspec.field(default_factory=_Name)
    versions: list[_Version] = []


class Groups(msgspec.Struct):
    """All groups that are served."""

    items: list[_Group] = []

    def kinds(self) -> Iterator[Kind]:
        """Yield the kinds that can be listed, each once, in the version that the cluster puts first."""
        for group in self.items:
            seen: set[str] = set()
            for version in group.versions:
                for it in version.resources:
                    name = it.response_kind.get("kind", "")
                    if name and "list" in it.verbs and it.resource not in seen:
                        seen.add(it.resource)
                        scoped = it.scope == "Namespaced"
                        yield Kind(group.metadata.name, (version.version,), name, it.resource, namespaced=scoped)
