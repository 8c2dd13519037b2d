"""Who else decides what a live object is."""

from typing import Any

import pytest

from homeport.cluster.owners import is_person, owner_of


@pytest.mark.parametrize(
    ("metadata", "who", "where"),
    [
        ({"annotations": {"meta.helm.sh/release-name": "shop"}}, "Helm (release shop)", "values"),
        ({"annotations": {"argocd.argoproj.io/tracking-id": "app:apps/Deployment:n/d"}}, "(Application app)", "git"),
        ({"labels": {"argocd.argoproj.io/instance": "app"}}, "Argo CD (Application app)", "git"),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}, "Flux (Kustomization apps)", "git"),
        ({"labels": {"helm.toolkit.fluxcd.io/name": "apps"}}, "Flux (HelmRelease apps)", "values"),
        ({"labels": {"olm.owner": "redis.v7"}}, "OLM (redis.v7)", "ImageDigestMirrorSets"),
        ({"ownerReferences": [{"kind": "ClusterServiceVersion", "name": "redis.v7"}]}, "OLM (redis.v7)", "catalog"),
        (
            {"ownerReferences": [{"kind": "RedisEnterpriseCluster", "name": "rec", "controller": True}]},
            "RedisEnterpriseCluster rec",
            "change the RedisEnterpriseCluster",
        ),
    ],
)
def test_the_sign_of_each_tool_is_known(metadata: dict[str, Any], who: str, where: str) -> None:
    owner = owner_of({"metadata": metadata})
    assert owner is not None
    assert who in owner.name
    assert where in owner.advice


def test_a_person_s_object_is_nobody_else_s() -> None:
    labels = {"app.kubernetes.io/managed-by": "kustomize", "app.kubernetes.io/instance": "shop"}
    assert owner_of({"metadata": {"labels": labels, "ownerReferences": [{"kind": "Node", "name": "n"}]}}) is None


def test_tools_in_the_hands_of_people_are_told_from_controllers() -> None:
    people = ("kubectl-client-side-apply", "kubectl", "kubectl-edit", "oc", "before-first-apply", "homeport", "Mozilla")
    assert all(map(is_person, people))
    controllers = ("kubectlish", "helm", "argocd-controller", "kustomize-controller", "octopus", "manager", "")
    assert not any(map(is_person, controllers))
