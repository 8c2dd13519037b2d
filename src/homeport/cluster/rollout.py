"""How far a roll-out is, and in words why a pod of it does not start.

A roll-out counts as done when kubectl says so (kubectl 1.36, pkg/polymorphichelpers/rollout_status.go).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from homeport.cluster.pull_access import Access
from homeport.reference import Reference


class Progress(msgspec.Struct, frozen=True):
    """How far a roll-out is, in words; `failed` is why it will not end."""

    done: bool
    words: str
    failed: str = ""


class Trouble(msgspec.Struct, frozen=True):
    """A container that does not start: the kubelet's reason and message, and the image."""

    pod: str
    container: str
    image: str
    reason: str
    message: str


_STUCK: Final = frozenset(
    {"ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "CreateContainerConfigError"}
    | {"CrashLoopBackOff", "SignatureValidationFailed", "RegistryUnavailable"}
)
"""Waiting reasons that do not pass by themselves. ErrImagePull may: the kubelet tries again, and says ImagePullBackOff if that fails."""

_REFUSED: Final = r"\b40[13]\b|unauthorized|authorization failed|forbidden|denied|no basic auth|insufficient_scope"
_PASSING: Final = (
    (r"\b429\b|too ?many ?requests|rate limit", "the registry limits pulls: wait, or pull from a registry of your own"),
    (
        r"connection refused|no such host|i/o timeout|no route to host|network is unreachable|deadline exceeded",
        "the node cannot reach the registry: check its name, its port and the network between them",
    ),
)
"""What a message of a failed pull means, where the next try may well do better; first of all, for it may name a 404 as well."""

_LASTING: Final = (
    (
        r"x509|certificate|tls: ",
        "the node does not trust the registry's certificate: `homeport nodes` prints what nodes need",
    ),
    (
        r"server gave HTTP response to HTTPS client",
        "the registry speaks plain HTTP, and the node expects TLS: `homeport nodes` prints what nodes need",
    ),
    (
        r"no match for platform|exec format error",
        "the image is not for this node's architecture: mirror that platform too",
    ),
    (r"not found|manifest unknown|name unknown|\b404\b", "the registry has no such image: `homeport mirror` brings it"),
)


def progress_of(value: Mapping[str, Any]) -> Progress:
    """Judge a Deployment, StatefulSet or DaemonSet; any other kind has nothing to roll out."""
    status, spec = value.get("status") or {}, value["spec"]
    if value["kind"] not in ("Deployment", "StatefulSet", "DaemonSet"):
        return Progress(done=True, words="nothing to roll out")
    for condition in status.get("conditions") or ():
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return Progress(done=False, words="", failed=f"no pod can be made: {condition.get('message', '')}")
        if condition.get("reason") == "ProgressDeadlineExceeded":
            return Progress(done=False, words="", failed=condition.get("message", "its deadline has passed"))
    if status.get("observedGeneration", 0) < value["metadata"].get("generation", 0):
        return Progress(done=False, words="waiting for its controller")
    if value["kind"] == "DaemonSet":
        return _parts(status.get("desiredNumberScheduled", 0), status, "updatedNumberScheduled", "numberAvailable")
    wanted = spec.get("replicas", 1)
    if value["kind"] == "StatefulSet":
        if (spec.get("updateStrategy") or {}).get("type") == "OnDelete":
            return Progress(
                done=True, words="its pods take the new image when they are deleted (updateStrategy OnDelete)"
            )
        partition = ((spec.get("updateStrategy") or {}).get("rollingUpdate") or {}).get("partition", 0)
        progress = _parts(max(wanted - partition, 0), status, "updatedReplicas", "readyReplicas")
        if progress.done and not partition and status.get("updateRevision") != status.get("currentRevision"):
            return Progress(done=False, words=progress.words)
        return progress
    progress = _parts(wanted, status, "updatedReplicas", "availableReplicas")
    if progress.done and status.get("replicas", 0) > status.get("updatedReplicas", 0):
        return Progress(done=False, words="old pods are ending")
    return progress


def _parts(wanted: int, status: Mapping[str, Any], updated: str, ready: str) -> Progress:
    new, able = status.get(updated, 0), status.get(ready, 0)
    return Progress(
        done=new >= wanted and able >= wanted, words=f"{min(new, wanted)} of {wanted} pods new, {able} ready"
    )


def troubles(pod: Mapping[str, Any]) -> Iterator[Trouble]:
    """Yield the containers of a pod that wait for something that does not pass by itself."""
    status, metadata = pod.get("status") or {}, pod["metadata"]
    if metadata.get("deletionTimestamp"):
        return
    for each in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        waiting = (each.get("state") or {}).get("waiting") or {}
        message = waiting.get("message", "")
        wanted = {
            it["name"]: it["image"] for key in ("initContainers", "containers") for it in pod["spec"].get(key) or ()
        }
        trouble = Trouble(metadata["name"], each["name"], wanted[each["name"]], waiting.get("reason", ""), message)
        if trouble.reason in _STUCK or (trouble.reason == "ErrImagePull" and _lasts(_without_names(trouble))):
            yield trouble


def explain(trouble: Trouble, reference: Reference | None, access: Access) -> str:
    """Say in words why a container does not start, and what to do next; `access` is what its pod pulls with."""
    name = f"pod {trouble.pod}, container {trouble.container}: {trouble.reason}: {trouble.image}"
    if trouble.reason == "InvalidImageName":
        return f"{name} is not an image name"
    if trouble.reason == "ErrImageNeverPull":
        return f"{name} is not on the node, and imagePullPolicy Never forbids to pull it"
    if trouble.reason == "CrashLoopBackOff":
        return f"{name} was pulled, but its container ends again and again: kubectl logs {trouble.pod}"
    if trouble.reason == "CreateContainerConfigError":
        return f"{name} was pulled, but its container cannot be made: {trouble.message}"
    message = _without_names(trouble)
    words = _cause(message, _PASSING)
    if not words and re.search(_REFUSED, message, re.IGNORECASE):
        words = f"the registry lets nobody in like this: {_without_key(reference, access)}"
    return f"{name}: {words or _cause(message, _LASTING) or trouble.message}"


def _without_names(trouble: Trouble) -> str:
    """Drop image names, URLs and addresses from a message: a port 38403 is no refusal."""
    return re.sub(r"https?://[^\s\"]+|:\d+\b", "", trouble.message.replace(trouble.image, ""))


def _cause(message: str, causes: tuple[tuple[str, str], ...]) -> str:
    return next((words for pattern, words in causes if re.search(pattern, message, re.IGNORECASE)), "")


def _lasts(message: str) -> bool:
    """Tell whether a pull fails for a reason that does not pass."""
    refused = re.search(_REFUSED, message, re.IGNORECASE)
    return not _cause(message, _PASSING) and bool(refused or _cause(message, _LASTING))


def _without_key(reference: Reference | None, access: Access) -> str:
    """Say what is wrong with the pull secrets of a pod whose pull was refused."""
    names = f"Secret {', '.join(access.secrets)}"
    if access.broken or access.unknown:
        return access.broken or access.unknown
    if not access.secrets:
        return "the pod names no pull secret, and its service account lent none when it was made"
    if reference is not None and access.keyring.match(reference):
        return f"{names} has credentials for it, and they are not accepted: a password may have been changed"
    keys = ", ".join(dict.fromkeys(entry.key for entry in access.keyring.entries))
    ignored = "".join(f"; {sentence}" for sentence in access.keyring.ignored)
    if not keys and not ignored:
        return f"{names} is not in the pod's namespace, or holds nothing"
    return f"{names} has no credentials for it (keys: {keys or 'none'}){ignored}"
