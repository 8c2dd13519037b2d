"""Where a RedisEnterpriseCluster names images and pull secrets (the CRD app.redislabs.com, v1 and v1alpha1)."""

from typing import Final

from homeport.discovery.knowledge import ContainersField, ImageField, Knowledge, PodField, SecretField

RULE: Final = "redis-enterprise"
GROUP: Final = "app.redislabs.com"
KIND: Final = "RedisEnterpriseCluster"


def _image(role: str, *path: str) -> ImageField:
    return ImageField(RULE, GROUP, KIND, path, role, tag="versionTag", digest="digestHash")


REDIS: Final = _image("Redis node", "spec", "redisEnterpriseImageSpec")
BOOTSTRAPPER: Final = _image("bootstrapper", "spec", "bootstrapperImageSpec")
RIGGER: Final = _image("services rigger", "spec", "redisEnterpriseServicesRiggerImageSpec")
CALL_HOME: Final = _image("call-home client", "spec", "usageMeter", "callHomeClient", "imageSpec")

_NODE_POD: Final = ("spec", "redisEnterpriseAdditionalPodSpecAttributes")
_RIGGER_POD: Final = ("spec", "servicesRiggerSpec", "servicesRiggerAdditionalPodSpecAttributes")

FIELDS: Final = Knowledge(
    images=(REDIS, BOOTSTRAPPER, RIGGER, CALL_HOME),
    containers=(ContainersField(RULE, GROUP, KIND, ("spec", "sideContainersSpec")),),
    pods=(PodField(RULE, GROUP, KIND, _NODE_POD), PodField(RULE, GROUP, KIND, _RIGGER_POD)),
    secrets=(SecretField(GROUP, KIND, ("spec", "pullSecrets")),),
)
