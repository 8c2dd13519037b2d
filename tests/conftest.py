"""Which tests are collected: those that need peers or real files only where these are."""

import os
import signal

import pytest
from hypothesis import settings

settings.register_profile("homeport", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("homeport")

# Who is started in the background inherits that ^C is ignored, and so would the commands that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    """Keep manifests of earlier tests, and of the user's own runs, out of what a test counts."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests over real files unless HOMEPORT_CORPUS names their folder."""
    if os.environ.get("HOMEPORT_CORPUS"):
        return
    corpus = [item for item in items if item.get_closest_marker("corpus")]
    if corpus:
        config.hook.pytest_deselected(items=corpus)
        items[:] = [item for item in items if item not in corpus]
