"""TLS: whom we believe, and what we show."""

import socket
import ssl
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

from homeport.errors import UsageError
from homeport.registry.settings import Settings
from homeport.registry.wire import Stream

T = TypeVar("T")

_STORES = (
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
)
"""Where systems keep the authorities that they trust, for an OpenSSL that was built for another one (Go's crypto/x509 looks there too)."""
_PIECE = 1 << 16


class Trust:
    """TLS contexts by host: the operating system's store, the files that were named, and the host's own in certs.d."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._lock = threading.Lock()

    def context(self, host: str) -> ssl.SSLContext:
        """Return the context for ``host[:port]``; raises UsageError for a file that holds no certificates."""
        own = self._settings.certificates(host)
        insecure = self._settings.is_insecure(host)
        key = host if insecure or own.authorities or own.clients else ""
        with self._lock:
            if key not in self._contexts:
                self._contexts[key] = self._make(host, insecure=insecure)
            return self._contexts[key]

    def _make(self, host: str, *, insecure: bool) -> ssl.SSLContext:
        context: ssl.SSLContext
        if insecure:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        else:
            context = _verifying()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        own = self._settings.certificates(host)
        for file in (*self._settings.ca_files, *map(str, own.authorities)):
            try:
                context.load_verify_locations(cafile=file)
            except (OSError, ssl.SSLError) as error:
                raise UsageError(f"{file}: holds no certificates that can be read: {error}") from None
        for certificate, private in own.clients:
            try:
                context.load_cert_chain(certificate, private)
            except (OSError, ssl.SSLError) as error:
                raise UsageError(f"{certificate}, {private}: no certificate with its key: {error}") from None
        return context


def encrypted(stream: socket.socket, context: ssl.SSLContext, name: str) -> Stream:
    """Shake hands over a connected socket, which may have TLS itself: then this is TLS within TLS. Raises OSError."""
    if isinstance(stream, ssl.SSLSocket):
        return _Within(stream, context, name)
    return context.wrap_socket(stream, server_hostname=name)


def _verifying() -> ssl.SSLContext:
    """Trust what the operating system trusts."""
    if sys.platform in ("darwin", "win32"):
        import truststore

        return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # truststore reads the whole store again for each connection: where it is a file, that costs more than the handshake.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_default_verify_paths()
    paths = ssl.get_default_verify_paths()
    if not paths.cafile and not (paths.capath and any(Path(paths.capath).glob("*.0"))):
        for file in filter(Path.exists, map(Path, _STORES)):
            context.load_verify_locations(cafile=file)
            break
    return context


class _Within:
    """TLS within the TLS of a proxy; Python's sockets have one layer only."""

    def __init__(self, outer: ssl.SSLSocket, context: ssl.SSLContext, name: str) -> None:
        self._outer = outer
        self._coming, self._going = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._inner = context.wrap_bio(self._coming, self._going, server_hostname=name)
        self._until_done(self._inner.do_handshake)
        self.settimeout, self.fileno, self.close = outer.settimeout, outer.fileno, outer.close

    def recv_into(self, buffer: memoryview, /) -> int:
        try:
            return self._until_done(lambda: cast(int, self._inner.read(len(buffer), cast(bytearray, buffer))))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return 0

    def send(self, data: memoryview, /) -> int:
        return self._until_done(lambda: self._inner.write(data[:_PIECE]))

    def _until_done(self, act: Callable[[], T]) -> T:
        while True:
            try:
                done = act()
            except ssl.SSLWantReadError:
                self._flush()
                if data := self._outer.recv(_PIECE):
                    self._coming.write(data)
                else:
                    self._coming.write_eof()
                continue
            self._flush()
            return done

    def _flush(self) -> None:
        if pending := self._going.read():
            self._outer.sendall(pending)
