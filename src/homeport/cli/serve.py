"""`homeport serve`: a private registry."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from homeport.store.filesystem import FileSystemStore

from homeport.cli.app import DONE
from homeport.errors import StoreError, UsageError


def serve(
    *,
    data: Path,
    listen: str = "127.0.0.1:5000",
    htpasswd: Path | None = None,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    access_log: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Run a private registry that Docker, containerd, skopeo, crane and the others push to and pull from.

    Parameters
    ----------
    data
        The directory of the registry; a new or empty one becomes a registry.
    listen
        HOST:PORT; port 0 picks a free one.
    htpasswd
        Let in the users of this file only (bcrypt: `htpasswd -B`). It is read again when it changes.
    tls_cert
        Serve https with this certificate and its chain (PEM).
    tls_key
        The key of the certificate (PEM).
    access_log
        Write a line for each request to stderr.
    """
    from homeport.server.app import Registry
    from homeport.server.gate import Gate
    from homeport.server.log import log_to_stderr
    from homeport.server.login import HtpasswdLogin
    from homeport.server.run import Listen, RegistryServer, tls_context

    if (tls_cert is None) != (tls_key is None):
        raise UsageError("--tls-cert and --tls-key go together", hint="Name both files, or neither for plain HTTP.")
    log_to_stderr()
    tls = tls_context(tls_cert, tls_key) if tls_cert and tls_key else None
    login = HtpasswdLogin(htpasswd) if htpasswd else None
    store = _open(data)
    app = Registry(store, gate=Gate(login), access_log=access_log)
    address = Listen.parse(listen)
    if not address.is_loopback:
        _warn(login=login is not None, tls=tls is not None)
    RegistryServer(app, address, tls=tls, on_ready=_announce).run()
    return DONE


def _open(data: Path) -> "FileSystemStore":
    from homeport.store.filesystem import FileSystemStore

    try:
        return FileSystemStore(data)
    except StoreError as error:
        raise UsageError(error.message, hint=error.hint) from None


def _warn(*, login: bool, tls: bool) -> None:
    if not login:
        print("note: without --htpasswd, whoever reaches this address can push and delete", file=sys.stderr)
    elif not tls:
        print("note: without --tls-cert, passwords cross the network readable", file=sys.stderr)


def _announce(url: str) -> None:
    print(f"listening on {url}", file=sys.stderr, flush=True)
