"""A real Kubernetes API server for tests: etcd and kube-apiserver as processes on loopback."""

import os
import shutil
from pathlib import Path

import pytest


def peer(program: str) -> str:
    """Return the path of a program that build-kube.sh makes; the test is skipped where it is missing."""
    folder = Path(os.environ.get("HOMEPORT_PEERS") or Path.home() / ".cache/homeport-peers/bin")
    found = shutil.which(program, path=str(folder))
    if found is None:
        pytest.skip(f"{program} is not in {folder}: run tests/peers/build-kube.sh")
    return found
