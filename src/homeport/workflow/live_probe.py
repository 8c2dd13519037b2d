"""Prove that nodes can pull: a pod on each that pulls an image of the target, and starts nothing of it.

Its command is in no image, so that its container cannot start once its image is there. Pods are put on nodes by name, past the
scheduler: taints and cordons do not keep them away.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from homeport.cluster.api import Api, Choice
from homeport.cluster.kinds import PODS
from homeport.cluster.nodes import Node
from homeport.cluster.pull_access import Access
from homeport.cluster.rollout import explain, troubles
from homeport.errors import ClusterError
from homeport.mapping import Mapping as NameMapping
from homeport.reference import Reference
from homeport.workflow.live_running import Fleet
from homeport.workflow.pulls import Pull
from homeport.workflow.verify import Verdict, Verification

LABELS: Final = {"app.kubernetes.io/managed-by": "homeport", "app.kubernetes.io/component": "probe"}
_SELECTOR: Final = ",".join(f"{name}={value}" for name, value in LABELS.items())
_AT_ONCE: Final = 20
_LIFE: Final = 600
"""Seconds after which a kubelet ends the pod by itself, should nobody remove it."""

_SILENCE: Final = 180.0
_PULLED: Final = frozenset({"CreateContainerError", "RunContainerError", "StartError", "CrashLoopBackOff"})
_NOTHING: Final = "/homeport-probe"
_SAFE: Final = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "runAsUser": 65534,
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""What the strictest pod security standard (restricted) asks for."""


class Wish(msgspec.Struct, frozen=True):
    """A pull to try: on a node, in a namespace, with its pull secrets."""

    node: str
    namespace: str
    reference: Reference
    access: Access

    @property
    def name(self) -> str:
        """The pod's name, the same in each run."""
        text = f"{self.node} {self.namespace} {self.reference} {self.access.secrets}"
        return f"homeport-probe-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


class Probed(msgspec.Struct, frozen=True):
    """What became of a pull: `pulled` is None where nobody can tell, for the `reason`."""

    node: str
    namespace: str
    image: str
    pulled: bool | None
    reason: str = ""


def wishes_of(
    pulls: Iterable[Pull], mapping: NameMapping, nodes: Sequence[Node], fleet: Fleet, pool: str = ""
) -> list[Wish]:
    """Choose what to try: on each node, or on one of each `pool` (a label's value), in each namespace with each set of secrets.

    The image that most places name is chosen, for nodes hold it already, and a runtime asks the registry all the same.
    """
    groups: dict[tuple[str, tuple[str, ...]], Counter[Reference]] = {}
    accesses: dict[tuple[str, tuple[str, ...]], Access] = {}
    for pull in pulls:
        if mapping.holds(pull.reference) and not pull.open and pull.namespace and not pull.access.unknown:
            key = pull.namespace, pull.access.secrets
            groups.setdefault(key, Counter())[pull.reference.pinned] += 1
            accesses.setdefault(key, pull.access)
    chosen = {node.labels.get(pool, ""): node for node in reversed(nodes)}.values() if pool else nodes
    wishes = []
    for node in sorted(chosen, key=lambda node: node.name):
        for key, images in sorted(groups.items()):
            fitting = [image for image in images if node.platform in fleet.of(image)]
            if fitting and not node.platform.startswith("windows"):
                image = min(fitting, key=lambda it: (-images[it], str(it)))
                wishes.append(Wish(node.name, key[0], image, accesses[key]))
    return wishes


