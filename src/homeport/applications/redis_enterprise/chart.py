"""The chart redis-enterprise-operator (helm.redis.io): its values, and the cluster that it writes as a text into a ConfigMap.

Values have no kind: they are known by keys that this chart has and others do not.
"""

from collections.abc import Mapping
from typing import Any, Final

from homeport.applications.redis_enterprise.fields import KIND
from homeport.applications.redis_enterprise.releases import release_images
from homeport.discovery.documents import parse_documents
from homeport.discovery.findings import ObjectKey
from homeport.discovery.inputs import Source
from homeport.discovery.knowledge import ImageField, SecretField
from homeport.discovery.tree import dig, is_map, is_true, line_of, text_of
from homeport.errors import InputError
from homeport.reference import Reference

RULE: Final = "redis-enterprise"
OPERATOR: Final = ImageField(RULE, "", "", ("operator", "image"), "operator", tag="tag")
CLUSTER_MAP: Final = "redis-enterprise-cluster-spec"
CLUSTER_TEXT: Final = ("data", "cluster.yaml")
_MARKS: Final = (
    ("admission", "setCABundle"),
    ("admission", "limitToNamespace"),
    ("openshift", "scc"),
    ("cluster", "deletePVCsOnUninstall"),
    ("cluster", "spec", "redisEnterpriseImageSpec"),
    ("cluster", "spec", "bootstrapperImageSpec"),
)


def is_values(key: ObjectKey, value: Mapping[str, Any]) -> bool:
    """Tell whether a document is a file of this chart's values."""
    if key.kind or not is_map(dig(value, OPERATOR.path)):
        return False
    return any(dig(value, mark) is not None for mark in _MARKS)


def makes_cluster(values: Mapping[str, Any]) -> bool:
    """Tell whether the chart makes a cluster, and is told how."""
    return is_true(dig(values, ("cluster", "create"))) and is_map(dig(values, ("cluster", "spec")))


def cluster_in(key: ObjectKey, value: Mapping[str, Any]) -> tuple[Mapping[str, Any], int] | None:
    """Return the cluster that a rendered chart holds in its ConfigMap, and the line before it; None where there is none."""
    text = dig(value, CLUSTER_TEXT)
    if key.kind != "ConfigMap" or key.name != CLUSTER_MAP or not isinstance(text, str):
        return None
    try:
        roots = [document.root for document in parse_documents(Source(key.name, str(text)))]
    except InputError:
        return None
    clusters = [root for root in roots if is_map(root) and text_of(root.get("kind")) == KIND]
    return (clusters[0], line_of(text)) if clusters else None


def operator_image(values: Mapping[str, Any]) -> Reference | None:
    """Return the operator's image where the values leave its repository empty; None where they leave out the tag as well."""
    tag = text_of(dig(values, (*OPERATOR.path, "tag")))
    openshift = is_true(dig(values, ("openshift", "mode")))
    return release_images(tag, openshift=openshift).operator if tag else None


def _name_of(value: Mapping[str, Any]) -> str:
    return text_of(dig(value, ("metadata", "name")))


SECRETS: Final = (
    SecretField("", "", ("imagePullSecrets",), form="names", when=lambda values: is_values(ObjectKey(), values)),
    SecretField(
        "",
        "",
        ("cluster", "spec", "pullSecrets"),
        when=lambda values: is_values(ObjectKey(), values) and makes_cluster(values),
    ),
    SecretField(
        "",
        "ConfigMap",
        (*CLUSTER_TEXT, "spec", "pullSecrets"),
        when=lambda value: cluster_in(ObjectKey("v1", "ConfigMap", "", _name_of(value)), value) is not None,
        inside=len(CLUSTER_TEXT),
    ),
)
