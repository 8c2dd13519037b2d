"""Pull secrets: Secret manifests that hold registry credentials for the kubelet.

The form is that of Kubernetes 1.36, pkg/credentialprovider/secrets/secrets.go.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from homeport.cluster.keyring import Keyring, UnreadableCredentialsError, encode_auth
from homeport.errors import UsageError
from homeport.mapping import Target
from homeport.oci.unreadable import UNREADABLE
from homeport.reference import Reference
from homeport.registry.credentials import Credential

DOCKER_CONFIG_JSON: Final = "kubernetes.io/dockerconfigjson"
_SECRET_NAME: Final = re.compile(r"[a-z0-9](?:[-.a-z0-9]{0,251}[a-z0-9])?")
_NAMESPACE: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_SCHEMES: Final = ("https://", "http://")
_DATA_KEYS: Final = {DOCKER_CONFIG_JSON: ".dockerconfigjson", "kubernetes.io/dockercfg": ".dockercfg"}


def is_secret_name(text: str) -> bool:
    """Tell whether a Secret may be called so: a DNS subdomain (RFC 1123), as Kubernetes takes it."""
    return bool(_SECRET_NAME.fullmatch(text))


def is_namespace(text: str) -> bool:
    """Tell whether a namespace may be called so: a DNS label (RFC 1123)."""
    return bool(_NAMESPACE.fullmatch(text))


def make_pull_secret(name: str, namespace: str, target: Target, credential: Credential) -> dict[str, Any]:
    """Return the manifest of a Secret with which the kubelet pulls from a target; raises UsageError.

    Without a namespace the Secret goes where it is applied.
    """
    if not credential.username or ":" in credential.username:
        raise UsageError(
            f"{credential.username!r} cannot be the user of a pull secret",
            hint="The kubelet reads USER:PASSWORD and splits it at the first colon; name a user without one.",
        )
    config = {"auths": {str(target): _entry(credential)}}
    repository = f"{target.path}/image" if target.path else "image"
    if not Keyring.of(config["auths"]).match(Reference(target.registry, repository)):
        raise UsageError(
            f"no pull secret can serve {target}: the kubelet takes this host for a pattern",
            hint="Give the registry a name, or name its port (host:443).",
        )
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace} if namespace else {"name": name},
        "type": DOCKER_CONFIG_JSON,
        "data": _data(config),
    }


def beside(manifest: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """Return a pull secret that holds beside its own credentials those of the one that is there; raises UsageError.

    The kubelet tries every credential that stands under a key, and `https://KEY` and `http://KEY` are the same key to it
    (pkg/credentialprovider/keyring.go, BasicDockerKeyring.Add). So pulls go on while a registry changes a password.
    """
    auths = msgspec.json.decode(_content(manifest, _DATA_KEYS[DOCKER_CONFIG_JSON]))["auths"]
    (key, new), *_ = auths.items()
    mine = parse_pull_secret(manifest).entries[0]
    try:
        others = [it.credential for it in parse_pull_secret(found).entries if it.key == mine.key]
    except UnreadableCredentialsError:
        others = []
    old = [it for it in dict.fromkeys(others) if it != mine.credential]
    if len(old) > len(_SCHEMES):
        raise UsageError(
            "the secret holds three credentials already: it is not known which of them the registry accepts",
            hint="Give it one that is accepted now, without --overlap; then begin again.",
        )
    both = {key: new} | {f"{scheme}{key}": _entry(it) for scheme, it in zip(_SCHEMES, old, strict=False)}
    return {**manifest, "data": _data({"auths": both})}


def check_for_kubelet(found: Credential | None, target: Target) -> Credential:
    """Return what is stored for a target if a pull secret can hold it; raises UsageError.

    The kubelet reads no credential store and no helper, so the secret holds their answer.
    """
    if found is None:
        raise UsageError(
            f"no credentials are stored for {target}",
            hint=f"Log in (docker login {target.registry}), or make the secret from a user and a password: "
            f"homeport secret NAME --registry {target} --username USER --password-stdin < FILE",
        )
    if found.is_identity_token:
        raise UsageError(
            f"what is stored for {target} in {found.helper or found.source} is an identity token, which the kubelet ignores",
            hint="Make a password for the cluster (an access token, a robot or service account): "
            "--username USER --password-stdin < FILE",
        )
    return found


def parse_pull_secret(manifest: Mapping[str, Any]) -> Keyring:
    """Read a Secret as the kubelet does; raises UnreadableCredentialsError where each pull with it would fail.

    A Secret of another type, or without content, is passed over: `Keyring.ignored` says so.
    """
    kind = str(manifest.get("type") or "Opaque")
    if kind not in _DATA_KEYS:
        return Keyring(ignored=(f"the kubelet ignores it: its type is {kind}, not {DOCKER_CONFIG_JSON}",))
    content = _content(manifest, _DATA_KEYS[kind])
    if not content:
        return Keyring(ignored=(f"the kubelet ignores it: it has no {_DATA_KEYS[kind]}",))
    try:
        config = msgspec.json.decode(content)
    except UNREADABLE:
        raise UnreadableCredentialsError(f"its {_DATA_KEYS[kind]} is not JSON") from None
    if config is not None and not isinstance(config, dict):
        raise UnreadableCredentialsError(f"its {_DATA_KEYS[kind]} is not a mapping")
    if kind != DOCKER_CONFIG_JSON:
        return Keyring.of(config)
    return Keyring.of({name.lower(): value for name, value in (config or {}).items()}.get("auths"))


def _entry(credential: Credential) -> dict[str, str]:
    return {
        "username": credential.username,
        "password": credential.secret,
        "auth": encode_auth(credential.username, credential.secret),
    }


def _data(config: Mapping[str, Any]) -> dict[str, str]:
    return {_DATA_KEYS[DOCKER_CONFIG_JSON]: base64.b64encode(msgspec.json.encode(config)).decode()}


def _content(manifest: Mapping[str, Any], key: str) -> bytes:
    """Return a value of a Secret; `stringData` wins over `data`, as at the API server."""
    plain = manifest.get("stringData") or {}
    if key in plain:
        return str(plain[key] or "").encode()
    try:
        encoded = re.sub(r"[\r\n]", "", str((manifest.get("data") or {}).get(key) or ""))
        return base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise UnreadableCredentialsError(f"its {key} is not base64") from None
