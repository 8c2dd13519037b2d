"""What a registry's log shows of what runs: by whom, when, and what it leaves open."""

import io
import json
from typing import Any

import pytest

from homeport.cluster.nodes import Node
from homeport.mapping import Mapping, Target
from homeport.reference import Reference
from homeport.workflow.live_log import LogEvidence, LogReader
from homeport.workflow.live_running import Running, running_in

WEB = Reference.parse("registry.example.com/mirror/team/web:1")
DIGEST, PART = "sha256:" + "a" * 64, "sha256:" + "b" * 64
MAPPING = Mapping(Target.parse("registry.example.com/mirror"))
NODES = [
    Node("n1", addresses=("10.0.0.1",), created="2026-11-23T08:00:00Z"),
    Node("n2", addresses=("10.0.0.2", "fd00::2"), created="2026-11-23T08:00:00Z"),
]


def line(at: str = "09:00:00.5", client: str = "10.0.0.1", **more: Any) -> bytes:
    fields = {"id": "x", "method": "GET", "path": f"/v2/mirror/team/web/manifests/{DIGEST}", "status": 200,
              "repository": "mirror/team/web", "client": client, "agent": "containerd/v2.4.2", "digest": DIGEST,
              "event": "request", "level": "info", "timestamp": f"2026-11-23T{at}Z", **more}  # fmt: skip
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


def runs(
    node: str = "n1", started: str = "2026-11-23T09:00:01Z", digest: str | None = DIGEST, uid: str = "u"
) -> Running:
    return Running(WEB, f"Pod/shop/{uid} container main", digest, node, (uid, "spec.containers{main}"), started)


def read(*lines: bytes, running: Running | None = None, proven: dict[str, str] | None = None) -> LogEvidence:
    reader = LogReader([running or runs()], NODES, MAPPING, proven or {})
    reader.read(io.BytesIO(b"".join(lines)), "log")
    return reader.evidence()


def how(*lines: bytes, running: Running | None = None, proven: dict[str, str] | None = None) -> str:
    (shown,) = read(*lines, running=running, proven=proven).shown
    return shown.how


def test_a_fetch_by_the_pods_node_before_it_started_is_shown_with_who_and_when() -> None:
    found = read(line())
    (shown,) = found.shown
    assert (shown.image, shown.node, shown.digest, shown.how) == (str(WEB), "n1", DIGEST, "fetched")
    assert shown.containers == ("Pod/shop/u container main",)
    assert shown.fetch
    assert (shown.fetch.client, shown.fetch.agent) == ("10.0.0.1", "containerd/v2.4.2")
    assert shown.fetch.at.isoformat() == "2026-11-23T09:00:00.500000+00:00"
    assert (found.lines, found.manifests, found.damaged) == (1, 1, 0)


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        (line(agent="curl/8"), "silent"),
        (line(agent="homeport/1.0 containerd/"), "silent"),
        (line(status=404), "silent"),
        (line(status="gone"), "silent"),
        (line(method="PUT"), "silent"),
        (line(event="something"), "silent"),
        (line(digest=PART), "silent"),
        (line(at="09:00:02.1"), "silent"),
        (line(at="07:59:59.9"), "silent"),
        (line(client="10.0.0.2"), "silent"),
        (line(method="HEAD"), "asked"),
        (line(client="192.0.2.1"), "other"),
        (line(client="192.0.2.1", method="HEAD"), "silent"),
        (line(client="192.0.2.1", at="09:00:02.1"), "silent"),
        (line(agent="cri-o/1.34.0 go/go1.24 os/linux arch/amd64"), "fetched"),
        (line(client="::ffff:10.0.0.1"), "fetched"),
        (line(at="09:00:01.9"), "fetched"),
    ],
)
def test_only_a_runtimes_own_fetch_from_its_node_in_time_counts(wrong: bytes, expected: str) -> None:
    assert how(wrong) == expected


def test_an_address_counts_however_it_is_written() -> None:
    assert how(line(client="FD00:0::2"), running=runs("n2")) == "fetched"


def test_the_best_evidence_counts_whatever_the_order() -> None:
    lines = [line(method="HEAD"), line(client="192.0.2.1"), line(at="08:30:00")]
    assert how(*lines) == how(*reversed(lines)) == "fetched"


def test_of_fetches_from_no_nodes_address_the_first_is_told() -> None:
    lines = [line(client="192.0.2.1", at=at) for at in ("08:40:00", "08:30:00", "12:00:00")]
    (shown,) = read(*lines).shown
    assert (shown.how, shown.fetch and shown.fetch.at.minute) == ("other", 30)


def test_only_what_its_node_fetched_here_is_known_to_come_from_here() -> None:
    running = [runs(uid="a"), runs("n2", uid="b"), runs(uid="c", digest=PART)]
    reader = LogReader(running, NODES, MAPPING, {})
    reader.read(
        io.BytesIO(line() + line(client="10.0.0.2", method="HEAD") + line(digest=PART, client="192.0.2.1")), "log"
    )
    assert reader.fetched() == {("a", "spec.containers{main}")}


