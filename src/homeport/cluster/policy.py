"""A policy of the API server that lets pods pull from the target alone (ValidatingAdmissionPolicy, Kubernetes 1.30 and newer).

Pods are judged when they are created or changed, and workloads as well, so that it is said where a person sees it. Ephemeral
containers come by a subresource of their own. What an object named before it was changed stays allowed: controllers take
finalizers off old pods, and people scale old Deployments down.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal

from homeport.mapping import Target

Action = Literal["deny", "warn", "audit"]
NAME: Final = "homeport-images"
_ACTIONS: Final[dict[Action, list[str]]] = {"deny": ["Deny"], "warn": ["Warn", "Audit"], "audit": ["Audit"]}

_SPEC: Final = (
    "{0}.kind == 'Pod' ? {0}.spec : {0}.kind == 'CronJob' ? {0}.spec.jobTemplate.spec.template.spec : "
    "{0}.kind == 'PodTemplate' ? {0}.template.spec : {0}.spec.template.spec"
)
_LISTS: Final = ("containers", "initContainers", "ephemeralContainers")
_RULES: Final[tuple[tuple[str, list[str]], ...]] = (
    ("", ["pods", "pods/ephemeralcontainers", "podtemplates", "replicationcontrollers"]),
    ("apps", ["deployments", "statefulsets", "daemonsets", "replicasets"]),
    ("batch", ["jobs", "cronjobs"]),
)


def policy(targets: Sequence[Target], action: Action, exempt: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return the policy and its binding; pods of `exempt` namespaces are not judged."""
    allowed = ", ".join(str(target) for target in targets)
    message = f"'these images are not from {allowed}: ' + variables.strangers.join(', ')"
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": [group],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE", "UPDATE"],
                    "resources": resources,
                }
                for group, resources in _RULES
            ],
        },
        "variables": [
            {"name": "spec", "expression": _SPEC.format("object")},
            {"name": "specBefore", "expression": _SPEC.format("oldObject")},
            {"name": "images", "expression": _images("variables.spec")},
            {"name": "before", "expression": f"oldObject == null ? [] : {_images('variables.specBefore')}"},
            {
                "name": "strangers",
                "expression": f"variables.images.filter(image, !({_allowed(targets)}) && !(image in variables.before))",
            },
        ],
        "validations": [{"expression": "variables.strangers.size() == 0", "messageExpression": message}],
    }
    binding: dict[str, Any] = {"policyName": NAME, "validationActions": _ACTIONS[action]}
    if exempt:
        expression = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": list(exempt)}
        binding["matchResources"] = {"namespaceSelector": {"matchExpressions": [expression]}}
    return [_object("ValidatingAdmissionPolicy", spec), _object("ValidatingAdmissionPolicyBinding", binding)]


def _images(spec: str) -> str:
    """Return the expression for every image that a pod names, image volumes included; a field may be left out."""
    lists = [f"(has({spec}.{name}) ? {spec}.{name}.map(it, it.image) : [])" for name in _LISTS]
    volumes = (
        f"(has({spec}.volumes) ? {spec}.volumes.filter(it, has(it.image) && has(it.image.reference))"
        ".map(it, it.image.reference) : [])"
    )
    return " + ".join([*lists, volumes])


def _allowed(targets: Sequence[Target]) -> str:
    return " || ".join(f"image.startsWith('{target}/')" for target in targets)


def _object(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": NAME},
        "spec": spec,
    }
