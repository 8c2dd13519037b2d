"""Whether what runs is what the lock says."""

from collections.abc import Iterator

import pytest

from homeport.mapping import Mapping, Target
from homeport.mirror.lock import Lock
from homeport.reference import Reference
from homeport.registry.session import Registries
from homeport.registry.traffic import HostTraffic
from homeport.workflow.live_running import Fleet, running_in, with_running
from homeport.workflow.verify import Origin, Verdict, Verification
from tests.kit.images import Content, multi_arch, put
from tests.kit.servers import running_registry

OTHER = "sha256:" + "0" * 64


class Bench:
    def __init__(self, host: str, registries: Registries) -> None:
        self.registries, self.image = registries, f"{host}/team/app:1"
        self.app = multi_arch("app")
        put(self.app, registries.client(host), "team/app", "1")
        self.origin = Origin.of(Mapping(Target.parse(host)), Lock({"docker.io/team/app:1": self.app.digest}))

    def judge(self, *image_ids: str) -> list[tuple[str, str]]:
        proven = Verification((Verdict(self.image, "proven", self.app.digest),))
        running = [each for image_id in image_ids for each in running_in(self.pod(image_id))]
        judged = with_running(proven, running, self.registries, self.origin)
        return [(verdict.status, "".join(verdict.reasons)) for verdict in judged.verdicts]

    def pod(self, image_id: str) -> dict[str, object]:
        status = {"name": "main", "imageID": image_id, "state": {"running": {}}}
        return {
            "metadata": {"namespace": "shop", "name": "web"},
            "spec": {"containers": [{"name": "main", "image": self.image}]},
            "status": {"containerStatuses": [status]},
        }


@pytest.fixture
def bench() -> Iterator[Bench]:
    with running_registry() as server, Registries() as registries:
        yield Bench(server.host, registries)


def config_of(content: Content) -> str:
    return content.children[0].blobs[0][0].digest


def test_the_index_one_of_its_images_or_a_configuration_prove_it(bench: Bench) -> None:
    child = bench.app.children[0].digest
    for digest in (bench.app.digest, child, config_of(bench.app)):
        # The host is no evidence: a runtime shows any name of the same content.
        assert bench.judge(f"docker.io/team/app@{digest}") == [("proven", "")]
    assert bench.judge(f"docker-pullable://x/y@{child}") == [("proven", "")]
    assert bench.judge(config_of(bench.app)) == [("proven", "")]


def test_another_digest_differs(bench: Bench) -> None:
    reason = f"{OTHER} runs, which is not {bench.app.digest} and no part of it"
    assert bench.judge(f"{bench.image}@{bench.app.digest}", f"{bench.image}@{OTHER}") == [("differs", reason)]


def test_a_container_that_runs_without_a_digest_is_unknown(bench: Bench) -> None:
    assert bench.judge("") == [("unknown", "what runs: its node reports no digest")]


def test_a_pod_that_was_not_started_runs_nothing(bench: Bench) -> None:
    pod = bench.pod("")
    pod["status"] = {"containerStatuses": [{"name": "main", "state": {"waiting": {"reason": "ContainerCreating"}}}]}
    assert list(running_in(pod)) == []
    del pod["status"]
    assert list(running_in(pod)) == []


def test_a_name_by_digest_is_its_own_lock(bench: Bench) -> None:
    bench.image = f"{bench.image}@{bench.app.digest}"
    bench.origin = Origin()
    assert bench.judge(f"x@{bench.app.digest}") == [("proven", "")]
    assert bench.judge(f"x@{OTHER}")[0][0] == "differs"
    assert Reference.parse(bench.image).digest == bench.app.digest


ARM = {"linux/amd64": ("a",), "linux/arm64": ("b", "c")}


def judge_fleet(bench: Bench, fleet: Fleet) -> list[tuple[str, str]]:
    proven = Verification((Verdict(bench.image, "proven", bench.app.digest),))
    judged = with_running(proven, [], bench.registries, bench.origin, fleet)
    return [(verdict.status, "".join(verdict.reasons)) for verdict in judged.verdicts]


def test_the_part_for_each_node_s_platform_has_to_be_there(bench: Bench) -> None:
    assert judge_fleet(bench, Fleet(ARM)) == [("proven", "")]
    host = Reference.parse(bench.image).registry
    arm = next(child for child in bench.app.children if child.platform.architecture == "arm64")
    assert bench.registries.client(host).delete_manifest("team/app", arm.digest)
    reason = "its part for linux/arm64 is not at the target, and nodes b, c are linux/arm64"
    assert judge_fleet(bench, Fleet(ARM)) == [("missing", reason)]
    only = {Reference.parse(bench.image): frozenset({"amd64"})}
    assert judge_fleet(bench, Fleet(ARM, only)) == [("proven", "")]


def test_an_image_that_is_not_made_for_a_platform_is_unknown_and_wrong_where_no_node_can_run_it(bench: Bench) -> None:
    ((status, reason),) = judge_fleet(bench, Fleet({"linux/amd64": ("a",), "linux/s390x": ("m",)}))
    assert status == "unknown"
    assert reason.endswith("made for linux/amd64 and linux/arm64, and node m is linux/s390x")
    assert judge_fleet(bench, Fleet({"linux/s390x": ("m",)}))[0][0] == "missing"


def test_an_image_of_one_platform_says_it_in_its_configuration(bench: Bench) -> None:
    host = Reference.parse(bench.image).registry
    bench.app = bench.app.children[0]
    put(bench.app, bench.registries.client(host), "team/app", "1")
    bench.origin = Origin.of(Mapping(Target.parse(host)), Lock({"docker.io/team/app:1": bench.app.digest}))
    assert [status for status, _ in judge_fleet(bench, Fleet(ARM))] == ["unknown"]
    assert judge_fleet(bench, Fleet({"linux/amd64": ("a",)})) == [("proven", "")]


def test_an_image_is_asked_for_no_more_than_the_question_needs(bench: Bench) -> None:
    pod = bench.pod(f"x@{bench.app.digest}")
    with Registries() as fresh:
        proven = Verification((Verdict(bench.image, "proven", bench.app.digest),))
        with_running(proven, [*running_in(pod)] * 3, fresh, bench.origin)
        assert fresh.traffic.of(Reference.parse(bench.image).registry) == HostTraffic()
