"""Registries to test against: in a thread, or as the real process."""

import base64
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import bcrypt
import msgspec
import trustme

from homeport.server.app import Registry
from homeport.server.gate import Gate
from homeport.server.http import Limits
from homeport.server.login import HtpasswdLogin
from homeport.server.requests import ASGIApp
from homeport.server.run import Listen, RegistryServer
from homeport.server.tls import Certificate
from homeport.store.filesystem import FileSystemStore
from homeport.store.memory import MemoryStore
from homeport.store.protocol import Store

HOMEPORT = (sys.executable, "-c", "from homeport.cli import main; main()")


class RunningRegistry(msgspec.Struct, frozen=True):
    """A registry that answers: `host` is 127.0.0.1:PORT; `store` can be looked into from the test."""

    host: str
    url: str
    store: Store
    ca_file: Path | None = None


@contextmanager
def running_registry(
    data: Path | None = None,
    *,
    users: Mapping[str, str] | None = None,
    tls: bool = False,
    app_wrapper: Callable[[ASGIApp], ASGIApp] | None = None,
    store: Store | None = None,
    limits: Limits | None = None,
) -> Iterator[RunningRegistry]:
    """Serve a store (the one given, `data` on the file system, else one in memory) from a thread, on a free port.

    `app_wrapper` gets the ASGI application and returns the one to serve: to count, delay, corrupt or refuse.
    """
    store = store or (FileSystemStore(data) if data else MemoryStore())
    with ExitStack() as stack:
        files = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        login = HtpasswdLogin(write_htpasswd(files / "htpasswd", users)) if users else None
        registry = Registry(store, gate=Gate(login))
        app: ASGIApp = app_wrapper(registry) if app_wrapper else registry
        ca_file, certificate, key = write_certificate(files) if tls else (None, None, None)
        context = Certificate(certificate, key) if certificate and key else None
        ready = threading.Event()
        server = RegistryServer(
            app, Listen("127.0.0.1", 0), tls=context, on_ready=lambda _url: ready.set(), limits=limits
        )
        thread = threading.Thread(target=server.run, name="test-registry")
        thread.start()
        try:
            assert ready.wait(10), "the registry did not start"
            yield RunningRegistry(server.url.partition("://")[2], server.url, store, ca_file)
        finally:
            server.should_exit = server.force_exit = True
            thread.join()


class ServeProcess:
    """`homeport serve` as a process of its own."""

    def __init__(
        self, data: Path, *options: str, prefix: tuple[str, ...], listen: str, program: tuple[str, ...] = HOMEPORT
    ) -> None:
        """Start it and wait until it answers."""
        self._command = (*prefix, *program, "serve", "--data", str(data), *options, "--listen")
        self.lines: list[str] = []
        self.host = listen
        self.start()

    def start(self) -> None:
        """Start it, again at the same address if it was stopped, and wait until it answers."""
        self.process = subprocess.Popen(
            (*self._command, self.host), stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self.process.stderr
        self.url = self._wait_for_url(self.process.stderr)
        self.host = self.url.partition("://")[2]
        self._drain = threading.Thread(target=self.lines.extend, args=(self.process.stderr,))
        self._drain.start()

    def _wait_for_url(self, stderr: IO[str]) -> str:
        for line in stderr:
            self.lines.append(line)
            if match := re.fullmatch(r"listening on (https?://\S+)\n", line):
                return match[1]
        raise AssertionError(f"homeport serve did not start: {''.join(self.lines)}")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal to the process, wait, and return the exit code."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)
        code = self.process.wait(60)
        self._drain.join()
        assert self.process.stderr
        self.process.stderr.close()
        return code


@contextmanager
def serve_process(
    data: Path,
    *options: str,
    prefix: tuple[str, ...] = (),
    listen: str = "127.0.0.1:0",
    program: tuple[str, ...] = HOMEPORT,
) -> Iterator[ServeProcess]:
    """Run the real `homeport serve` on a free port; the test may stop or kill it at any time.

    `prefix` goes before the command, for example strace; `program` stands in for it.
    """
    server = ServeProcess(data, *options, prefix=prefix, listen=listen, program=program)
    try:
        yield server
    finally:
        server.stop()


def write_htpasswd(path: Path, users: Mapping[str, str]) -> Path:
    """Write an htpasswd file with bcrypt hashes of the lowest cost."""
    lines = [f"{user}:{bcrypt.hashpw(word.encode(), bcrypt.gensalt(4)).decode()}\n" for user, word in users.items()]
    path.write_text("".join(lines))
    return path


def write_certificate(directory: Path) -> tuple[Path, Path, Path]:
    """Write a CA, a certificate for 127.0.0.1 and localhost, and its key; returned in this order."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    paths = directory / "ca.pem", directory / "cert.pem", directory / "key.pem"
    authority.cert_pem.write_to_path(str(paths[0]))
    issued.cert_chain_pems[0].write_to_path(str(paths[1]))
    issued.private_key_pem.write_to_path(str(paths[2]))
    return paths


def docker_config(directory: Path, host: str, user: str, password: str) -> Path:
    """Write a config.json with one login into a directory, and return its path."""
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    path = directory / "config.json"
    path.write_text(json.dumps({"auths": {host: {"auth": token}}}))
    return path
