"""Daemons that tests start: Docker's, containerd."""

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.kit.peers import peer, run_peer

as_root = pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="daemons are started by root")

Run = Callable[..., str]
"""Runs a client of the daemon with arguments, and returns what it says."""


@contextmanager
def daemon(sign: str, *command: str) -> Iterator[None]:
    """Run a daemon, which says `sign` on stderr when it is ready."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        seen = []
        for line in process.stderr:
            seen.append(line)
            if sign in line:
                break
        else:
            pytest.fail("".join(seen))
        threading.Thread(target=process.stderr.read).start()
        try:
            yield
        finally:
            process.terminate()
            process.wait()


@contextmanager
def dockerd(home: Path) -> Iterator[Run]:
    """Run Docker's daemon with a folder of its own, without a network; yield its client."""
    socket = home / "d.sock"
    folders = (f"--data-root={home / 'data'}", f"--exec-root={home / 'exec'}", f"--pidfile={home / 'pid'}")
    options = ("--iptables=false", "--bridge=none", "--storage-driver=vfs", f"--host=unix://{socket}")
    with daemon("API listen on", peer("dockerd"), *options, *folders):
        yield lambda *arguments: run_peer("docker", *arguments, DOCKER_HOST=f"unix://{socket}").strip()


@contextmanager
def containerd(home: Path) -> Iterator[Run]:
    """Run containerd with a folder of its own; yield `ctr images`."""
    folder, config = home / "containerd", home / "containerd.toml"
    config.write_text(
        f'version = 2\nroot = "{folder}/root"\nstate = "{folder}/state"\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
        f'[grpc]\naddress = "{folder}/c.sock"\n[ttrpc]\naddress = "{folder}/t.sock"\n'
    )
    with daemon("containerd successfully booted", peer("containerd"), "--config", str(config)):
        yield lambda *arguments: run_peer("ctr", "--address", f"{folder}/c.sock", "images", *arguments)
