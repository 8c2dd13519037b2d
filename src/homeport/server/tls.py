"""The server's side of TLS: certificates that are read again when their files change, and an authority of one's own."""

import datetime as dt
import ipaddress
import os
import socket
import ssl
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from homeport.errors import UsageError

_DAY = dt.timedelta(days=1)


class Certificate:
    """A server's certificate and key in files, and the authorities of clients, if only those are let in.

    `context` is for the server to keep. Each connection is handed over to what was loaded last: a context that was used
    cannot forget an authority.
    """

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None = None) -> None:
        """Load the files; raises UsageError."""
        self._certificate, self._key, self._client_ca = certificate, key, client_ca
        self._state = self._stat()
        self.context = self._latest = self._load()
        self.context.sni_callback = self._hand_over

    def refresh(self) -> bool:
        """Use the files for connections to come if they changed; while they do not fit together, the old ones stay."""
        state = self._stat()
        if state == self._state:
            return False
        try:
            self._latest = self._load()
        except UsageError:
            return False
        self._state = state
        return True

    def _hand_over(self, connection: ssl.SSLObject, _name: str, _context: ssl.SSLContext) -> None:
        """OpenSSL calls this for each client, also for one that names no host."""
        connection.context = self._latest

    def _stat(self) -> list[tuple[int, int] | None]:
        paths = [path for path in (self._certificate, self._key, self._client_ca) if path]
        return [(status.st_mtime_ns, status.st_ino) if (status := _stat(path)) else None for path in paths]

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self._certificate, self._key)
            if self._client_ca:
                context.load_verify_locations(self._client_ca)
                context.verify_mode = ssl.CERT_REQUIRED
                context.num_tickets = 0  # a session that goes on would not ask for the certificate again
        except (OSError, ssl.SSLError) as error:
            reason = getattr(error, "reason", None) or error.strerror
            raise UsageError(
                f"cannot use the certificate {self._certificate} with the key {self._key}: {reason}",
                hint="Both are PEM files; the key is not encrypted and belongs to the first certificate.",
            ) from None
        return context


def own_certificate(directory: Path, names: Iterable[str]) -> tuple[Path, Path, Path]:
    """Return authority, certificate and key for some names; the authority is made once and kept in the directory."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    ca_file, ca_key_file = directory / "ca.crt", directory / "ca.key"
    if ca_file.exists() and ca_key_file.exists():
        authority = x509.load_pem_x509_certificate(ca_file.read_bytes())
        ca_key = serialization.load_pem_private_key(ca_key_file.read_bytes(), None)
        if not isinstance(ca_key, ec.EllipticCurvePrivateKey):
            raise UsageError(f"{ca_key_file} is not a key that homeport made", hint="Move the directory away.")
    else:
        ca_key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"homeport {socket.gethostname()}"[:64])])
        builder = _builder(name, name, ca_key.public_key(), 3650 * _DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
        authority = builder.sign(ca_key, hashes.SHA256())
        _write_key(ca_key_file, ca_key)
        ca_file.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "homeport registry")])
    builder = _builder(subject, authority.subject, key.public_key(), 397 * _DAY)
    builder = builder.add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    builder = builder.add_extension(identifier, critical=False)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    issued = builder.sign(ca_key, hashes.SHA256())
    cert_file, key_file = directory / "server.crt", directory / "server.key"
    _write_key(key_file, key)
    cert_file.write_bytes(issued.public_bytes(serialization.Encoding.PEM))
    return ca_file, cert_file, key_file


def trust_help(ca_file: Path, host: str) -> str:
    """Say how each kind of client comes to trust the authority; `host` is HOST or HOST:PORT as clients write it."""
    return "\n".join(
        [
            f"the certificate is signed by {ca_file}; to trust it, copy that file to",
            f"  Docker       /etc/docker/certs.d/{host}/ca.crt",
            f"  containerd   /etc/containerd/certs.d/{host}/ca.crt, and beside it in hosts.toml:",
            f'               [host."https://{host}"]',
            f'               ca = "/etc/containerd/certs.d/{host}/ca.crt"',
            f"  skopeo, podman, buildah, CRI-O   /etc/containers/certs.d/{host}/ca.crt",
            "  everything else on a machine     /usr/local/share/ca-certificates/homeport.crt, then update-ca-certificates",
        ]
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, life: dt.timedelta
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    return builder.not_valid_before(now - _DAY).not_valid_after(now + life)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(text)


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None
