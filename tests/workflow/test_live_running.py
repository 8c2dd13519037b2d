"""Whether what runs is what the lock says."""

from collections.abc import Iterator

import pytest

from homeport.mapping import Mapping, Target
from homeport.mirror.lock import Lock
from homeport.reference import Reference
from homeport.registry.session import Registries
from homeport.workflow.live_running import running_in, with_running
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
