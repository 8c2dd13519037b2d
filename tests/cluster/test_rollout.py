"""How far a roll-out is, by the status that controllers write."""

from typing import Any

import pytest

from homeport.cluster.pull_access import Access
from homeport.cluster.rollout import Trouble, explain, progress_of, troubles


def made(kind: str, status: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"generation": 2}, "spec": spec, "status": {"observedGeneration": 2, **status}}


@pytest.mark.parametrize(
    ("value", "done", "words"),
    [
        (made("Deployment", {"observedGeneration": 1}), False, "waiting for its controller"),
        (
            made("Deployment", {"updatedReplicas": 1, "availableReplicas": 3}, replicas=3),
            False,
            "1 of 3 pods new, 3 ready",
        ),
        (
            made("Deployment", {"replicas": 3, "updatedReplicas": 2, "availableReplicas": 2}, replicas=2),
            False,
            "old pods are ending",
        ),
        (made("Deployment", {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}, replicas=2), True, "2 of 2"),
        (made("Deployment", {}, replicas=0), True, "0 of 0"),
        (made("DaemonSet", {"desiredNumberScheduled": 2, "updatedNumberScheduled": 1}), False, "1 of 2 pods new"),
        (
            made(
                "StatefulSet",
                {"updatedReplicas": 2, "readyReplicas": 2, "updateRevision": "b", "currentRevision": "a"},
                replicas=2,
            ),
            False,
            "2 of 2",
        ),
        (
            made(
                "StatefulSet",
                {"updatedReplicas": 1, "readyReplicas": 2},
                replicas=2,
                updateStrategy={"rollingUpdate": {"partition": 1}},
            ),
            True,
            "1 of 1",
        ),
        (made("StatefulSet", {}, replicas=2, updateStrategy={"type": "OnDelete"}), True, "when they are deleted"),
        (made("CronJob", {}), True, "nothing to roll out"),
    ],
)
def test_a_roll_out_is_done_when_kubectl_says_so(value: dict[str, Any], done: bool, words: str) -> None:
    progress = progress_of(value)
    assert (progress.done, progress.failed) == (done, "")
    assert words in progress.words


def test_a_roll_out_that_will_not_end_says_why() -> None:
    quota = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: small"}
    assert (
        progress_of(made("Deployment", {"conditions": [quota]})).failed == "no pod can be made: exceeded quota: small"
    )
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}
    assert progress_of(made("Deployment", {"conditions": [late]})).failed == "timed out"


def pod(reason: str, message: str = "", **metadata: Any) -> dict[str, Any]:
    waiting = {"name": "main", "state": {"waiting": {"reason": reason, "message": message}}}
    return {
        "metadata": {"name": "web-1", **metadata},
        "spec": {"containers": [{"name": "main", "image": "r/x:1"}]},
        "status": {"containerStatuses": [waiting]},
    }


@pytest.mark.parametrize(
    ("reason", "message", "stuck"),
    [
        ("ContainerCreating", "", False),
        ("ErrImagePull", "dial tcp: connection refused", False),
        ("ErrImagePull", "429 Too Many Requests: not found", False),
        ("ErrImagePull", "r/x:1: not found", True),
        ("ErrImagePull", "401 Unauthorized", True),
        ("ImagePullBackOff", "dial tcp: connection refused", True),
    ],
)
def test_a_pull_that_may_succeed_next_time_gets_its_next_time(reason: str, message: str, stuck: bool) -> None:
    assert bool(list(troubles(pod(reason, message)))) == stuck


def test_a_pod_that_is_ending_is_no_trouble() -> None:
    assert list(troubles(pod("ImagePullBackOff", deletionTimestamp="2026-01-01T00:00:00Z"))) == []


def test_a_rate_limit_is_not_taken_for_a_missing_image() -> None:
    message = "toomanyrequests: You have reached your pull rate limit; manifest not found"
    said = explain(Trouble("p", "c", "x:1", "ImagePullBackOff", message), None, Access())
    assert "the registry limits pulls" in said


def test_the_image_s_own_name_is_no_cause() -> None:
    said = explain(
        Trouble("p", "c", "r/401-certificate:1", "ImagePullBackOff", "r/401-certificate:1: odd"), None, Access()
    )
    assert said.endswith(": r/401-certificate:1: odd")


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        (
            'failed to do request: Head "https://127.0.0.1:38403/v2/unauthorized/manifests/1": x509: unknown authority',
            "does not trust the registry's certificate",
        ),
        ("dial tcp 127.0.0.1:429: connect: connection refused", "cannot reach the registry"),
        ("from HEAD request to https://r:5000/v2/x/manifests/1: 403 Forbidden", "lets nobody in like this"),
        ("unexpected status: 404", "has no such image"),
    ],
)
def test_ports_and_paths_are_no_causes(message: str, cause: str) -> None:
    assert cause in explain(Trouble("p", "c", "r/x:1", "ImagePullBackOff", message), None, Access())


def test_a_port_does_not_make_a_failure_last() -> None:
    assert list(troubles(pod("ErrImagePull", "read tcp 10.0.0.1:41401->10.0.0.2:403: connection reset by peer"))) == []