def probe(api: Api, wishes: Sequence[Wish], say: Callable[[str], None]) -> list[Probed]:
    """Try pulls, some at once; every pod is removed again, also when this is interrupted. Raises ClusterError.

    What an earlier run left behind, which was killed, is removed first.
    """
    for namespace in sorted({wish.namespace for wish in wishes}):
        for left in api.objects(PODS, namespace, Choice(_SELECTOR)):
            api.delete(left)
    found: list[Probed] = []
    pending = list(reversed(wishes))
    running: dict[Wish, _Pod] = {}
    try:
        while pending or running:
            while pending and len(running) < _AT_ONCE:
                wish = pending.pop()
                made = _make(api, wish)
                if isinstance(made, Probed):
                    found.append(made)
                else:
                    running[wish] = _Pod(made)
            for wish in [*running]:
                if done := running[wish].look(api, wish):
                    found.append(done)
                    api.delete(running.pop(wish).value)
                    say(f"{done.node}: {done.image} in {done.namespace}: {_said(done)}")
            if running:
                time.sleep(0.5)
    finally:
        for pod in running.values():
            api.delete(pod.value)
    return found


def with_probes(verification: Verification, probed: Iterable[Probed]) -> Verification:
    """Count each pull that failed as wrong."""
    failed = [it for it in probed if it.pulled is False]
    added = [
        Verdict(it.image, "unpullable", None, (it.reason,), (f"node {it.node}, namespace {it.namespace}",))
        for it in failed
    ]
    doubtful = {it.image for it in added}
    kept = (it for it in verification.verdicts if it.status != "proven" or it.image not in doubtful)
    return Verification(tuple(sorted((*kept, *added))), verification.errors)


class _Pod:
    """A probe that is on its way."""

    def __init__(self, value: dict[str, Any]) -> None:
        self.value = value
        self._seen = value["metadata"]["resourceVersion"]
        self._since = time.monotonic()

    def look(self, api: Api, wish: Wish) -> Probed | None:
        """Return what became of it, None where that is not decided."""
        found = api.get(api.path(self.value))
        if found is None:
            return _result(wish, None, "its pod was removed by somebody else")
        if found["metadata"]["resourceVersion"] != self._seen:
            self._seen, self._since = found["metadata"]["resourceVersion"], time.monotonic()
        for trouble in troubles(found):
            if trouble.reason not in _PULLED:
                return _result(wish, False, explain(trouble, wish.reference, wish.access))
        if any(map(_has_pulled, (found.get("status") or {}).get("containerStatuses") or ())):
            return _result(wish, True)
        status = found.get("status") or {}
        if status.get("phase") == "Failed":
            return _result(wish, None, f"its pod was refused: {status.get('message') or status.get('reason') or ''}")
        if time.monotonic() - self._since > _SILENCE:
            return _result(wish, None, f"the node was silent for {_SILENCE:.0f} seconds")
        return None


def _has_pulled(container: Mapping[str, Any]) -> bool:
    state = container.get("state") or {}
    waiting = (state.get("waiting") or {}).get("reason")
    return bool(container.get("imageID")) or "terminated" in state or "running" in state or waiting in _PULLED


def _make(api: Api, wish: Wish) -> dict[str, Any] | Probed:
    spec: dict[str, Any] = {
        "nodeName": wish.node,
        "restartPolicy": "Never",
        "activeDeadlineSeconds": _LIFE,
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "tolerations": [{"operator": "Exists"}],
        "containers": [
            {
                "name": "probe",
                "image": str(wish.reference),
                "imagePullPolicy": "Always",
                "command": [_NOTHING],
                "securityContext": _SAFE,
            }
        ],
    }
    if wish.access.lender:
        spec["serviceAccountName"] = wish.access.lender
    elif wish.access.secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in wish.access.secrets]
    metadata = {"name": wish.name, "namespace": wish.namespace, "labels": LABELS}
    try:
        return api.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    except ClusterError as error:
        if error.status in (None, 401):
            raise
        return _result(wish, None, str(error))


def _result(wish: Wish, pulled: bool | None, reason: str = "") -> Probed:
    return Probed(wish.node, wish.namespace, str(wish.reference), pulled, reason)


def _said(probed: Probed) -> str:
    return "pulled" if probed.pulled else probed.reason
