"""The ways into a registry that every client has to find: plain on loopback, over TLS with a login, and with tokens."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tests.kit.servers import ServeProcess, docker_config, serve_process, write_certificate, write_htpasswd

REPOSITORY, TAG = "redislabs/redis", "7.2.4-64"
USER, PASSWORD = "me", "a: secret"
KINDS = ("plain", "tls and login", "tls and tokens")


class Door(msgspec.Struct, frozen=True):
    """A registry and what is needed to get in."""

    server: ServeProcess
    ca_file: Path | None
    config: Path

    @property
    def host(self) -> str:
        return self.server.host

    @property
    def name(self) -> str:
        return f"{self.host}/{REPOSITORY}:{TAG}"

    @property
    def environment(self) -> dict[str, str]:
        """What the Go clients read: logins, and the authorities to trust."""
        trust = {"SSL_CERT_FILE": str(self.ca_file)} if self.ca_file else {}
        return {"DOCKER_CONFIG": str(self.config), **trust}


@contextmanager
def opened(kind: str, folder: Path) -> Iterator[Door]:
    """Run a registry behind a door of this kind; whoever is to get in has a login in `config`/config.json."""
    config = folder / "config"
    config.mkdir()
    if kind == "plain":
        (config / "config.json").write_text("{}")
        with serve_process(folder / "data") as server:
            yield Door(server, None, config)
        return
    ca_file, certificate, key = write_certificate(folder)
    ca_file = ca_file.rename(config / "ca.crt")
    users = write_htpasswd(folder / "htpasswd", {USER: PASSWORD})
    options = ["--tls-cert", str(certificate), "--tls-key", str(key), "--htpasswd", str(users)]
    options += ["--tokens"] if kind == "tls and tokens" else []
    with serve_process(folder / "data", *options) as server:
        docker_config(config, server.host, USER, PASSWORD)
        yield Door(server, ca_file, config)
