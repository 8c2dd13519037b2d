"""The mirror between registries of others, read by clients of others."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from homeport.errors import NotFoundError, UnknownNameError
from homeport.mapping import Mapping, Target
from homeport.mirror import MirrorResult, mirror
from homeport.reference import Reference
from homeport.store.layout_target import LayoutTarget
from tests.kit import images
from tests.kit.clients import open_registries
from tests.kit.peers import distribution, run_peer
from tests.kit.servers import running_registry

pytestmark = pytest.mark.peers

KINDS = ["homeport", "registry", "docker-registry"]
REPOSITORY = "redislabs/redis"
TAG = "7.2.4-64"


@contextmanager
def registry_of(kind: str, data: Path) -> Iterator[str]:
    if kind == "homeport":
        with running_registry(data) as running:
            yield running.host
    else:
        with distribution(data, kind) as host:
            yield host


def bring(source: str, target: str, tag: str = TAG) -> MirrorResult:
    with open_registries() as registries:
        return mirror(
            [Reference.parse(f"{source}/{REPOSITORY}:{tag}")],
            Mapping(Target.parse(target)),
            registries.client,
            registries.client(target.partition("/")[0]),
        )


def publish(host: str, content: images.Content, tag: str = TAG) -> None:
    with open_registries() as registries:
        images.put(content, registries.client(host), REPOSITORY, tag)


def digest_seen_by_skopeo(name: str) -> str:
    raw = run_peer("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{name}")
    return f"sha256:{hashlib.sha256(raw.encode()).hexdigest()}"


@pytest.mark.parametrize("to", KINDS)
@pytest.mark.parametrize("from_", KINDS)
def test_every_registry_is_a_source_and_a_target(from_: str, to: str, tmp_path: Path):
    content = images.multi_arch("redis")
    with registry_of(from_, tmp_path / "source") as source, registry_of(to, tmp_path / "target") as target:
        publish(source, content)

        first, second = bring(source, target), bring(source, target)

        assert [result.images[0].status for result in (first, second)] == ["copied", "present"]
        assert second.traffic.counted_pulls == second.traffic.bytes == 0
        assert digest_seen_by_skopeo(f"{target}/{REPOSITORY}:{TAG}") == content.digest
        copied = tmp_path / "copied"
        run_peer(
            "skopeo",
            "copy",
            "--all",
            "--src-tls-verify=false",
            f"docker://{target}/{REPOSITORY}:{TAG}",
            f"dir:{copied}",
        )
        assert {file.name for file in copied.iterdir()} >= {digest.partition(":")[2] for digest in content.all_blobs}


@pytest.mark.parametrize("docker", [False, True])
def test_there_and_back_is_byte_for_byte(docker: bool, tmp_path: Path):
    content = images.index(*(images.image(images.layer(str(n)), docker=docker) for n in range(3)), docker=docker)
    with (
        registry_of("homeport", tmp_path / "ours") as ours,
        registry_of("registry", tmp_path / "theirs") as theirs,
        registry_of("homeport", tmp_path / "back") as back,
        open_registries() as registries,
    ):
        publish(ours, content)
        assert not bring(ours, theirs).failed
        assert not bring(theirs, back).failed
        for part in content.walk():
            assert registries.client(back).get_manifest(REPOSITORY, part.digest) == part.manifest


@pytest.mark.parametrize("kind", KINDS)
def test_shared_blobs_are_mounted_in_every_registry(kind: str, tmp_path: Path):
    base = images.layer("base", 100_000)
    with (
        registry_of("homeport", tmp_path / "source") as source,
        registry_of(kind, tmp_path / "target") as target,
        open_registries() as registries,
    ):
        contents = {name: images.image(base, label=name) for name in ("one", "two", "three")}
        for name, content in contents.items():
            images.put(content, registries.client(source), name, "1")
        result = mirror(
            [Reference.parse(f"{source}/{name}:1") for name in contents],
            Mapping(Target.parse(target)),
            registries.client,
            registries.client(target),
        )
    assert not result.failed
    assert result.traffic.bytes == sum(content.size - len(base) for content in contents.values()) + len(base)


@pytest.mark.parametrize("kind", KINDS)
def test_blobs_at_the_target_are_not_fetched_again(kind: str, tmp_path: Path):
    """A POST that mounts a blob from its own repository asks for it: this is what the mirror leans on."""
    before = images.image(images.layer("kept"), label="before")
    after = images.image(images.layer("kept"), images.layer("new"), label="after")
    with registry_of("homeport", tmp_path / "source") as source, registry_of(kind, tmp_path / "target") as target:
        publish(source, before, "1")
        publish(source, after, "2")
        bring(source, target, "1")

        result = bring(source, target, "2")

    kept = before.all_blobs.keys() & after.all_blobs.keys()
    assert len(kept) == 1
    assert result.traffic.bytes == sum(len(data) for digest, data in after.all_blobs.items() if digest not in kept)


@pytest.mark.parametrize("kind", KINDS)
def test_untagged_platforms_at_the_target_are_noticed(kind: str, tmp_path: Path):
    """Distribution lists no tags then, with NAME_UNKNOWN: a list of tags would not tell that something is there."""
    content = images.multi_arch("redis", attested=False)
    there, *missing = content.children
    with running_registry() as source, registry_of(kind, tmp_path) as target:
        publish(source.host, content)
        with open_registries() as registries:
            client = registries.client(target)
            images.put(there, client, REPOSITORY)
            if kind != "homeport":
                with pytest.raises(NotFoundError, match="NAME_UNKNOWN"):
                    list(client.tags(REPOSITORY))
            assert client.find_manifest(REPOSITORY, content.digest) is None
            if kind == "homeport":
                with pytest.raises(UnknownNameError):
                    client.find_manifest("other/new", content.digest)
        result = bring(source.host, target)
    assert result.images[0].status == "copied"
    assert result.traffic.counted_pulls == 1 + len(missing)


def test_what_crane_pushed_is_brought_as_it_is(tmp_path: Path):
    """crane makes images with gzipped layers and media types of its own choice."""
    layer = tmp_path / "layer.tar"
    layer.write_bytes(images.layer("a", 10_000))
    with registry_of("registry", tmp_path / "source") as source, registry_of("homeport", tmp_path / "target") as target:
        name = f"{source}/{REPOSITORY}:{TAG}"
        run_peer("crane", "append", "--insecure", "-f", str(layer), "-t", name)
        digest = run_peer("crane", "digest", "--insecure", name).strip()

        (image,) = bring(source, target).images

        assert (image.status, image.digest) == ("copied", digest)
        run_peer("crane", "validate", "--insecure", "--remote", f"{target}/{REPOSITORY}:{TAG}")


@pytest.mark.parametrize("kind", KINDS)
def test_what_oras_attached_is_found_by_oras_at_every_registry(kind: str, tmp_path: Path):
    """Distribution has no API of referrers: there the tag that stands in is read and written."""
    content = images.multi_arch("redis")
    (tmp_path / "sbom.txt").write_text("what is in it")
    with registry_of(kind, tmp_path / "source") as source, registry_of(kind, tmp_path / "target") as target:
        publish(source, content)
        attach = ("attach", "--plain-http", "--disable-path-validation", "--artifact-type", "text/sbom")
        run_peer("oras", *attach, f"{source}/{REPOSITORY}:{TAG}", str(tmp_path / "sbom.txt"))
        with open_registries() as registries:
            result = mirror(
                [Reference.parse(f"{source}/{REPOSITORY}:{TAG}")],
                Mapping(Target.parse(target)),
                registries.client,
                registries.client(target),
                referrers=True,
            )
        assert not result.failed
        found = run_peer("oras", "discover", "--plain-http", "--format", "json", f"{target}/{REPOSITORY}:{TAG}")
    assert "text/sbom" in found


def test_a_folder_is_read_and_written_by_skopeo_too(tmp_path: Path):
    content, folder = images.multi_arch("redis"), tmp_path / "layout"
    with registry_of("homeport", tmp_path / "source") as source, open_registries() as registries:
        publish(source, content)
        reference = Reference.parse(f"{source}/{REPOSITORY}:{TAG}")
        mapping = Mapping(Target.parse("localhost"), keep_registry=True)
        for _ in range(2):
            target = LayoutTarget(folder, {mapping.relocate(reference).repository: reference.name})
            assert not mirror([reference], mapping, registries.client, target).failed
            run_peer("skopeo", "copy", "--all", f"oci:{folder}:{reference}", f"oci:{folder}:copied")
    raw = run_peer("skopeo", "inspect", "--raw", f"oci:{folder}:copied")
    assert f"sha256:{hashlib.sha256(raw.encode()).hexdigest()}" == content.digest