def test_the_last_fetch_before_the_start_is_told_and_later_ones_are_about_others() -> None:
    reader = LogReader([runs(), runs(uid="later", started="2026-11-23T12:00:00Z")], NODES, MAPPING, {})
    reader.read(io.BytesIO(line(at="11:00:00") + line(at="08:30:00") + line(at="08:40:00")), "log")
    found = {
        each.containers: each.fetch.at.hour * 100 + each.fetch.at.minute
        for each in reader.evidence().shown
        if each.fetch
    }
    assert found == {("Pod/shop/u container main",): 840, ("Pod/shop/later container main",): 1100}


def test_a_node_reports_a_part_of_what_was_fetched() -> None:
    running = runs(digest=PART)
    assert how(line(), running=running) == "silent"
    assert how(line(), running=running, proven={str(WEB): DIGEST}) == "fetched"


def test_what_is_not_shown_has_a_reason() -> None:
    def reason(*lines: bytes, running: Running | None = None) -> str:
        (shown,) = read(*lines, running=running).shown
        assert shown.how == "silent"
        assert shown.fetch is None
        return shown.reason

    assert reason() == "the log tells of no manifest"
    assert reason(line(at="10:00:00")) == "it started before the log begins"
    assert reason(line(at="08:30:00", client="10.0.0.2")).startswith(
        "no runtime fetched its manifest before it started"
    )
    assert reason(line(), running=runs(digest=None)) == "its node reports no digest"


def test_images_of_other_registries_are_not_looked_for() -> None:
    elsewhere = Running(Reference.parse("docker.io/team/web:1"), "Pod/shop/x container main", DIGEST, "n1")
    assert read(line(), running=elsewhere).shown == ()


def test_lines_that_cannot_be_read_are_counted_and_named() -> None:
    lines = [b"listening on http://127.0.0.1:5000\n", b"note: without --htpasswd, ...\n", b"\n", line()[:50] + b"\n", b"[1,2]\n", line(timestamp="never"),
             line(timestamp="2026-11-23T09:00:00"), b"\xff\xfe/manifests/\n", b'{"a/manifests/}\n', b'{"x":' + b"[" * 50_000 + b'"/manifests/}\n', b"x" * 600_000 + b"\n",
             line(), line()[:-9]]  # fmt: skip
    found = read(*lines)
    assert (found.lines, found.damaged) == (13, 9)
    assert found.damaged_lines == ("log:4", "log:5", "log:6", "log:7", "log:8")
    assert found.shown[0].how == "fetched"


def test_a_long_line_takes_no_more_room_than_its_beginning() -> None:
    class Endless(io.RawIOBase):
        """A file without line ends, of 64 MiB."""

        left = 64 << 20
        largest = 0

        def readable(self) -> bool:
            return True

        def readline(self, size: int | None = -1, /) -> bytes:
            assert size
            assert size > 0
            self.largest = max(self.largest, size)
            self.left -= min(size, self.left)
            return b"x" * min(size, self.left)

    file = Endless()
    reader = LogReader([runs()], NODES, MAPPING, {})
    reader.read(file, "log")  # type: ignore[arg-type]  # only readline is used
    assert file.largest <= 1 << 20
    assert reader.evidence().damaged == 1


@pytest.mark.parametrize(
    ("status", "started"),
    [
        ({"state": {"running": {"startedAt": "2026-11-23T09:00:01Z"}}}, "2026-11-23T09:00:01Z"),
        ({"state": {"terminated": {"startedAt": "2026-11-23T09:00:02Z"}}}, "2026-11-23T09:00:02Z"),
        ({"state": {"waiting": {}}, "lastState": {"terminated": {"startedAt": "2026-11-23T09:00:03Z"}}}, "2026-11-23T09:00:03Z"),
        ({"state": {"running": {}}}, ""),
    ],
)  # fmt: skip
def test_a_pod_tells_when_its_containers_started(status: dict[str, Any], started: str) -> None:
    spec = {"nodeName": "n1", "containers": [{"name": "main", "image": str(WEB)}]}
    status = {"containerStatuses": [{"name": "main", "imageID": f"x@{DIGEST}", **status}]}
    (found,) = running_in({"metadata": {"namespace": "shop", "name": "w", "uid": "u"}, "spec": spec, "status": status})
    assert found.started == started


def test_a_node_tells_the_addresses_that_it_comes_from() -> None:
    addresses = [{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "Hostname", "address": "n1"}]
    metadata = {"name": "n1", "creationTimestamp": "2026-11-23T08:00:00Z"}
    node = Node.of({"metadata": metadata, "status": {"addresses": addresses}})
    assert (node.addresses, node.created) == (("10.0.0.1",), "2026-11-23T08:00:00Z")
