"""The manifests that point one release at a private registry: the operator's Deployment, the cluster, and the pull secret.

They say what the vendor's page on private registries says (redis/docs, deployment/container-images.md), and what it leaves out: the
admission container, and the call-home client.
"""

from typing import Any, Final

import msgspec

from homeport.applications.redis_enterprise.releases import images_of
from homeport.mapping import Mapping, Target
from homeport.reference import Reference

OPERATOR: Final = "redis-enterprise-operator"
PULL_POLICY: Final = "IfNotPresent"


class Wish(msgspec.Struct, frozen=True):
    """What a person wants: the release, where its images are, and how things are called."""

    operator: str
    target: Target
    redis: str | None = None
    openshift: bool = False
    minimal: bool = False
    call_home: bool = True
    pull_secret: str | None = None
    namespace: str = ""
    cluster: str = "rec"
    nodes: int = 3


class Manifests(msgspec.Struct, frozen=True):
    """The patch of the operator's Deployment, the cluster, and the command that makes the pull secret (empty where none is wanted).

    `images` are the names at their source.
    """

    images: tuple[Reference, ...]
    operator: dict[str, Any]
    cluster: dict[str, Any]
    secret: str


def make_manifests(wish: Wish) -> Manifests:
    """Make them for one release; raises UsageError where its tags are not known."""
    images = images_of(
        wish.operator, wish.redis, openshift=wish.openshift, minimal=wish.minimal, call_home=wish.call_home
    )
    mapping = Mapping(wish.target)
    redis, operator, rigger, *client = (mapping.relocate(image) for image in images)
    return Manifests(
        tuple(images),
        _operator(wish, operator),
        _cluster(wish, redis, operator, rigger, client[0] if client else None),
        _secret(wish),
    )


def _operator(wish: Wish, image: Reference) -> dict[str, Any]:
    """Return a patch that names both containers; what it repeats of the bundle (selector, labels) is equal there."""
    labels = {"name": OPERATOR}
    pod: dict[str, Any] = {"serviceAccountName": OPERATOR}
    if wish.pull_secret:
        pod["imagePullSecrets"] = [{"name": wish.pull_secret}]
    pod["containers"] = [{"name": name, "image": str(image)} for name in (OPERATOR, "admission")]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(wish, OPERATOR),
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _cluster(
    wish: Wish, redis: Reference, operator: Reference, rigger: Reference, client: Reference | None
) -> dict[str, Any]:
    spec: dict[str, Any] = {"nodes": wish.nodes}
    if wish.pull_secret:
        spec["pullSecrets"] = [{"name": wish.pull_secret}]
    spec["redisEnterpriseImageSpec"] = _image_spec(redis)
    spec["bootstrapperImageSpec"] = _image_spec(operator)
    spec["redisEnterpriseServicesRiggerImageSpec"] = _image_spec(rigger)
    if client:
        spec["usageMeter"] = {"callHomeClient": {"imageSpec": _image_spec(client)}}
    elif not wish.call_home and len(images_of(wish.operator, wish.redis, openshift=wish.openshift)) > 3:
        spec["usageMeter"] = {"callHomeClient": {"disabled": True}}
    return {
        "apiVersion": "app.redislabs.com/v1",
        "kind": "RedisEnterpriseCluster",
        "metadata": _metadata(wish, wish.cluster),
        "spec": spec,
    }


def _image_spec(image: Reference) -> dict[str, str]:
    return {"imagePullPolicy": PULL_POLICY, "repository": image.name, "versionTag": image.tag or ""}


def _metadata(wish: Wish, name: str) -> dict[str, str]:
    return {"name": name, "namespace": wish.namespace} if wish.namespace else {"name": name}


def _secret(wish: Wish) -> str:
    if not wish.pull_secret:
        return ""
    where = f" -n {wish.namespace}" if wish.namespace else ""
    return (
        f"homeport secret {wish.pull_secret} --registry {wish.target}{where} --username USER --password-stdin < FILE"
        " | kubectl apply -f -"
    )
