"""Wait until what was changed runs, and say in words why it does not."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from homeport.cluster.api import Api, shown
from homeport.cluster.kinds import PODS, TEMPLATES
from homeport.cluster.live_secrets import LivePullSecrets
from homeport.cluster.pull_access import Access, access_to
from homeport.cluster.rollout import Trouble, explain, progress_of, troubles
from homeport.discovery.knowledge import Knowledge
from homeport.discovery.walk import walk
from homeport.errors import ClusterError
from homeport.workflow.live_changes import ROLLED, Wanted, is_built_in

SILENCE: Final = 600.0
"""Seconds without any progress after which a roll-out counts as stuck, like a Deployment's own deadline."""

_PAUSE: Final = 0.5


class Waiter:
    """Waits for roll-outs; `say` gets a line where something has moved, `beat` is called while nothing does."""

    def __init__(
        self, api: Api, say: Callable[[str], None], beat: Callable[[], None], silence: float = SILENCE
    ) -> None:
        self._api, self._say, self._beat, self._silence = api, say, beat, silence

    def wait(self, step: Wanted, elsewhere: Callable[[Mapping[str, Any]], bool]) -> None:
        """Wait for one object and, where it is a custom resource, for what its operator makes of it; raises ClusterError.

        `elsewhere` tells whether an object still names an image that is to be pulled from the target.
        """
        said, since = "", time.monotonic()
        while True:
            done, words = self._look(step, elsewhere)
            if words != said:
                self._say(f"{step.key}: {words}")
                said, since = words, time.monotonic()
            if done:
                return
            if time.monotonic() - since > self._silence:
                raise ClusterError(
                    f"{step.key} has not moved for {self._silence:.0f} seconds: {words}",
                    hint=f"kubectl get pods -n {step.key.namespace}, and run the same command again.",
                )
            self._beat()
            time.sleep(_PAUSE)

    def _look(self, step: Wanted, elsewhere: Callable[[Mapping[str, Any]], bool]) -> tuple[bool, str]:
        if is_built_in(step.key):
            return self._judge(self._now(step))
        made = list(self._made_by(step))
        behind = [value for value in made if elsewhere(value)]
        if behind:
            return False, f"waiting for its operator to change {shown(behind[0])}"
        judged = [self._judge(value) for value in made if value["kind"] in ROLLED]
        words = "; ".join(
            f"{value['kind']} {value['metadata']['name']} {words}"
            for value, (_, words) in zip((it for it in made if it["kind"] in ROLLED), judged, strict=True)
        )
        return all(done for done, _ in judged), words or "its operator has made nothing of it that runs"

    def _now(self, step: Wanted) -> dict[str, Any]:
        found = self._api.get(self._api.path(step.value))
        if found is None:
            raise ClusterError(f"{step.key} was deleted while it was rolled out")
        return found

    def _made_by(self, step: Wanted) -> Iterator[dict[str, Any]]:
        uid = step.value["metadata"]["uid"]
        for kind in TEMPLATES:
            for value in self._api.objects(kind, step.key.namespace):
                if any(owner["uid"] == uid for owner in value["metadata"].get("ownerReferences") or ()):
                    yield value

    def _judge(self, value: Mapping[str, Any]) -> tuple[bool, str]:
        progress = progress_of(value)
        if progress.failed:
            raise ClusterError(
                f"{shown(value)} does not roll out: {progress.failed}",
                hint="Its old pods go on running. Remove the cause, and run the same command again.",
            )
        if not progress.done:
            self._check_pods(value)
        return progress.done, progress.words

    def _check_pods(self, value: Mapping[str, Any]) -> None:
        """Raise ClusterError for the first pod of the new kind that cannot start."""
        selector = (value["spec"].get("selector") or {}).get("matchLabels") or {}
        images = _images(value["spec"]["template"]["spec"])
        for pod in self._api.objects(PODS, value["metadata"]["namespace"]):
            labels = pod["metadata"].get("labels") or {}
            if selector.items() <= labels.items() and _images(pod["spec"]) >= images:
                for trouble in troubles(pod):
                    raise ClusterError(
                        f"{shown(value)} does not roll out: {self._explain(trouble, pod)}",
                        hint="Its old pods go on running. Remove the cause, and run the same command again.",
                    )

    def _explain(self, trouble: Trouble, pod: Mapping[str, Any]) -> str:
        noted = walk(pod, "cluster", Knowledge())
        finding = next((it for it in noted.findings if it.text == trouble.image), None)
        access = access_to(finding, noted, LivePullSecrets(self._api)) if finding else Access()
        return explain(trouble, finding.reference if finding else None, access)


def _images(spec: Mapping[str, Any]) -> set[str]:
    return {it["image"] for name in ("initContainers", "containers") for it in spec.get(name) or ()}
