"""The values of the chart redis-enterprise-operator (helm.redis.io): what they say of the operator and of the cluster.

Values have no kind: they are known by keys that this chart has and others do not.
"""

from collections.abc import Mapping
from typing import Any, Final

from homeport.applications.redis_enterprise.releases import release_images
from homeport.discovery.findings import ObjectKey
from homeport.discovery.knowledge import ImageField, SecretField
from homeport.discovery.tree import dig, is_map, is_true, text_of
from homeport.reference import Reference

RULE: Final = "redis-enterprise"
OPERATOR: Final = ImageField(RULE, "", "", ("operator", "image"), "operator", tag="tag")
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


def operator_image(values: Mapping[str, Any]) -> Reference | None:
    """Return the operator's image where the values leave its repository empty; None where they leave out the tag as well."""
    tag = text_of(dig(values, (*OPERATOR.path, "tag")))
    openshift = is_true(dig(values, ("openshift", "mode")))
    return release_images(tag, openshift=openshift).operator if tag else None


SECRETS: Final = (
    SecretField("", "", ("imagePullSecrets",), names=True, when=lambda values: is_values(ObjectKey(), values)),
    SecretField(
        "",
        "",
        ("cluster", "spec", "pullSecrets"),
        when=lambda values: is_values(ObjectKey(), values) and makes_cluster(values),
    ),
)
