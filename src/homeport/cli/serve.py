"""`homeport serve`: a private registry."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from homeport.server.config import ServerConfig

from homeport.cli.app import DONE, WRONG
from homeport.errors import UsageError

Flag = Annotated[bool, Parameter(negative="")]


def serve(
    *,
    data: Path | None = None,
    listen: str | None = None,
    config: Path | None = None,
    htpasswd: Path | None = None,
    tokens: Flag = False,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    tls_client_ca: Path | None = None,
    tls_auto: Flag = False,
    read_only: Flag = False,
    workers: int = 1,
    access_log: Flag = False,
) -> int:
    """Run a private registry that Docker, containerd, skopeo, crane and the others push to and pull from.

    Parameters
    ----------
    data
        The directory of the registry; a new or empty one becomes a registry.
    listen
        HOST:PORT; port 0 picks a free one. 127.0.0.1:5000 if not said.
    config
        A YAML file with all settings: rules of access, immutable tags, collection. Options here win over it.
    htpasswd
        Let in the users of this file only (`homeport registry user add`). It is read again when it changes.
    tokens
        Give a short-lived signed token for a login, as Docker Hub does.
    tls_cert
        Serve https with this certificate and its chain (PEM). It is read again when it changes.
    tls_key
        The key of the certificate (PEM).
    tls_client_ca
        Let in only clients with a certificate of these authorities (PEM).
    tls_auto
        Make an authority and a certificate once, keep them in the data directory, and say how clients come to trust them.
    read_only
        Refuse every push and delete.
    workers
        How many processes serve; one for each core is of use.
    access_log
        Write a line for each request to stderr.
    """
    from homeport.server.config import ServerConfig, TLSFiles, load_server_config
    from homeport.server.log import log_to_stderr
    from homeport.server.service import Service

    settings = load_server_config(config) if config else ServerConfig()

    def chosen(option: Path | None, said: str) -> str:
        path = option or settings.path(said)
        return str(path) if path else ""

    settings = ServerConfig(
        data=chosen(data, settings.data),
        listen=listen or settings.listen or "127.0.0.1:5000",
        htpasswd=chosen(htpasswd, settings.htpasswd),
        tokens=tokens or settings.tokens,
        token_seconds=settings.token_seconds,
        tls=TLSFiles(
            chosen(tls_cert, settings.tls.cert),
            chosen(tls_key, settings.tls.key),
            chosen(tls_client_ca, settings.tls.client_ca),
            tls_auto or settings.tls.auto,
        ),
        groups=settings.groups,
        access=settings.access,
        read_only=read_only or settings.read_only,
        immutable_tags=settings.immutable_tags,
        collection=settings.collection,
        access_log=access_log or settings.access_log,
        trusted_proxies=settings.trusted_proxies,
    )
    _check(settings, workers)
    log_to_stderr()
    service = Service(settings, workers=workers)
    if service.trust:
        print(service.trust, file=sys.stderr)
    if not service.listen.is_loopback:
        _warn(login=bool(settings.htpasswd), tls=service.certificate is not None)
    return DONE if service.run(_announce) else WRONG


def _check(settings: "ServerConfig", workers: int) -> None:
    if not settings.data:
        raise UsageError("--data is missing", hint="Name the directory of the registry: homeport serve --data DIR.")
    if not 1 <= workers <= 64:
        raise UsageError(f"{workers} workers cannot be", hint="Name a number from 1 to 64.")


def _warn(*, login: bool, tls: bool) -> None:
    if not login:
        print("note: without --htpasswd, whoever reaches this address can push and delete", file=sys.stderr)
    elif not tls:
        print("note: without --tls-cert, passwords cross the network readable", file=sys.stderr)


def _announce(url: str) -> None:
    print(f"listening on {url}", file=sys.stderr, flush=True)
