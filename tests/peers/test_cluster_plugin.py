"""`kubectl homeport`: kubectl finds the plugin, and completes its words."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.peers import kube
from tests.peers.kube_site import Site

pytestmark = pytest.mark.peers

Kubectl = Callable[..., list[str]]


@pytest.fixture
def kubectl(site: Site, tmp_path: Path) -> Kubectl:
    """Run kubectl beside the plugin, as it is installed."""
    for name, module in (
        ("kubectl-homeport", "homeport.cli"),
        ("kubectl_complete-homeport", "homeport.cli.kubectl_completion"),
    ):
        program = tmp_path / name
        program.write_text(f"#!{sys.executable}\nfrom {module} import main\nmain()\n")
        program.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "KUBECONFIG": str(site.node.api.kubeconfig()),
    }

    def call(*arguments: str) -> list[str]:
        command = (kube.peer("kubectl"), *arguments)
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()

    return call


def test_kubectl_runs_it_in_the_namespace_that_is_asked_for(kubectl: Kubectl, site: Site) -> None:
    site.node.namespace("plugin")
    assert kubectl("homeport", "scan", "--cluster", "-n", "plugin", "--context", "admin", "-o", "names") == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["sec"], ["secret", ":4"]),
        (["redis-enterprise", "up"], ["upgrade", ":4"]),
        (["secret", "--all"], ["--all-namespaces", ":4"]),
        (["scan", "--cluster", "-o", "ta"], ["table", ":4"]),
        (["verify", "--cluster", "--context", ""], ["admin", ":4"]),
        (["scan", "--cluster", "--context", "admin", "-n", "kube-sy"], ["kube-system", ":4"]),
        (["relocate", "--to", "r", ""], [":0"]),
    ],
    ids=" ".join,
)
def test_kubectl_completes_its_words(words: list[str], expected: list[str], kubectl: Kubectl) -> None:
    assert kubectl("__complete", "homeport", *words) == expected
