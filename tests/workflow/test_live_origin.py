"""What events prove of where an image came from."""

from typing import Any

from homeport.cluster.pulled import Pulled, _read
from homeport.reference import Reference
from homeport.workflow.live_origin import Evidence, evidence_of, unknown_of
from homeport.workflow.live_running import Running

WEB = Reference.parse("registry.example.com/team/web:1")


def event(message: str, uid: str = "u") -> dict[str, Any]:
    about = {"uid": uid, "fieldPath": "spec.containers{main}"}
    return {"involvedObject": about, "message": message, "lastTimestamp": "2026-11-23T09:00:00Z"}


def runs(node: str, uid: str) -> Running:
    return Running(WEB, "Pod/shop/web", None, node, (uid, "spec.containers{main}"))


def test_the_kubelet_s_words_are_read() -> None:
    pulled = event('Successfully pulled image "r.io/a:1" in 1.2s (1.2s including waiting). Image size: 5 bytes.')
    ((key, found),) = _read(pulled)
    assert (key, found) == (("u", "spec.containers{main}"), Pulled("r.io/a:1", True, "2026-11-23T09:00:00Z"))
    for words in ("already present on machine", "already present on machine and can be accessed by the pod"):
        ((_, found),) = _read(event(f'Container image "r.io/a:1" {words}'))
        assert found.pulled is False
    assert list(_read(event("Pulling image"))) == []


def test_pulls_by_this_name_what_was_there_and_silence_are_apart() -> None:
    name = str(WEB)
    events = {
        ("a", "spec.containers{main}"): Pulled(name, True),
        ("b", "spec.containers{main}"): Pulled(name, False),
        ("c", "spec.containers{main}"): Pulled("docker.io/team/web:1", True),
    }
    running = [runs("n1", "a"), runs("n2", "b"), runs("n3", "c"), runs("n4", "d")]
    (found,) = evidence_of(running, events)
    assert found == Evidence(name, 1, 1, 2, ("n1",))
    gone, there, mirror = unknown_of([found])
    assert "the images of 2 containers came: events that nodes write are kept for an hour" in gone
    assert "the images of 1 container once came: they were on the node already" in there
    assert "mirror" in mirror
    assert unknown_of([]) == ()
