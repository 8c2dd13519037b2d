"""Registries to measure, each as a process of its own on one core."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from tests.kit.peers import peer

SERVER_CORE, CLIENT_CORE = "0", "1"

TLS = tuple[Path, Path]
"""A certificate and its key."""

_DISTRIBUTION = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {data}}}
http:
  addr: "127.0.0.1:{port}"
  secret: not-secret
{tls}"""
_DISTRIBUTION_TLS = "  tls: {{certificate: {cert}, key: {key}}}\n"
_NGINX = """\
user root; daemon off; worker_processes 1; pid {data}/pid; error_log {data}/error.log;
events {{ worker_connections 1024; }}
http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; client_max_body_size 0;
  server {{ listen 127.0.0.1:{port}{tls}; root {data}/root; default_type application/octet-stream; }} }}
"""


def free_port() -> int:
    with closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def commands(name: str, data: Path, port: int, tls: TLS | None) -> tuple[list[str], Mapping[str, str]]:
    """Return how a peer is started, and with what environment."""
    if name.startswith("homeport"):
        extra = ["--workers", "2"] if name.endswith("2") else []
        extra += ["--tls-cert", str(tls[0]), "--tls-key", str(tls[1])] if tls else []
        serve = [
            sys.executable,
            "-c",
            "from homeport.cli import main; main()",
            "serve",
            "--data",
            str(data / "data"),
            "--listen",
            f"127.0.0.1:{port}",
        ]
        return [*serve, *extra], {}
    if name == "nginx":
        (data / "nginx.conf").write_text(_NGINX.format(data=data, port=port, tls=_nginx_tls(tls)))
        return [peer("nginx"), "-c", str(data / "nginx.conf")], {}
    if name == "go-containerregistry":
        return [peer("ggcr-registry"), "-port", str(port)], {}  # in memory: it writes to no disk
    (data / "config.yml").write_text(
        _DISTRIBUTION.format(
            data=data / "data", port=port, tls=_DISTRIBUTION_TLS.format(cert=tls[0], key=tls[1]) if tls else ""
        )
    )
    binary = {"distribution v3": "registry", "distribution v2": "docker-registry"}[name]
    return [peer(binary), "serve", str(data / "config.yml")], {"OTEL_TRACES_EXPORTER": "none"}


def _nginx_tls(tls: TLS | None) -> str:
    return f" ssl; ssl_certificate {tls[0]}; ssl_certificate_key {tls[1]}" if tls else ""


class Server:
    """A running peer: where it is, and what it has used."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, *, tls: bool) -> None:
        self.process, self.port = process, port
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"

    def _pids(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [self.process.pid, *map(int, children)]

    def cpu(self) -> float:
        """Return the CPU seconds used so far."""
        fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self._pids()]
        return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")

    def peak(self) -> float:
        """Return the most memory used at a time, in MiB, of the largest process."""
        lines = [line for pid in self._pids() for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
        return max(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


@contextmanager
def running(name: str, data: Path, tls: TLS | None = None) -> Iterator[Server]:
    """Start a peer on the server's core and wait until it answers."""
    data.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command, environment = commands(name, data, port, tls)
    cores = "0,1" if name.endswith("2") and name.startswith("homeport") else SERVER_CORE
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        ["taskset", "-c", cores, *command], env={**os.environ, **environment}, stdout=quiet, stderr=quiet
    )
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionError:
                time.sleep(0.05)
        yield Server(process, port, tls=tls is not None)
    finally:
        process.terminate()
        process.wait(30)
