from collections.abc import Iterator
from pathlib import Path

import pytest

from homeport.applications.redis_enterprise.releases import forget_learned


@pytest.fixture(autouse=True)
def learned(tmp_path, monkeypatch) -> Iterator[Path]:
    """A file of one's own for what is learned."""
    file = tmp_path / "own" / "learned.json"
    monkeypatch.setenv("HOMEPORT_RELEASES", str(file))
    forget_learned()
    yield file
    forget_learned()
