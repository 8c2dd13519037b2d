"""Clusters that the tests of a session share: each starts once, and every test has namespaces of its own."""

from collections.abc import Iterator

import pytest

from tests.peers import kube_operator, kube_site
from tests.peers.kube_site import Site


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A node with containerd 1, a stand-in for Docker Hub, and a private registry with TLS and login."""
    with kube_site.running(tmp_path_factory.mktemp("site")) as site:
        kube_operator.define(site.node.api)
        yield site


@pytest.fixture(scope="session")
def newer_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The same with containerd 2."""
    with kube_site.running(tmp_path_factory.mktemp("newer-site"), "containerd 2") as site:
        kube_operator.define(site.node.api)
        yield site
