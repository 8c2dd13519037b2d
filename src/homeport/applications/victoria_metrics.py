"""VictoriaMetrics: what its operator's resources pull by default, and where they take pull secrets from.

Where they name images is data (discovery/data/operators.yaml). The defaults are compiled into each release of the operator, or stand in
its environment (VM_VMSINGLEDEFAULT_IMAGE and others; docs.victoriametrics.com/operator/env).
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from homeport.applications.application import Application, Learned
from homeport.discovery.findings import ObjectKey
from homeport.discovery.knowledge import ImageField, Implied, Knowledge, SecretField, group_of
from homeport.discovery.tree import dig, is_map, text_of

RULE: Final = "victoria-metrics"
GROUP: Final = "operator.victoriametrics.com"
_KINDS: Final = {
    "VMSingle": "victoriametrics/victoria-metrics",
    "VMAgent": "victoriametrics/vmagent",
    "VMAlert": "victoriametrics/vmalert",
    "VMAuth": "victoriametrics/vmauth",
    "VMAlertmanager": "prom/alertmanager",
}
_CLUSTER: Final = "VMCluster"
_PARTS: Final = ("vmselect", "vminsert", "vmstorage")

_DEFAULTS: Final = {
    **{
        ImageField(RULE, GROUP, kind, ("spec", "image"), kind.removeprefix("VM").lower()): name
        for kind, name in _KINDS.items()
    },
    **{ImageField(RULE, GROUP, _CLUSTER, ("spec", part, "image"), part): f"victoriametrics/{part}" for part in _PARTS},
}


def implied_images(key: ObjectKey, value: Mapping[str, Any]) -> Iterator[Implied]:
    """Yield the images that a resource pulls by the operator's defaults; which version that is only its release tells."""
    for field, name in _DEFAULTS.items():
        if field.kind != key.kind or group_of(key.api_version) != GROUP:
            continue
        declared = is_map(dig(value, field.path[:-1]))
        if declared and not text_of(dig(value, (*field.path, field.repository))):
            yield Implied(
                field, f"no repository is named, so the operator pulls its own default for {field.role}, of {name}"
            )


_RULES: Final = Knowledge(
    secrets=tuple(SecretField(GROUP, kind, ("spec", "imagePullSecrets")) for kind in (*_KINDS, _CLUSTER)),
    implied=(implied_images,),
)

VICTORIA_METRICS: Final = Application("VictoriaMetrics", _RULES, lambda _findings, _versions: Learned(_RULES))
