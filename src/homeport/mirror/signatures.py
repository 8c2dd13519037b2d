"""Signatures by cosign that are demanded before an image is copied.

Three forms are read: simple signing under the tag ``sha256-<hex>.sig`` and as a referrer (cosign SIGNATURE_SPEC.md), and the bundle
of Sigstore with a DSSE envelope, which cosign 3 makes (cosign BUNDLE_SPEC.md; DSSE protocol.md). A transparency log is not asked.
"""

import binascii
from base64 import b64decode
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Final, Protocol

import msgspec

from homeport.errors import ContentError
from homeport.mirror.companions import About, Finder
from homeport.mirror.ports import Source
from homeport.oci.manifest import Descriptor, Manifest
from homeport.oci.unreadable import UNREADABLE
from homeport.reference import Reference

SIMPLE_SIGNING: Final = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE_ANNOTATION: Final = "dev.cosignproject.cosign/signature"
BUNDLE: Final = "application/vnd.dev.sigstore.bundle"
IMAGE_SIGNED: Final = "https://sigstore.dev/cosign/sign/v1"
"""The predicate of a statement that signs; any other one says something about an image without vouching for it."""

_IN_TOTO = "application/vnd.in-toto+json"
_COSIGN_ARTIFACT = "application/vnd.dev.cosign."
_MOST_BYTES = 1 << 20
_MOST_SIGNATURES = 100


class Key(Protocol):
    """A public key."""

    @property
    def name(self) -> str:
        """What it is called in messages."""

    def has_signed(self, body: bytes, signature: bytes) -> bool:
        """Tell whether a signature of bytes is this key's."""


class Demand(msgspec.Struct, frozen=True):
    """Images of repositories that match a pattern, as in ``docker.io/redislabs/*``, are to be signed by a key."""

    key: Key
    pattern: str = "*"

    def is_about(self, reference: Reference) -> bool:
        """Tell whether an image is to be signed."""
        return fnmatchcase(reference.name, self.pattern)


class Signed(msgspec.Struct, frozen=True):
    """Bytes, their signature, and the digest of the image that they are about."""

    body: bytes
    signature: bytes
    digest: str


class _Image(msgspec.Struct):
    digest: str = msgspec.field(name="docker-manifest-digest", default="")


class _Critical(msgspec.Struct):
    image: _Image
    type: str = ""


class _Payload(msgspec.Struct):
    critical: _Critical


class _Signature(msgspec.Struct):
    sig: str = ""


class _Envelope(msgspec.Struct, rename="camel"):
    payload: str
    payload_type: str
    signatures: list[_Signature]


class _Bundle(msgspec.Struct, rename="camel"):
    dsse_envelope: _Envelope | None = None


class _Subject(msgspec.Struct):
    digest: dict[str, str] = {}


class _Statement(msgspec.Struct, rename="camel"):
    subject: list[_Subject] = []
    predicate_type: str = ""


def check_signed(
    reference: Reference, digest: str, demands: Sequence[Demand], source: Source, finder: Finder
) -> tuple[str, ...]:
    """Raise ContentError unless an image is signed by one of the keys that are demanded for it, if any is; return what was read."""
    keys = keys_for(reference, demands)
    if not keys:
        return ()
    others, found, read = "", 0, list[str]()
    for name in candidates(finder.about(source, reference.registry, reference.repository, digest)):
        read.append(name)
        manifest = finder.manifest(source, reference.registry, reference.repository, name)
        for signed in _signatures(source, reference.repository, manifest):
            found += 1
            if any(key.has_signed(signed.body, signed.signature) for key in keys):
                if signed.digest == digest:
                    return tuple(read)
                others = f"what the key signed is about {signed.digest or 'no image'}"
    reason = others or (f"none of its {found} signatures is by that key" if found else "no signature was found")
    raise unsigned(reference, digest, keys, reason)


def keys_for(reference: Reference, demands: Sequence[Demand]) -> list[Key]:
    """Return the keys one of which must have signed an image; none where it need not be signed."""
    return [demand.key for demand in demands if demand.is_about(reference)]


def shown(keys: Iterable[Key]) -> str:
    """Name keys for a message."""
    return " or ".join(key.name for key in keys)


def unsigned(reference: Reference, digest: str, keys: Iterable[Key], reason: str) -> ContentError:
    """Return the error for an image without the signature that is demanded."""
    return ContentError(
        f"{reference} ({digest}) is not signed by {shown(keys)}: {reason}",
        hint="It was not copied. Ask its publisher for the right public key, or whether the image is the right one.",
    )


def candidates(about: About) -> tuple[str, ...]:
    """Return the manifests that may hold signatures, in the order in which they are read."""
    digests = [name for tag, name in about.tags.items() if tag.endswith(".sig")]
    digests += [referrer.digest for referrer in about.referrers if _may_sign(referrer)]
    return tuple(dict.fromkeys(digests))[:_MOST_SIGNATURES]


def _signatures(source: Source, repository: str, manifest: Manifest) -> Iterator[Signed]:
    """Read all signatures of a manifest that have a form which is known here; what cannot be read is none."""
    for layer in manifest.layers[:_MOST_SIGNATURES]:
        if layer.size <= _MOST_BYTES and (layer.media_type == SIMPLE_SIGNING or layer.media_type.startswith(BUNDLE)):
            yield from read_signatures(layer, _read(source, repository, layer))


def read_signatures(layer: Descriptor, body: bytes) -> Iterable[Signed]:
    """Read the signatures that a layer holds: one of simple signing, or those of a bundle."""
    try:
        return _simple(layer, body) if layer.media_type == SIMPLE_SIGNING else _bundled(body)
    except (*UNREADABLE, binascii.Error, ValueError):
        return []


def _simple(layer: Descriptor, body: bytes) -> list[Signed]:
    critical = msgspec.json.decode(body, type=_Payload).critical
    signature = b64decode(layer.annotations.get(SIGNATURE_ANNOTATION, ""), validate=True)
    return [Signed(body, signature, critical.image.digest)]


def _bundled(body: bytes) -> list[Signed]:
    envelope = msgspec.json.decode(body, type=_Bundle).dsse_envelope
    if envelope is None or envelope.payload_type != _IN_TOTO:
        return []
    payload = b64decode(envelope.payload, validate=True)
    statement = msgspec.json.decode(payload, type=_Statement)
    if statement.predicate_type != IMAGE_SIGNED or len(statement.subject) != 1:
        return []
    digest = ":".join(next(iter(statement.subject[0].digest.items()), ("", "")))
    kind = envelope.payload_type
    signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
    return [Signed(signed, b64decode(each.sig, validate=True), digest) for each in envelope.signatures]


def _may_sign(referrer: Descriptor) -> bool:
    """Tell whether a referrer is worth the pull that it costs; some registries do not say of what kind it is."""
    return not referrer.artifact_type or referrer.artifact_type.startswith((BUNDLE, _COSIGN_ARTIFACT))


def _read(source: Source, repository: str, blob: Descriptor) -> bytes:
    held, buffer = bytearray(), memoryview(bytearray(1 << 16))
    with source.open_blob(repository, blob) as content:
        while count := content.readinto(buffer):
            held += buffer[:count]
    return bytes(held)
