"""TLS: whom we believe, and what we show."""

import ssl
import sys
import threading
from pathlib import Path

from homeport.errors import UsageError
from homeport.registry.settings import Settings

_STORES = (
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
)
"""Where systems keep the authorities that they trust, for an OpenSSL that was built for another one (Go's crypto/x509 looks there too)."""


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

    def is_verified(self, host: str) -> bool:
        """Tell whether the host's certificate is checked."""
        return not self._settings.is_insecure(host)

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
