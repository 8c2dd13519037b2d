"""Walking over live objects: what cannot name an image is left out, and pods that are alike are walked over once."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from homeport.discovery.findings import ObjectKey
from homeport.discovery.kinds import pod_spec_path
from homeport.discovery.knowledge import Knowledge
from homeport.discovery.walk import CONTAINER_LISTS, Walk, walk

_REMEMBERED: Final = 2_000
"""Pods are listed by name, so those of one maker stand together."""

_METADATA: Final = frozenset({"labels", "ownerReferences", "managedFields"})
_POD: Final = frozenset(
    {
        "affinity", "dnsConfig", "hostAliases", "hostname", "nodeName", "nodeSelector", "overhead", "readinessGates",
        "resourceClaims", "resources", "schedulingGates", "securityContext", "tolerations", "topologySpreadConstraints",
    }
)  # fmt: skip
_CONTAINER: Final = frozenset(
    {
        "livenessProbe", "ports", "readinessProbe", "resizePolicy", "resources", "securityContext", "startupProbe",
        "volumeDevices", "volumeMounts",
    }
)  # fmt: skip
_VOLUMES: Final = frozenset(
    {"configMap", "downwardAPI", "emptyDir", "hostPath", "persistentVolumeClaim", "projected", "secret"}
)


class Looker:
    """Looks at the live objects of one cluster."""

    def __init__(self, source: str, default_registry: str) -> None:
        self._source, self._default_registry = source, default_registry
        self._known: dict[bytes, Walk] = {}

    def look(self, value: Mapping[str, Any], knowledge: Knowledge) -> Walk:
        """Walk over an object; raises InputError."""
        return walk(_pruned(value, _key(value)), self._source, knowledge, self._default_registry)

    def look_at_pod(self, value: Mapping[str, Any], knowledge: Knowledge) -> Walk:
        """Walk over a pod, or take what another gave whose containers are the same; raises InputError."""
        key = _key(value)
        pod = _pruned(value, key)
        notes = (pod["metadata"].pop("annotations", None) or {}).items()
        found = self._remembered(pod, key, knowledge)
        if notes:
            # Network plug-ins write addresses there, so that no two pods would be alike.
            apart = {**pod, "spec": {}, "metadata": {**pod["metadata"], "annotations": dict(notes)}}
            more = self._remembered(apart, key, knowledge)
            for ours, theirs in zip(_lists(found), _lists(more), strict=True):
                ours.extend(theirs)
        return found

    def _remembered(self, value: dict[str, Any], key: ObjectKey, knowledge: Knowledge) -> Walk:
        like = {**value, "metadata": value["metadata"].get("annotations")}
        digest = hashlib.blake2b(msgspec.json.encode(like), digest_size=16).digest()
        if digest not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[digest] = walk(value, self._source, knowledge, self._default_registry)
        known = self._known[digest]
        lists = ([msgspec.structs.replace(it, object=key) for it in each] for each in _lists(known))
        findings, *others = lists
        return Walk(findings, [], *others)


def _lists(noted: Walk) -> Sequence[list[Any]]:
    return noted.findings, noted.uncertain, noted.unresolved, noted.secrets, noted.implied


def _key(value: Mapping[str, Any]) -> ObjectKey:
    metadata = value["metadata"]
    return ObjectKey(value["apiVersion"], value["kind"], metadata.get("namespace", ""), metadata["name"])


def _pruned(value: Mapping[str, Any], key: ObjectKey) -> dict[str, Any]:
    """Leave out what names no image by the schema of Kubernetes; the places of all else stay the same."""
    path = pod_spec_path(key)
    if path is None:
        return dict(value)
    kept = {name: child for name, child in value.items() if name != "status"}
    kept["metadata"] = {name: child for name, child in value["metadata"].items() if name not in _METADATA}
    holder = kept
    for step in path:
        inner = holder.get(step)
        if not isinstance(inner, Mapping):
            return kept
        holder[step] = dict(inner)
        holder = holder[step]
    _prune_pod(holder)
    return kept


def _prune_pod(spec: dict[str, Any]) -> None:
    for name in _POD & spec.keys():
        del spec[name]
    for name in CONTAINER_LISTS:
        if spec.get(name):
            spec[name] = [
                {field: child for field, child in container.items() if field not in _CONTAINER}
                for container in spec[name]
            ]
    if spec.get("volumes"):
        spec["volumes"] = [{} if volume.keys() & _VOLUMES else volume for volume in spec["volumes"]]
