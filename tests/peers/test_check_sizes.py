"""What `homeport check` finds out about the size of requests: before real registries, and behind a real nginx that limits them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from homeport.registry.checkup import Finding, check_up
from tests.kit import images
from tests.kit.clients import open_registries
from tests.kit.peers import distribution
from tests.kit.servers import running_registry
from tests.peers.nginx import nginx

pytestmark = pytest.mark.peers

WHOLE, PIECES, MANIFESTS = "takes layers of 8 GiB in one request", "takes layers in pieces", "takes manifests of 4 MB"
KINDS = ("registry", "docker-registry", "homeport")


@contextmanager
def running(kind: str, folder: Path) -> Iterator[str]:
    if kind == "homeport":
        with running_registry() as registry:
            yield registry.host
    else:
        with distribution(folder / kind, kind) as host:
            yield host


def found(host: str) -> dict[str, Finding]:
    with open_registries() as registries:
        return {finding.what: finding for finding in check_up(registries.client(host), "team")}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_registries_take_whole_layers_and_pieces(kind: str, tmp_path: Path):
    with running(kind, tmp_path) as host:
        findings = found(host)
    assert (findings[WHOLE].state, findings[PIECES].state) == ("yes", "yes")
    assert not any(finding.is_bad for finding in findings.values())


@pytest.mark.parametrize("buffering", ["on", "off"])
def test_an_nginx_as_it_comes_is_found_out_and_large_layers_go_in_pieces(kind: str, buffering: str, tmp_path: Path):
    with running(kind, tmp_path) as behind, nginx(tmp_path, behind, most="1m", buffering=buffering) as host:
        findings = found(host)
        with open_registries() as registries:
            big = images.image(images.layer("big", 3_000_000))
            images.put(big, registries.client(host), "team/app", "1")
            assert registries.client(host).has_blob("team/app", big.blobs[1][0].digest)
    assert (findings[WHOLE].state, findings[PIECES].state, findings[MANIFESTS].state) == ("no", "yes", "no")
    assert "takes 1 MiB in one request, and not 2 MiB, so larger layers go in pieces" in findings[WHOLE].means
    assert "client_max_body_size 0" in findings[WHOLE].means
    assert not any(finding.is_bad for finding in findings.values())


@pytest.mark.parametrize(("most", "shown"), [("100m", "64 MiB"), ("512k", "512 KiB"), ("8g", "")])
def test_limits_of_any_size_are_found(most: str, shown: str, tmp_path: Path):
    with running_registry() as behind, nginx(tmp_path, behind.host, most=most) as host:
        finding = found(host)[WHOLE]
    assert finding.state == ("no" if shown else "yes")
    assert shown in finding.means
    assert finding.is_bad is (most == "512k")
