"""What `homeport check` finds out, against registries that can and cannot."""

import json
import ssl
import subprocess
from collections.abc import Iterator

import pytest
import trustme

from homeport.errors import RegistryError
from homeport.registry.checkup import REPOSITORY, Finding, check_up
from homeport.registry.client import RegistryClient
from homeport.registry.settings import Settings
from tests.kit.clients import open_registries
from tests.kit.scripted import Reply, registry_play, scripted
from tests.kit.servers import HOMEPORT, RunningRegistry, running_registry
from tests.kit.tally import Asked, Refusal, Tally


def found(host: str, path: str = "") -> dict[str, Finding]:
    with open_registries() as registries:
        return {finding.what: finding for finding in check_up(registries.client(host), path)}


@pytest.fixture
def registry() -> Iterator[RunningRegistry]:
    with running_registry() as running:
        yield running


def test_a_registry_that_can_do_it_all(registry: RunningRegistry):
    findings = found(registry.host, "team")
    able = {what for what, finding in findings.items() if finding.state == "yes"}
    assert set(findings) - able <= {"takes an index that lacks platforms", "deletes images", "speaks TLS"}
    assert not any(finding.is_bad for finding in findings.values())


def test_nothing_that_can_be_deleted_stays(registry: RunningRegistry):
    if found(registry.host)["deletes images"].state == "yes":
        with open_registries() as registries:
            assert registries.client(registry.host).head_manifest(REPOSITORY, "check") is None


def test_who_may_not_push_reads_why_and_nothing_more_is_tried():
    tally = Tally()
    tally.refuse = lambda asked: Refusal(403, "DENIED", "no") if asked.method == "POST" else None
    with running_registry(app_wrapper=tally.wrap) as running:
        *before, last = found(running.host).values()
    assert [finding.state for finding in before] == ["yes", "no"]
    assert last.is_bad
    assert "forbidden" in last.means
    assert "right to this repository" in last.means


def test_a_registry_that_takes_no_large_manifest_is_told_from_one_that_does(registry: RunningRegistry):
    assert found(registry.host)["takes manifests of 4 MB"].state == "yes"
    tally = Tally()
    seen = []

    def refuse(asked: Asked) -> Refusal | None:
        if asked.kind == "PUT manifests":
            seen.append(asked)
        # The image, Docker's form, the index and the artifact come before.
        return Refusal(413, "SIZE_INVALID", "too large") if asked.kind == "PUT manifests" and len(seen) == 5 else None

    tally.refuse = refuse
    with running_registry(app_wrapper=tally.wrap) as running:
        finding = found(running.host)["takes manifests of 4 MB"]
    assert finding.state == "no"
    assert "may not fit" in finding.means


def test_pieces_are_sent_in_more_than_one_request():
    tally = Tally()
    with running_registry(app_wrapper=tally.wrap) as running:
        assert found(running.host)["takes layers in pieces"].state == "yes"
    assert tally.count("PATCH blobs") == 2


@pytest.mark.parametrize(("largest", "is_bad"), [(1 << 20, True), (1 << 34, False)])
def test_pieces_are_needed_where_whole_layers_do_not_pass(
    registry: RunningRegistry, monkeypatch: pytest.MonkeyPatch, largest: int, *, is_bad: bool
):
    def refuse(*_: object) -> None:
        raise RegistryError("PATCH: status 405", status=405)

    monkeypatch.setattr(
        RegistryClient, "announce_blob", lambda _self, _name, blob, _: 100 if blob.size <= largest else 413
    )
    monkeypatch.setattr(RegistryClient, "put_blob_in_pieces", refuse)
    findings = found(registry.host)
    assert findings["takes layers in pieces"].state == "no"
    assert findings["takes layers in pieces"].is_bad is is_bad
    assert not findings["takes layers of 8 GiB in one request"].is_bad


def test_tls_is_told_from_plain_http(registry: RunningRegistry):
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    plain = found(registry.host)["speaks TLS"]
    assert (plain.state, plain.is_bad) == ("no", False)
    assert "hosts.toml" in plain.means
    with scripted(registry_play({}), tls=context) as server:
        settings = Settings.of(insecure=[server.host], environment={})
        with open_registries(settings=settings) as registries:
            states = {finding.what: finding.state for finding in check_up(registries.client(server.host))}
    assert states["speaks TLS"] == "yes"


def test_what_is_no_registry_ends_it():
    with scripted(registry_play({("GET", "/v2/"): Reply(404)})) as server:
        (only,) = found(server.host).values()
    assert only.is_bad
    assert "not a registry" in only.means


def test_the_command_says_it_in_words(registry: RunningRegistry):
    done = subprocess.run((*HOMEPORT, "check", f"{registry.host}/team"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{registry.host}/team, anonymous\n")
    assert "yes  answers, and takes the credentials" in done.stdout.replace("yes      ", "yes  ")
    done = subprocess.run(
        (*HOMEPORT, "check", registry.host, "-o", "json"), capture_output=True, text=True, check=False
    )
    assert json.loads(done.stdout)["identity"] == "anonymous"


def test_one_that_cannot_be_reached_is_exit_code_1():
    done = subprocess.run((*HOMEPORT, "check", "127.0.0.1:1"), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "refused" in done.stdout
