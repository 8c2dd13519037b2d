"""The mirror between real registries: what goes over the wire, and what a person is told when it does not."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from homeport.mapping import Mapping, Target
from homeport.mirror import MirrorResult, forecast, mirror
from homeport.mirror.kept import KeptManifests
from homeport.mirror.plan import LARGE_BLOB
from homeport.reference import Reference
from homeport.registry.credentials import Credential
from homeport.registry.session import Registries
from homeport.registry.settings import Settings
from tests.kit import images
from tests.kit.clients import open_registries
from tests.kit.docker_hub import running_docker_hub
from tests.kit.servers import RunningRegistry, running_registry
from tests.kit.tally import Asked, Refusal, Tally


class Wire:
    """Two registries that count, and a client of both."""

    def __init__(self, stack: ExitStack) -> None:
        self.from_source, self.to_target = Tally(), Tally()
        self.source: RunningRegistry = stack.enter_context(running_registry(app_wrapper=self.from_source.wrap))
        self.target: RunningRegistry = stack.enter_context(running_registry(app_wrapper=self.to_target.wrap))
        self._stack = stack
        self.registries = self.open()
        self.mapping = Mapping(Target.parse(f"{self.target.host}/mirror"))

    def open(self) -> Registries:
        """Return registries that nobody has met yet."""
        return self._stack.enter_context(open_registries())

    def publish(self, content: images.Content, repository: str, tag: str) -> str:
        with open_registries() as registries:
            images.put(content, registries.client(self.source.host), repository, tag)
        self.from_source.requests.clear()
        return f"{self.source.host}/{repository}:{tag}"

    def mirror(self, *references: str, **wishes: Any) -> MirrorResult:
        self.from_source.requests.clear()
        self.to_target.requests.clear()
        target = self.registries.client(self.target.host)
        return mirror(map(Reference.parse, references), self.mapping, self.registries.client, target, **wishes)

    def fetched(self, repository: str, content: images.Content) -> bool:
        """Whether the target serves a content, byte for byte."""
        with open_registries() as registries:
            client = registries.client(self.target.host)
            return all(
                client.get_manifest(repository, part.digest) == part.manifest
                and all(client.has_blob(repository, blob.digest) for blob, _ in part.blobs)
                for part in content.walk()
            )


@pytest.fixture
def wire() -> Iterator[Wire]:
    with ExitStack() as stack:
        yield Wire(stack)


def test_a_first_copy_keeps_to_its_bound_on_the_wire(wire: Wire):
    content = images.multi_arch("redis", (images.AMD64, images.ARM64, images.S390X, images.ARM_V7))
    name = wire.publish(content, "redislabs/redis", "7.2.4-64")
    children, blobs = len(content.children), len(content.all_blobs)

    result = wire.mirror(name)

    challenges = 2
    assert not result.failed
    assert wire.from_source.count() + wire.to_target.count() == 6 + 2 * children + 3 * blobs + challenges
    assert wire.from_source.kinds() == {
        "GET /v2/": 1,
        "HEAD manifests": 2,
        "GET manifests": 1 + children,
        "GET blobs": blobs,
    }
    assert wire.to_target.kinds() == {
        "GET /v2/": 1,
        "HEAD manifests": 1,
        "GET manifests": 1,
        "POST blobs": blobs,
        "PUT blobs": blobs,
        "PUT manifests": 1 + children,
    }
    assert wire.fetched("mirror/redislabs/redis", content)


@pytest.mark.parametrize("knows_names", [True, False])
def test_a_first_copy_from_behind_a_cdn_keeps_to_its_bound(knows_names: bool):
    """Each blob costs a redirect more. A target that does not say that it has no such repository is asked for each child."""
    content = images.multi_arch("redis", size=2_000_000)
    children, blobs = len(content.children), len(content.all_blobs)
    large = sum(len(data) >= LARGE_BLOB for data in content.all_blobs.values())
    to_target = Tally()
    if not knows_names:
        to_target.refuse = lambda asked: (
            Refusal(404, "MANIFEST_UNKNOWN", "manifest unknown") if asked.kind == "GET manifests" else None
        )
    with (
        running_docker_hub(users={"redislabs": "secret"}, cdn=True) as hub,
        running_registry(app_wrapper=to_target.wrap) as target,
    ):
        with open_registries(Credential("redislabs", "secret"), endpoints=[hub.endpoint]) as registries:
            images.put(content, registries.client("docker.io"), "redislabs/redis", "7.2.4-64")
        tokens = hub.counters["token"]
        with open_registries(endpoints=[hub.endpoint]) as registries:
            (image,) = mirror(
                [Reference.parse("redislabs/redis:7.2.4-64")],
                Mapping(Target.parse(target.host)),
                registries.client,
                registries.client(target.host),
            ).images
            asked = registries.traffic.of("docker.io").requests + to_target.count()
        logins = 2 + hub.counters["token"] - tokens
    more = 0 if knows_names else children + large
    assert image.status == "copied"
    assert asked - logins == 6 + 2 * children + 4 * blobs + more


@pytest.mark.parametrize("knows_names", [True, False])
def test_untagged_children_of_a_run_that_was_killed_are_not_fetched(wire: Wire, knows_names: bool):
    content = images.multi_arch("redis", attested=False)
    name = wire.publish(content, "app", "1")
    with open_registries() as registries:
        images.put(content.children[0], registries.client(wire.target.host), "mirror/app")
    if not knows_names:
        wire.to_target.refuse = lambda asked: (
            Refusal(404, "MANIFEST_UNKNOWN", "manifest unknown") if asked.kind == "GET manifests" else None
        )

    result = wire.mirror(name)

    assert not result.failed
    assert result.traffic.counted_pulls == len(content.children)


def test_nothing_changed_is_one_head_each(wire: Wire):
    names = [wire.publish(images.multi_arch(f"app{number}", size=10), f"app{number}", "1") for number in range(5)]
    wire.mirror(*names)

    result = wire.mirror(*names)

    assert {image.status for image in result.images} == {"present"}
    assert wire.from_source.kinds() == wire.to_target.kinds() == {"HEAD manifests": 5}


def test_a_lock_that_is_kept_to_costs_a_head_each_and_the_source_nothing_at_all(wire: Wire):
    names = [wire.publish(images.multi_arch(f"app{number}", size=10), f"app{number}", "1") for number in range(25)]
    first = wire.mirror(*names, referrers=True)
    locked = {str(image.wanted.source): image.digest for image in first.images}
    wire.registries = wire.open()

    result = wire.mirror(*names, referrers=True, locked=locked)

    assert {image.status for image in result.images} == {"present"}
    assert wire.from_source.kinds() == {}
    assert wire.to_target.kinds() == {"GET /v2/": 1, "HEAD manifests": 25}


def test_what_an_index_shares_with_the_one_before_is_not_fetched(wire: Wire):
    old, new, *kept = (
        images.image(images.layer(f"{number}", 10), platform=platform)
        for number, platform in enumerate((images.AMD64, images.AMD64, images.ARM64, images.S390X))
    )
    wire.mirror(wire.publish(images.index(old, *kept), "app", "1"))

    result = wire.mirror(wire.publish(images.index(new, *kept), "app", "2"))

    assert not result.failed
    assert wire.from_source.kinds() == {"HEAD manifests": 2, "GET manifests": 2, "GET blobs": 2}
    assert wire.to_target.kinds() == {
        "HEAD manifests": 1 + 3,
        "GET manifests": 1,
        "POST blobs": 2,
        "PUT blobs": 2,
        "PUT manifests": 2,
    }


def test_looking_for_new_signatures_of_25_images_takes_no_manifest_request_more(wire: Wire, tmp_path: Path):
    """What is about an image is asked for in lists, which nobody counts; children are known from the first run."""
    names, kept = [], KeptManifests(tmp_path)
    for number in range(25):
        content = images.multi_arch(f"app{number}", size=10)
        names.append(wire.publish(content, f"app{number}", "1"))
        with open_registries() as registries:
            images.put(images.about(content), registries.client(wire.source.host), f"app{number}")
    wire.mirror(*names, referrers=True, kept=kept)

    result = wire.mirror(*names, referrers=True, kept=kept)

    assert {image.status for image in result.images} == {"present"}
    asked = [*wire.from_source.requests, *wire.to_target.requests]
    assert sum(each.kind.endswith("manifests") for each in asked) == 50
    assert {each.method for each in asked} == {"HEAD", "GET"}
    assert result.traffic.counted_pulls == 0


def test_a_source_that_lists_no_referrers_is_asked_so_once(wire: Wire):
    names = [wire.publish(images.multi_arch(f"app{number}", size=10), f"app{number}", "1") for number in range(5)]
    wire.from_source.refuse = lambda asked: (
        Refusal(404, "UNSUPPORTED", "no such path") if "/referrers/" in asked.path else None
    )

    result = wire.mirror(*names, referrers=True)

    assert not result.failed
    assert sum("/referrers/" in asked.path for asked in wire.from_source.requests) == 1
    assert sum("/tags/" in asked.path for asked in wire.from_source.requests) == 5


def test_shared_layers_cross_the_wire_once(wire: Wire):
    base = images.layer("base", 100_000)
    contents = {name: images.image(base, label=name) for name in ("one", "two", "three")}
    names = [wire.publish(content, name, "1") for name, content in contents.items()]

    result = wire.mirror(*names)

    shared = images.digest_of(base)
    assert not result.failed
    assert sum(shared in asked.path for asked in wire.from_source.requests) == 1
    assert result.traffic.bytes == sum(content.size - len(base) for content in contents.values()) + len(base)
    assert all(wire.fetched(f"mirror/{name}", content) for name, content in contents.items())


def test_what_a_full_target_said_is_in_the_error(wire: Wire):
    name = wire.publish(images.image(images.layer("a")), "app", "1")

    def full(asked: Asked) -> Refusal | None:
        is_upload = asked.kind == "PUT blobs"
        return Refusal(507, "UNKNOWN", "no space left on device") if is_upload else None

    wire.to_target.refuse = full
    (image,) = wire.mirror(name).images

    assert image.status == "failed"
    assert "507" in image.error
    assert "no space left on device" in image.error
    assert wire.target.host in image.error
    assert wire.to_target.count("PUT manifests") == 0


def test_a_lying_blob_is_named_and_not_kept(wire: Wire):
    content = images.image(images.layer("a", 3_000_000))
    name = wire.publish(content, "app", "1")
    layer = content.blobs[1][0].digest
    wire.from_source.corrupt = lambda asked: asked.path.endswith(layer)

    (image,) = wire.mirror(name).images

    assert image.status == "failed"
    assert layer in image.error
    assert wire.source.host in image.error
    with open_registries() as registries:
        assert not registries.client(wire.target.host).has_blob("mirror/app", layer)
        assert registries.client(wire.target.host).head_manifest("mirror/app", "1") is None


def test_a_blob_that_the_source_lost_fails_its_image_alone(wire: Wire):
    content = images.image(images.layer("a"))
    names = [wire.publish(content, "app", "1"), wire.publish(images.image(images.layer("b")), "other", "1")]
    lost = content.blobs[1][0].digest
    wire.from_source.refuse = lambda asked: (
        Refusal(404, "BLOB_UNKNOWN", "blob unknown to registry") if asked.path.endswith(lost) else None
    )

    failed, copied = wire.mirror(*names).images

    assert (failed.status, copied.status) == ("failed", "copied")
    assert lost in failed.error


def test_a_source_that_wants_a_login_says_so():
    with (
        running_registry(users={"reader": "secret"}) as source,
        running_registry() as target,
        open_registries() as registries,
    ):
        (image,) = mirror(
            [Reference.parse(f"{source.host}/app:1")],
            Mapping(Target.parse(target.host)),
            registries.client,
            registries.client(target.host),
        ).images

    assert image.status == "failed"
    assert source.host in image.error
    assert "not allowed for anonymous" in image.error
    assert "docker login" in image.hint


def test_tls_and_login_at_the_target():
    content = images.multi_arch("redis")
    with (
        running_registry() as source,
        running_registry(users={"robot": "secret"}, tls=True) as target,
        open_registries() as anonymous,
        open_registries(
            Credential("robot", "secret"), settings=Settings.of(ca_files=[str(target.ca_file)], environment={})
        ) as registries,
    ):
        images.put(content, anonymous.client(source.host), "app", "1")
        result = mirror(
            [Reference.parse(f"{source.host}/app:1")],
            Mapping(Target.parse(target.host)),
            anonymous.client,
            registries.client(target.host),
        )
        assert not result.failed
        assert registries.client(target.host).get_manifest("app", "1") == content.manifest


def test_docker_hub_counts_what_was_forecast_and_a_second_run_costs_nothing():
    content = images.multi_arch("redis")
    publisher = Credential("redislabs", "secret")
    with running_docker_hub(users={"redislabs": "secret"}, cdn=True) as hub, running_registry() as target:
        with open_registries(publisher, endpoints=[hub.endpoint]) as registries:
            images.put(content, registries.client("docker.io"), "redislabs/redis", "7.2.4-64")
        with open_registries(endpoints=[hub.endpoint]) as registries:
            job = (
                [Reference.parse("redislabs/redis:7.2.4-64")],
                Mapping(Target.parse(target.host)),
                registries.client,
                registries.client(target.host),
            )
            planned = forecast(*job)
            assert hub.counters.pulls("") == 0
            first = mirror(*job)
            assert hub.counters.pulls("") == first.traffic.counted_pulls == 1 + len(content.children)
            assert hub.counters["token"] == 2, "the publisher's, and one for all that is read"
            assert hub.counters["redirect"] == len(content.all_blobs)
            assert first.traffic.counted_pulls in planned.cost.counted_pulls
            second = mirror(*job)
            assert hub.counters.pulls("") == first.traffic.counted_pulls
            assert second.images[0].status == "present"


def test_the_limit_of_docker_hub_fails_the_rest_with_its_words():
    publisher = Credential("redislabs", "secret")
    with running_docker_hub(limit=2, users={"redislabs": "secret"}) as hub, running_registry() as target:
        with open_registries(publisher, endpoints=[hub.endpoint]) as registries:
            for number in range(5):
                images.put(images.image(label=str(number)), registries.client("docker.io"), f"redislabs/a{number}", "1")
        with open_registries(endpoints=[hub.endpoint]) as registries:
            result = mirror(
                [Reference.parse(f"redislabs/a{number}:1") for number in range(5)],
                Mapping(Target.parse(target.host)),
                registries.client,
                registries.client(target.host),
            )
    assert [image.status for image in result.images].count("copied") == 2
    assert len(result.failed) == 3
    assert all("the pull limit is used up for anonymous" in image.error for image in result.failed)
