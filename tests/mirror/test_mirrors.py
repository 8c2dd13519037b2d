"""Content from mirrors of a source: by digest, verified, and from the source itself where a mirror has it not."""

from collections.abc import Callable

import pytest

from homeport.errors import ContentError, HomeportError, UnreachableError, UsageError
from homeport.mapping import Target
from homeport.mirror import MirrorResult
from homeport.mirror.mirrors import Place, mirrors_of, parse_mirrors
from tests.kit import images
from tests.kit.memory import Call, MemoryRegistry
from tests.mirror.conftest import World

APP = "source.example/team/app:1"
LARGE = 3_000_000


@pytest.fixture
def mirror() -> MemoryRegistry:
    return MemoryRegistry("mirror.example")


@pytest.fixture
def content(world: World, mirror: MemoryRegistry) -> images.Content:
    content = images.image(images.layer("large", LARGE))
    images.put(content, world.source, "team/app", "1")
    images.put(content, mirror, "hub/team/app", "old")
    mirror.forget_calls()
    return content


def bring(world: World, *mirrors: MemoryRegistry) -> MirrorResult:
    places = [Place(each, "hub") for each in mirrors]
    return world.mirror(APP, mirrors=lambda registry: places if registry == "source.example" else ())


def failing(verb: str, error: HomeportError) -> Callable[[Call], None]:
    def trouble(call: Call) -> None:
        if call.verb == verb:
            raise error

    return trouble


def arrived(world: World, content: images.Content) -> bool:
    return (
        world.target.tagged["team/app"] == {"1": content.digest} and world.target.blobs["team/app"] == content.all_blobs
    )


def test_the_source_is_asked_for_nothing_but_what_its_tag_means(
    world: World, content: images.Content, mirror: MemoryRegistry
):
    result = bring(world, mirror)
    assert arrived(world, content)
    assert world.source.count() == world.source.count("HEAD manifest") == 2
    assert result.traffic.counted_pulls == 0
    assert mirror.count("HEAD manifest") == 0


def test_what_a_mirror_has_not_comes_from_the_next_and_then_from_the_source(
    world: World, content: images.Content, mirror: MemoryRegistry
):
    empty = MemoryRegistry("empty.example")
    del mirror.blobs["hub/team/app"][content.blobs[1][0].digest]
    result = bring(world, empty, mirror)
    assert arrived(world, content)
    assert empty.count("GET manifest") == 1
    assert world.source.count("GET blob") == 1
    assert result.traffic.counted_pulls == 0


@pytest.mark.parametrize("error", [UnreachableError("no answer"), ContentError("another digest")])
def test_a_mirror_that_fails_is_left_alone(
    world: World, content: images.Content, mirror: MemoryRegistry, error: HomeportError
):
    mirror.trouble = failing("GET manifest", error)
    result = bring(world, mirror)
    assert arrived(world, content)
    assert mirror.count() == 1
    assert result.traffic.counted_pulls == 1


def test_a_blob_that_breaks_off_goes_on_at_the_source(world: World, content: images.Content, mirror: MemoryRegistry):
    reads = []

    def trouble(call: Call) -> None:
        if call.verb == "READ blob":
            reads.append(call)
            if len(reads) > 3:
                raise UnreachableError("cut")

    mirror.trouble = trouble
    assert not bring(world, mirror).failed
    assert arrived(world, content)


@pytest.mark.parametrize(("changed_at", "is_whole"), [(LARGE, True), (10, False)])
def test_a_lying_blob_does_not_arrive(
    world: World, content: images.Content, mirror: MemoryRegistry, changed_at: int, is_whole: bool
):
    """What was handed out already is compared: only where it is the same can the source go on."""
    blob, data = content.blobs[1]
    lie = bytearray(data)
    lie[changed_at] ^= 1
    mirror.lies[blob.digest] = bytes(lie)
    result = bring(world, mirror)
    assert arrived(world, content) == is_whole
    if not is_whole:
        assert "a mirror gave other bytes" in result.failed[0].error
        assert blob.digest not in world.target.blobs["team/app"]


def test_mirrors_are_read_as_they_are_written():
    places = parse_mirrors(["docker.io=mirror.gcr.io", "docker.io=public.ecr.aws/docker", "quay.io=cache.example:5000"])
    assert places["docker.io"] == (Target("mirror.gcr.io"), Target("public.ecr.aws", "docker"))
    asked = []
    find = mirrors_of(places, lambda registry: asked.append(registry) or MemoryRegistry(registry))  # type: ignore[func-returns-value]  # append returns None
    assert [place.repository("library/nginx") for place in find("docker.io")] == [
        "library/nginx",
        "docker/library/nginx",
    ]
    assert find("ghcr.io") == []
    assert asked == ["mirror.gcr.io", "public.ecr.aws"]
    for text in ("mirror.gcr.io", "docker.io=", "docker.io=https://x"):
        with pytest.raises(UsageError):
            parse_mirrors([text])
