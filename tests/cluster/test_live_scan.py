"""Owners, nodes and what was really pulled, on the stand-in."""

from collections.abc import Iterator

import pytest

from tests.kit import api_server
from tests.kit.api_server import StandIn
from tests.kit.live_contract import LiveContract, build_owned


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with api_server.running(tmp_path_factory.mktemp("cluster")) as server:
        build_owned(server)
        yield server


class TestStandIn(LiveContract):
    pass
