"""What commands say of a pull limit before they spend it, and what they learn of it while they do."""

import json

import pytest

from homeport.cli.app import run
from homeport.registry.credentials import Credential
from tests.kit.clients import open_registries
from tests.kit.docker_hub import running_docker_hub
from tests.kit.images import multi_arch, put
from tests.kit.servers import running_registry

ME = Credential("me", "hunter2")
APPS = [f"library/app{number}" for number in range(4)]
OTHER = "library/other"
INDEXES = {name: multi_arch(name) for name in (*APPS, OTHER)}
GETS = 1 + len(INDEXES[OTHER].children)


@pytest.fixture(autouse=True)
def nobody(monkeypatch, tmp_path):
    """No stored credentials of the machine."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)


class Site:
    """A stand-in for Docker Hub with five images, and a registry."""

    def __init__(self, hub, registry, capsys):
        self.hub, self.registry, self._capsys = hub, registry, capsys

    def mirror(self, *arguments):
        """Run `homeport mirror`; return its report, and what it said meanwhile."""
        code = run(["mirror", "--to", f"{self.registry.host}/m", "-o", "json", *arguments])
        said = self._capsys.readouterr()
        return code, json.loads(said.out), [json.loads(line) for line in said.err.splitlines()]

    def run(self, *arguments):
        code = run(list(arguments))
        return code, self._capsys.readouterr()


@pytest.fixture(params=[False, True], ids=["each counts", "indexes are free"])
def free_indexes(request):
    return request.param


@pytest.fixture
def site(monkeypatch, capsys, free_indexes):
    with (
        running_docker_hub(limit=60, users={"me": "hunter2"}, free_indexes=free_indexes) as hub,
        running_registry() as registry,
    ):
        with open_registries(ME, endpoints=[hub.endpoint]) as registries:
            for name, content in INDEXES.items():
                put(content, registries.client("docker.io"), name, "1")
        monkeypatch.setenv("HOMEPORT_ENDPOINTS", hub.endpoint)
        yield Site(hub, registry, capsys)


def expected_of(events):
    (told,) = [event for event in events if event["event"] == "pulls_expected"]
    return told


def test_what_is_likely_is_what_is_then_taken_off(site, free_indexes):
    _, report, _ = site.mirror("--dry-run", f"{OTHER}:1")
    (quota,) = report["quotas"]
    assert quota["likely"] is None
    assert quota["counted_pulls"] == report["counted_pulls"]
    _, _, events = site.mirror(*(f"{name}:1" for name in APPS))
    assert expected_of(events)["likely"] is None

    _, report, _ = site.mirror("--dry-run", f"{OTHER}:1")
    (quota,) = report["quotas"]
    before = site.hub.counters.pulls("")
    _, result, events = site.mirror(f"{OTHER}:1")

    taken_off = site.hub.counters.pulls("") - before
    assert taken_off == GETS - free_indexes
    assert quota["likely"] == expected_of(events)["likely"] == taken_off
    assert result["counted_pulls"] == GETS
    assert quota["counted_pulls"]["low"] <= GETS < quota["counted_pulls"]["high"]
    assert "quotas" not in result


def test_a_table_says_it_beside_the_bounds(site, free_indexes):
    site.mirror(*(f"{name}:1" for name in APPS))
    left = 60 - site.hub.counters.pulls("")
    code, said = site.run("mirror", "--to", f"{site.registry.host}/m", "--dry-run", f"{OTHER}:1")
    assert code == 0
    line = said.out.splitlines()[-1]
    assert f"counted pulls to come, likely {GETS - free_indexes}, {left} of 60 pulls per 6 h left: that fits" in line
    assert (
        site.run("limits", f"{OTHER}:1")[1]
        .out.splitlines()[-1]
        .endswith(f"pulls at Docker Hub, likely {GETS - free_indexes}: that fits now.")
    )
    report = json.loads(site.run("limits", f"{OTHER}:1", "-o", "json")[1].out)
    assert report["likely"] == GETS - free_indexes


def test_a_dry_run_that_fetches_pays_for_the_run(site):
    _, report, _ = site.mirror("--dry-run", "--deep", f"{OTHER}:1")
    assert report["counted_pulls"] == {"low": GETS, "high": GETS}
    (quota,) = report["quotas"]
    assert quota["counted_pulls"] == {"low": 0, "high": 0}
    spent = site.hub.counters["get"]
    _, result, events = site.mirror(f"{OTHER}:1")
    assert result["counted_pulls"] == 0
    assert expected_of(events)["counted_pulls"] == {"low": 0, "high": 0}
    assert site.hub.counters["get"] == spent == GETS


def test_others_at_the_same_address_are_a_warning_now_and_wherever_the_quota_is_shown(site, free_indexes, monkeypatch):
    """With each of the job's pulls somebody else makes one."""
    pull = site.hub.counters.pull
    with monkeypatch.context() as patch:
        patch.setattr(site.hub.counters, "pull", lambda who, most: pull(who, None) and pull(who, most))
        _, _, events = site.mirror(*(f"{name}:1" for name in APPS))
    (others,) = [event["others"] for event in events if event["event"] == "quota_shared"]
    assert others == len(APPS) * (GETS - free_indexes)
    warning = f"docker.io: others use this quota too: the last run saw {others} pulls counted beside its own"
    assert site.run("limits")[1].out.splitlines()[1] == f"warning: {warning}"
    assert json.loads(site.run("limits", "-o", "json")[1].out)["others"] == others
    assert site.run("mirror", "--to", f"{site.registry.host}/m", "--dry-run", f"{OTHER}:1")[1].out.endswith(
        f"warning: {warning}\n"
    )
