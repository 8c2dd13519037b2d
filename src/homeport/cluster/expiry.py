"""Passwords that expire: which registries hand them out, and what nodes use instead.

Lifetimes: Amazon ECR, GetAuthorizationToken (12 hours); Google Cloud, OAuth access tokens (1 hour); Azure Container Registry,
`az acr login` (3 hours). The providers are the published ones of the kubelet's credential-provider protocol.
"""

import re
from typing import Any, Final

import msgspec

from homeport.registry.credentials import Credential


class Cloud(msgspec.Struct, frozen=True):
    """A registry service whose passwords live for some hours, and the kubelet's plugin for it.

    `hosts` and `helpers` tell its registries and docker credential helpers; `users` are those whose passwords expire, `lasting` those
    whose passwords do not.
    """

    name: str
    hours: int
    hosts: str
    helpers: tuple[str, ...]
    provider: str
    cache: str
    arguments: tuple[str, ...] = ()
    users: str = ""
    lasting: str = ""


_CLOUDS: Final = (
    Cloud(
        "Amazon ECR",
        12,
        r"\d{12}\.dkr[.-]ecr(-fips)?\..+|public\.ecr\.aws",
        ("docker-credential-ecr-login",),
        provider="ecr-credential-provider",
        cache="12h",
    ),
    Cloud(
        "Google Cloud",
        1,
        r"(.+\.)?gcr\.io|.+\.pkg\.dev",
        ("docker-credential-gcloud", "docker-credential-gcr"),
        provider="auth-provider-gcp",
        cache="1m",
        arguments=("get-credentials",),
        lasting=r"_json_key(_base64)?",
    ),
    Cloud(
        "Azure Container Registry",
        3,
        r".+\.azurecr\.(io|cn|us|de)",
        ("docker-credential-acr", "docker-credential-acr-env", "docker-credential-acr-linux"),
        provider="acr-credential-provider",
        cache="10m",
        arguments=("/etc/kubernetes/azure.json",),
        users=r"00000000-0000-0000-0000-000000000000",
    ),
)


def expiring(registry: str, credential: Credential) -> Cloud | None:
    """Return the service whose short-lived password a credential is; None where no expiry is known."""
    for cloud in _CLOUDS:
        if credential.helper in cloud.helpers:
            return cloud
        if re.fullmatch(cloud.hosts, registry) and not re.fullmatch(cloud.lasting, credential.username):
            return cloud if not cloud.users or re.fullmatch(cloud.users, credential.username) else None
    return None


def provider_config(cloud: Cloud, registry: str) -> dict[str, Any]:
    """Return the kubelet's configuration with which nodes fetch passwords for a registry themselves."""
    provider: dict[str, Any] = {
        "name": cloud.provider,
        "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
        "matchImages": [registry],
        "defaultCacheDuration": cloud.cache,
    }
    if cloud.arguments:
        provider["args"] = list(cloud.arguments)
    return {"apiVersion": "kubelet.config.k8s.io/v1", "kind": "CredentialProviderConfig", "providers": [provider]}
