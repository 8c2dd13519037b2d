"""The client at a registry that limits pulls."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from homeport.errors import AuthenticationError, RateLimitedError
from homeport.quota.reading import Reading
from homeport.registry.credentials import Credential
from tests.kit.clients import open_registries, read_all
from tests.kit.docker_hub import PREVIEW, running_docker_hub
from tests.kit.images import image, layer, put

ME = Credential("me", "hunter2")
CONTENT = image(layer("redis"))


def fill(hub):
    with open_registries(ME, endpoints=[hub.endpoint]) as registries:
        put(CONTENT, registries.client("docker.io"), "redislabs/redis", "7.2.4-64")


def test_heads_are_free_and_gets_count():
    with running_docker_hub(limit=100, users={"me": "hunter2"}) as hub:
        fill(hub)
        with open_registries(endpoints=[hub.endpoint]) as registries:
            client = registries.client("docker.io")
            assert registries.quota("docker.io") is None
            for _ in range(3):
                assert client.head_manifest("redislabs/redis", "7.2.4-64").digest == CONTENT.digest
            assert registries.quota("docker.io") == Reading(100, 100, 21600, "127.0.0.1")
            assert registries.traffic.of("docker.io").counted_pulls == 0
            client.get_manifest("redislabs/redis", "7.2.4-64")
            assert registries.quota("docker.io").remaining == 99
            assert registries.traffic.of("docker.io").counted_pulls == 1
        assert hub.counters["get"] == 1


def test_a_used_up_limit_is_said_and_not_hammered():
    waits = []
    with running_docker_hub(limit=1, users={"me": "hunter2"}) as hub:
        fill(hub)
        with open_registries(endpoints=[hub.endpoint], waits=waits) as registries:
            client = registries.client("docker.io")
            client.get_manifest("redislabs/redis", "7.2.4-64")
            with pytest.raises(RateLimitedError, match=r"used up for anonymous \(0 of 1 pulls per 6 h left\)"):
                client.get_manifest("redislabs/redis", "7.2.4-64")
            assert client.head_manifest("redislabs/redis", "7.2.4-64")
            assert registries.traffic.of("docker.io").counted_pulls == 1
        assert hub.counters["refused"] == 0
    assert waits == []


def test_to_look_for_a_manifest_where_none_is_spends_no_pull():
    with running_docker_hub(users={"me": "hunter2"}) as hub:
        fill(hub)
        with open_registries(endpoints=[hub.endpoint]) as registries:
            client = registries.client("docker.io")
            assert client.head_manifest("redislabs/redis", "7.2.4-64")
            assert client.find_manifest("redislabs/redis", f"sha256:{64 * '0'}") is None
            assert hub.counters.pulls("") == 0
            assert client.find_manifest("redislabs/redis", CONTENT.digest) == CONTENT.manifest
            assert hub.counters.pulls("") == registries.traffic.of("docker.io").counted_pulls == 1


def test_pulls_at_the_same_time_spend_no_more_than_is_left():
    """The first HEAD tells the limit; from then on no request is made that would be refused."""
    with running_docker_hub(limit=5, users={"me": "hunter2"}) as hub:
        fill(hub)
        with open_registries(endpoints=[hub.endpoint]) as registries, ThreadPoolExecutor(12) as threads:
            client = registries.client("docker.io")
            client.head_manifest("redislabs/redis", "7.2.4-64")
            asked = [threads.submit(client.get_manifest, "redislabs/redis", "7.2.4-64") for _ in range(12)]
            failures = [future.exception() for future in asked]
        assert failures.count(None) == 5
        assert {type(failure) for failure in failures if failure} == {RateLimitedError}
        assert (hub.counters["get"], hub.counters["refused"]) == (5, 0)


def test_pulls_that_are_given_again_are_noticed_by_a_free_head():
    with running_docker_hub(limit=1, users={"me": "hunter2"}) as hub:
        fill(hub)
        with open_registries(endpoints=[hub.endpoint]) as registries:
            client = registries.client("docker.io")
            client.get_manifest("redislabs/redis", "7.2.4-64")
            with pytest.raises(RateLimitedError):
                client.get_manifest("redislabs/redis", "7.2.4-64")
            hub.counters.forgive()
            assert client.get_manifest("redislabs/redis", "7.2.4-64").digest == CONTENT.digest
        assert (hub.counters["get"], hub.counters["refused"]) == (2, 0)


def test_a_wrong_password_is_tried_twice_and_then_no_more():
    """Each further try would bring the user nearer to being locked out."""
    with running_docker_hub(users={"me": "hunter2"}) as hub:
        with open_registries(Credential("me", "wrong"), endpoints=[hub.endpoint]) as registries:
            client, said = registries.client("docker.io"), []
            for number in range(6):
                with pytest.raises(AuthenticationError) as caught:
                    client.head_manifest(f"redislabs/app{number}", "1")
                said.append(caught.value)
        assert hub.counters["token"] == 2
        assert "incorrect username or password" in said[0].message
        assert "not tried again, as the login was refused 2 times" in said[-1].message
        assert "lock the account" in said[-1].hint


def test_a_user_has_a_limit_of_its_own():
    with running_docker_hub(limit=0, users={"me": "hunter2"}, user_limit=200) as hub:
        fill(hub)
        with open_registries(ME, endpoints=[hub.endpoint]) as registries:
            registries.client("docker.io").get_manifest("redislabs/redis", "7.2.4-64")
            assert registries.quota("docker.io") == Reading(200, 199, 21600, "me")


def test_an_unlimited_user_reads_no_limit():
    with running_docker_hub(limit=0, users={"me": "hunter2"}, user_limit=None) as hub:
        fill(hub)
        with open_registries(ME, endpoints=[hub.endpoint]) as registries:
            registries.client("docker.io").get_manifest("redislabs/redis", "7.2.4-64")
            assert registries.quota("docker.io") is None
            assert registries.traffic.of("docker.io").counted_pulls == 0


def test_blobs_come_from_elsewhere_without_credentials():
    with running_docker_hub(users={"me": "hunter2"}, cdn=True) as hub:
        fill(hub)
        with open_registries(ME, endpoints=[hub.endpoint]) as registries:
            client = registries.client("docker.io")
            for blob, data in CONTENT.blobs:
                with client.open_blob("redislabs/redis", blob) as reader:
                    assert read_all(reader) == data
        assert hub.counters["cdn"] == len(CONTENT.blobs)
        assert hub.counters["cdn_with_credentials"] == 0


def test_what_an_anonymous_may_not():
    with running_docker_hub() as hub, open_registries(endpoints=[hub.endpoint]) as registries:
        with pytest.raises(AuthenticationError, match="not allowed for anonymous"):
            registries.client("docker.io").start_blob("redislabs/redis", CONTENT.digest)
        assert hub.counters["write"] == 0


def test_the_preview_image_is_there():
    with running_docker_hub(limit=7) as hub, open_registries(endpoints=[hub.endpoint]) as registries:
        repository, _, tag = PREVIEW.removeprefix("/v2/").partition("/manifests/")
        assert registries.client("docker.io").head_manifest(repository, tag)
        assert registries.quota("docker.io") == Reading(7, 7, 21600, "127.0.0.1")
