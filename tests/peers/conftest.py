from collections.abc import Iterator

import pytest

from tests.peers.door import KINDS, Door, opened


@pytest.fixture(params=KINDS)
def door(request, tmp_path) -> Iterator[Door]:
    with opened(request.param, tmp_path) as door:
        yield door
