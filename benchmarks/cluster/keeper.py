"""The process that keeps the cluster while others are measured."""

import contextlib
import sys
from multiprocessing.connection import Connection
from pathlib import Path

HOMEPORT = str(Path(sys.executable).parent / "homeport")


def hold(pipe: Connection, folder: Path, sizes: tuple[int, int, int]) -> None:
    """Build the cluster and keep it; in a process of its own, because a child's peak memory starts at its parent's."""
    from benchmarks.cluster.world import PASSWORD, USER, Size, kubeconfig_of, running
    from tests.kit.peers import peer
    from tests.kit.servers import docker_config, serve_process, write_htpasswd

    users = write_htpasswd(folder / "htpasswd", {USER: PASSWORD})
    with serve_process(folder / "registry", "--htpasswd", str(users)) as registry:
        docker_config(folder, registry.host, USER, PASSWORD)
        with running(folder, registry.host, Size(*sizes)) as world:
            verify = ["verify", "--cluster", "--registry", world.target, "--lock", str(world.lock), "-o", "json"]
            commands = {
                "kubectl get pods -A -o json": [peer("kubectl"), "get", "pods", "-A", "-o", "json"],
                "homeport scan --cluster -o json": [HOMEPORT, "scan", "--cluster", "-o", "json"],
                "homeport verify --cluster -o json": [HOMEPORT, *verify],
            }
            pipe.send((commands, kubeconfig_of(world)))
            with contextlib.suppress(EOFError):
                while pipe.recv() == "lists":
                    pipe.send(world.lists())
