"""JFrog Artifactory, played by a stand-in."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from homeport.errors import AuthenticationError, RegistryError
from homeport.mapping import Mapping, Target
from homeport.mirror import MirrorResult, mirror
from homeport.mirror.mirrors import mirrors_of, parse_mirrors
from homeport.reference import Reference
from homeport.registry.credentials import Credential
from homeport.registry.session import Registries
from tests.kit import images
from tests.kit.artifactory import TOKEN, USER, Artifactory
from tests.kit.clients import open_registries
from tests.kit.memory import MemoryRegistry
from tests.kit.scripted import scripted

ME = Credential(USER, TOKEN)
"""An access token is a password, with the name of its user."""


@contextmanager
def playing(*keys: str, **ways: object) -> Iterator[Artifactory]:
    artifactory = Artifactory(*keys, **ways)  # type: ignore[arg-type]  # as its own
    with scripted(artifactory) as server:
        artifactory.host = server.host
        yield artifactory


def keep(artifactory: Artifactory, content: images.Content, key: str, image: str, tag: str) -> None:
    for part in content.walk():
        for blob, data in part.blobs:
            artifactory.put(key, image, blob.digest, data)
        name = tag if part is content else part.digest
        artifactory.put(key, image, name, part.manifest.body, part.manifest.media_type)


def push(artifactory: Artifactory, registries: Registries, *names: str) -> MirrorResult:
    source = MemoryRegistry("source.example")
    for name in names:
        images.put(images.multi_arch(name), source, name, "1")
    mapping = Mapping(Target.parse(f"{artifactory.host}/docker-local/team"))
    wanted = [Reference.parse(f"source.example/{name}:1") for name in names]
    return mirror(wanted, mapping, lambda _: source, registries.client(artifactory.host), referrers=True)


def test_images_are_brought_to_a_path_below_a_repository_and_found_again():
    with playing("docker-local") as artifactory, open_registries(ME) as registries:
        assert [image.error for image in push(artifactory, registries, "one", "two").images] == ["", ""]
        assert artifactory.tags["docker-local/team/one"] == ["1"]
        assert {image.status for image in push(artifactory, registries, "one", "two").images} == {"present"}


def test_a_token_is_asked_for_as_the_repository_says_and_kept():
    """The realm has the repository's key, the scope lacks it, and a HEAD is told none."""
    with playing("docker-local") as artifactory, open_registries(ME) as registries:
        client = registries.client(artifactory.host)
        keep(artifactory, images.image(), "docker-local", "app", "1")
        assert client.get_manifest("docker-local/app", "1")
        refused, tokens = artifactory.refused, artifactory.tokens.total()
        for _ in range(3):
            assert client.get_manifest("docker-local/app", "1")
            assert client.head_manifest("docker-local/app", "1")
        assert (artifactory.refused, artifactory.tokens.total()) == (refused, tokens)


def test_what_one_repository_says_of_tokens_holds_for_its_neighbours():
    with playing("docker-local") as artifactory, open_registries(ME) as registries:
        for image in ("one", "two"):
            keep(artifactory, images.image(), "docker-local", image, "1")
        client = registries.client(artifactory.host)
        assert client.get_manifest("docker-local/one", "1")
        refused = artifactory.refused
        assert client.get_manifest("docker-local/two", "1")
        assert artifactory.refused == refused


def test_repositories_with_realms_of_their_own_are_not_mixed_up():
    content = {key: images.image(images.layer(key)) for key in ("docker-local", "docker-remote")}
    with playing(*content) as artifactory, open_registries(ME) as registries:
        for key, image in content.items():
            keep(artifactory, image, key, "library/app", "1")
        target, home = MemoryRegistry("target.example"), Mapping(Target("target.example"))
        wanted = [Reference.parse(f"{artifactory.host}/{key}/library/app:1") for key in content]
        assert not mirror(wanted, home, registries.client, target, referrers=True).failed
        refused = artifactory.refused
        assert not mirror(wanted, home, registries.client, MemoryRegistry("target.example"), referrers=True).failed
        assert artifactory.refused == refused


def test_all_pages_of_tags_come_though_the_link_to_the_next_lacks_the_repository():
    with playing("docker-remote") as artifactory, open_registries(ME) as registries:
        for number in range(5):
            keep(artifactory, images.image(label=str(number)), "docker-remote", "library/app", f"v{number}")
        found = list(registries.client(artifactory.host).tags("docker-remote/library/app"))
    assert found == ["v0", "v1", "v2", "v3", "v4"]


def test_a_remote_repository_is_a_mirror_of_docker_hub_under_full_names():
    content = images.multi_arch("redis")
    hub = MemoryRegistry("docker.io")
    images.put(content, hub, "library/redis", "7")
    with playing("docker-remote") as artifactory, open_registries(ME) as registries:
        keep(artifactory, content, "docker-remote", "library/redis", "7")
        elsewhere = mirrors_of(parse_mirrors([f"docker.io={artifactory.host}/docker-remote"]), registries.client)
        target = MemoryRegistry("target.example")
        names = Mapping(Target("target.example"))
        result = mirror([Reference.parse("redis:7")], names, lambda _: hub, target, mirrors=elsewhere)
    assert not result.failed
    assert [call for call in hub.calls if str(call).startswith("GET")] == []


@pytest.mark.parametrize("lists", [True, False])
def test_signatures_come_along_whether_it_lists_referrers_or_not(lists: bool):
    source, content = MemoryRegistry("source.example"), images.image()
    images.put(content, source, "app", "1")
    signature = images.about(content)
    images.put(signature, source, "app")
    with playing("docker-local", lists_referrers=lists) as artifactory, open_registries(ME) as registries:
        mapping = Mapping(Target.parse(f"{artifactory.host}/docker-local"))
        client = registries.client(artifactory.host)
        result = mirror([Reference.parse("source.example/app:1")], mapping, lambda _: source, client, referrers=True)
        assert not result.failed
        assert ("docker-local/app", signature.digest) in artifactory.content
        stand_in = content.digest.replace(":", "-")
        assert (stand_in in artifactory.tags["docker-local/app"]) is not lists


@pytest.mark.parametrize("address", ["http://artifactory.internal.invalid:8081", "http://169.254.169.254"])
def test_uploads_that_are_sent_to_an_inner_address_are_explained(address: str):
    with playing("docker-local", uploads_at=address) as artifactory, open_registries(ME) as registries:
        (image,) = push(artifactory, registries, "one").images
    assert "custom base URL" in image.hint
    assert "X-JFrog-Override-Base-Url" in image.hint


def test_what_it_says_of_a_repository_that_it_does_not_know_is_shown():
    said = pytest.raises(RegistryError, match="status 400: Unsupported docker v2 repository request")
    with playing("docker-local") as artifactory, open_registries(ME) as registries, said:
        registries.client(artifactory.host).get_manifest("none/app", "1")


def test_a_token_of_another_user_is_said():
    said = pytest.raises(AuthenticationError, match="Wrong username was used")
    with playing("docker-local") as artifactory, open_registries(Credential("other", TOKEN)) as registries, said:
        registries.client(artifactory.host).get_manifest("docker-local/app", "1")
