"""What a job saw of a pull limit, and what the next one knows of it."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from homeport.quota.experience import Experience
from homeport.registry.credentials import Credential
from homeport.registry.ledger import MOST_KEPT, Ledger
from homeport.registry.transport import PooledTransport
from tests.kit.clients import open_registries
from tests.kit.docker_hub import running_docker_hub
from tests.kit.images import multi_arch, put

ME = Credential("me", "hunter2")
CONTENT = [multi_arch(str(number)) for number in range(5)]
GETS = sum(1 + len(content.children) for content in CONTENT)
KEY = ("docker.io", "anonymous")


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "cache" / "quota.json")


def serving(**how):
    return running_docker_hub(limit=1000, users={"me": "hunter2"}, **how)


def fill(hub):
    with open_registries(ME, endpoints=[hub.endpoint]) as registries:
        for number, content in enumerate(CONTENT):
            put(content, registries.client("docker.io"), "library/app", str(number))


def pull_all(hub, ledger, credential=None, between=lambda: None):
    """Pull every manifest, many at once, and return what is known afterwards."""
    with open_registries(credential, endpoints=[hub.endpoint], ledger=ledger) as registries:
        client = registries.client("docker.io")
        client.head_manifest("library/app", "0")
        digests = [
            digest for content in CONTENT for digest in (content.digest, *(it.digest for it in content.children))
        ]
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda digest: client.get_manifest("library/app", digest), digests))
        between()
        client.head_manifest("library/app", "0")
        return registries.standing("docker.io").experience


def test_a_manifest_costs_one_pull_and_indexes_name_what_they_name(ledger):
    with serving() as hub:
        fill(hub)
        seen = pull_all(hub, ledger)
    assert (seen.gets, seen.counted, seen.others, seen.price) == (GETS, GETS, 0, 1)
    assert seen.named == GETS - len(CONTENT)
    assert seen.possible >= seen.named


def test_an_answer_that_comes_late_does_not_give_pulls_back(monkeypatch):
    """A HEAD that the registry saw before a pull, and whose answer comes after that of the pull."""
    with serving() as hub:
        fill(hub)
        with open_registries(endpoints=[hub.endpoint]) as registries:
            client = registries.client("docker.io")
            client.head_manifest("library/app", "0")
            send, late = PooledTransport.send, []

            def hold(transport, request):
                response = send(transport, request)
                if request.method == "HEAD" and not late:
                    late.append(request)
                    client.get_manifest("library/app", "0")
                return response

            monkeypatch.setattr(PooledTransport, "send", hold)
            client.head_manifest("library/app", "1")
            assert registries.quota("docker.io").remaining == 1000
            assert registries.standing("docker.io").reading.remaining == 999


def test_where_indexes_are_free_the_price_says_so(ledger):
    with serving(free_indexes=True) as hub:
        fill(hub)
        seen = pull_all(hub, ledger)
        assert hub.counters.pulls("") == GETS - len(CONTENT)
    assert seen.price == pytest.approx((GETS - len(CONTENT)) / GETS)


def test_pulls_of_others_are_told_apart(ledger):
    with serving() as hub:
        fill(hub)

        def others():
            for _ in range(7):
                hub.counters.pull("", None)

        seen = pull_all(hub, ledger, between=others)
        assert (seen.gets, seen.counted, seen.others) == (GETS, GETS, 7)
        with open_registries(endpoints=[hub.endpoint], ledger=ledger) as registries:
            registries.client("docker.io").head_manifest("library/app", "0")
            assert registries.standing("docker.io").experience.others == 7
        assert pull_all(hub, ledger).others == 0


def test_the_next_job_knows_it_and_each_identity_for_itself(ledger):
    with serving(free_indexes=True) as hub:
        fill(hub)
        pull_all(hub, ledger)
        for credential, gets in ((None, GETS), (ME, 0)):
            with open_registries(credential, endpoints=[hub.endpoint], ledger=ledger) as registries:
                assert registries.standing("docker.io") is None
                registries.client("docker.io").head_manifest("library/app", "0")
                standing = registries.standing("docker.io")
                assert (standing.experience.gets, standing.reading) == (gets, registries.quota("docker.io"))
        assert pull_all(hub, ledger).gets == 2 * GETS


def test_a_registry_without_a_limit_leaves_nothing(ledger, tmp_path):
    with running_docker_hub(limit=None, users={"me": "hunter2"}) as hub:
        fill(hub)
        with open_registries(endpoints=[hub.endpoint], ledger=ledger) as registries:
            registries.client("docker.io").get_manifest("library/app", "0")
            assert registries.standing("docker.io") is None
    assert not (tmp_path / "cache").exists()


def test_the_file_is_for_its_owner_and_holds_numbers_and_names_alone(ledger, tmp_path):
    with serving() as hub:
        fill(hub)
        pull_all(hub, ledger, ME)
        host = hub.host
    folder = tmp_path / "cache"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [file.name for file in folder.iterdir()] == ["quota.json"]
    (name,) = json.loads((folder / "quota.json").read_bytes())
    assert name == f"{host} user me"
    assert b"hunter2" not in (folder / "quota.json").read_bytes()


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"[]",
        b'{"docker.io anonymous": {"gets": -1}}',
        b'{"docker.io anonymous": {"gets": 1e99}}',
        b'{"docker.io anonymous": {"gets": "many"}}',
        b'{"\xff": {}}',
        100_000 * b"[",
        b'{"docker.io anonymous": {"gets": 9, "counted": 9}' + 70_000 * b" " + b"}",
    ],
)
def test_a_damaged_file_is_forgotten_and_written_anew(tmp_path, damage):
    file = tmp_path / "quota.json"
    file.write_bytes(damage)
    assert Ledger(file).get(KEY) == Experience()
    Ledger(file).add({KEY: Experience(gets=9, counted=9)})
    assert Ledger(file).get(KEY) == Experience(gets=9, counted=9)


def test_a_place_that_cannot_be_used_hinders_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    ledger = Ledger(tmp_path / "file" / "quota.json")
    ledger.add({KEY: Experience(gets=9, counted=9)})
    assert ledger.get(KEY) == Experience()


def test_it_stays_small_and_drops_what_was_not_used_for_long(tmp_path):
    file = tmp_path / "quota.json"
    for number in range(MOST_KEPT + 5):
        Ledger(file).add({("a.example", f"user {number}"): Experience(gets=1)})
        Ledger(file).add({("a.example", "user 0"): Experience(gets=1)})
    known = json.loads(file.read_bytes())
    assert len(known) == MOST_KEPT
    assert "a.example user 0" in known
    assert "a.example user 1" not in known


def test_two_jobs_at_once_leave_what_both_saw(tmp_path):
    one, two = (Ledger(tmp_path / "quota.json") for _ in range(2))
    assert one.get(KEY) == two.get(KEY) == Experience()
    one.add({KEY: Experience(gets=9, counted=9)})
    two.add({KEY: Experience(gets=9, counted=5)})
    assert Ledger(tmp_path / "quota.json").get(KEY) == Experience(gets=18, counted=14)


def test_it_lies_in_the_user_s_cache(tmp_path):
    Ledger.of_user({"XDG_CACHE_HOME": str(tmp_path)}).add({KEY: Experience(gets=1)})
    assert (tmp_path / "homeport" / "quota.json").exists()
