"""What a registry can do, found by doing it with a few bytes: before a mirror of many gigabytes finds it out."""

from collections.abc import Callable, Iterator
from typing import Final, Literal

import msgspec

from homeport.errors import HomeportError, RegistryError
from homeport.oci.digest import digest_of
from homeport.oci.manifest import Descriptor, RawManifest
from homeport.oci.media_types import DOCKER_CONFIG, DOCKER_MANIFEST, OCI_EMPTY, OCI_INDEX, OCI_MANIFEST
from homeport.registry.body_limit import MOST, body_limit
from homeport.registry.client import RegistryClient
from homeport.registry.transport import BLOCK

REPOSITORY: Final = "homeport-check"
TAG: Final = "check"
_DEEP: Final = "a/b/c/d"
_EMPTY: Final = b"{}"
_PLAIN: Final = "Passwords and images go unprotected, and every node must be told to pull by plain HTTP (containerd: hosts.toml; Docker: insecure-registries)."
_PIECES: Final = b"one half and the other one"
_LARGE: Final = 3_999_000
"""With the rest of a manifest just below 4 megabytes, which registries should take (distribution-spec, Pushing Manifests)."""

State = Literal["yes", "no", "unknown"]


class Finding(msgspec.Struct, frozen=True):
    """One thing that a registry does or does not; `means` says what follows from it."""

    what: str
    state: State
    means: str = ""
    needed: bool = False

    @property
    def is_bad(self) -> bool:
        """Whether images cannot be brought because of it."""
        return self.needed and self.state != "yes"


def check_up(client: RegistryClient, path: str = "") -> Iterator[Finding]:
    """Try one thing after the other, below a path; what was pushed is deleted again where the registry allows it.

    Ends where nothing further can be tried.
    """
    repository = f"{path}/{REPOSITORY}" if path else REPOSITORY
    yield (reached := _tried("answers, and takes the credentials", client.ping, needed=True))
    if reached.is_bad:
        return
    yield Finding("speaks TLS", "yes") if client.speaks_tls else Finding("speaks TLS", "no", _PLAIN)
    blob = Descriptor(OCI_EMPTY, digest_of(_EMPTY), len(_EMPTY))
    yield (stored := _tried("takes blobs", lambda: _put_blob(client, repository, blob), needed=True))
    if stored.is_bad:
        return
    image = _image(blob)
    pushed = _tried("takes images, and keeps their bytes", lambda: _put(client, repository, TAG, image), needed=True)
    yield pushed
    if pushed.is_bad:
        return
    yield from _sizes(client, repository)
    yield from _rest(client, repository, blob, image)


def _sizes(client: RegistryClient, repository: str) -> Iterator[Finding]:
    """Find out whether large layers pass, in one request or in pieces."""
    try:
        most, said = body_limit(client, repository), "Nothing tells how large a layer may be until one is sent."
    except HomeportError as error:
        most, said = None, error.message
    what = f"takes layers of {MOST >> 30} GiB in one request"
    if most is None:
        yield Finding(what, "unknown", said)
    elif most >= MOST:
        yield Finding(what, "yes")
    else:
        yield Finding(what, "no", _limited(most), needed=most < BLOCK)
    yield _tried(
        "takes layers in pieces",
        lambda: _put_pieces(client, repository),
        "An upload that is cut begins anew.",
        needed=most is not None and BLOCK <= most < MOST,
    )


def _limited(most: int) -> str:
    """Say what a limit of bodies means, in bytes rounded down to a power of two."""
    cure = 'Lift that limit (nginx: client_max_body_size 0; ingress-nginx: the annotation proxy-body-size: "0").'
    takes = f"takes {_binary(most)} in one request, and not {_binary(2 * most)}" if most else "takes not even 64 KiB"
    then = "which is less than a piece of a layer" if most < BLOCK else "so larger layers go in pieces of 1 MiB, slowly"
    return f"A proxy before the registry {takes}, {then}. {cure}"


def _binary(size: int) -> str:
    units = ((30, "GiB"), (20, "MiB"), (10, "KiB"))
    return next(f"{size >> shift} {unit}" for shift, unit in units if size >> shift)


def _rest(client: RegistryClient, repository: str, blob: Descriptor, image: RawManifest) -> Iterator[Finding]:
    docker = _docker_image(blob)
    yield _tried(
        "takes images of Docker's form (schema 2)",
        lambda: _put(client, repository, docker.digest, docker),
        "Images in that form, as many still are, cannot be brought.",
    )
    sparse, artifact = _sparse_index(), _artifact(blob, image)
    yield _tried(
        "takes an index that lacks platforms",
        lambda: _put(client, repository, sparse.digest, sparse),
        "--platform needs --rebuild-index: bring all platforms, or change their digests.",
    )
    yield _tried(
        "takes what is no image (signatures, charts)",
        lambda: _put(client, repository, artifact.digest, artifact),
        "Signatures and SBOMs stay behind: --no-referrers.",
    )
    large = _large(blob)
    yield _tried(
        "takes manifests of 4 MB",
        lambda: _put(client, repository, large.digest, large),
        "Indexes and artifacts with very much in them may not fit.",
    )
    deep = f"{repository}/{_DEEP}"
    yield _tried(
        "takes repositories several folders deep",
        lambda: _put_blob(client, deep, blob),
        "Names of images that have more parts cannot be kept.",
    )
    yield _asked(
        "mounts blobs from one repository to another",
        lambda: client.start_blob(f"{repository}/mounted", blob.digest, mount_from=repository) is None,
        "Layers that images share are sent once for each repository.",
    )
    yield _asked(
        "lists referrers",
        lambda: client.referrers(repository, image.digest) is not None,
        "Referrers are listed under a tag instead, which is written.",
    )
    yield _asked(
        "deletes images",
        lambda: (
            False
            not in [client.delete_manifest(repository, raw.digest) for raw in (sparse, docker, artifact, large, image)]
        ),
        f"What this check pushed is still there, in {repository}: remove it by the registry's own means.",
    )


def _tried(what: str, work: Callable[[], None], means: str = "", *, needed: bool = False) -> Finding:
    try:
        work()
    except HomeportError as error:
        said = f"{error.message}. {error.hint}".strip() if needed else f"{means} ({error.message})"
        return Finding(what, "no", said, needed)
    return Finding(what, "yes", needed=needed)


def _asked(what: str, work: Callable[[], bool], means: str) -> Finding:
    try:
        return Finding(what, "yes") if work() else Finding(what, "no", means)
    except HomeportError as error:
        return Finding(what, "unknown", error.message)


def _put_blob(client: RegistryClient, repository: str, blob: Descriptor) -> None:
    upload = client.start_blob(repository, blob.digest)
    if upload:
        client.put_blob(repository, blob, _Bytes(_EMPTY), upload)
    if not client.has_blob(repository, blob.digest):
        raise RegistryError(f"{client.registry}: {repository}: what was pushed is not there", host=client.registry)


def _put_pieces(client: RegistryClient, repository: str) -> None:
    blob = Descriptor("", digest_of(_PIECES), len(_PIECES))
    client.put_blob_in_pieces(repository, blob, _Bytes(_PIECES), len(_PIECES) // 2)
    if not client.has_blob(repository, blob.digest):
        raise RegistryError(f"{client.registry}: {repository}: what was pushed is not there", host=client.registry)


def _put(client: RegistryClient, repository: str, identifier: str, manifest: RawManifest) -> None:
    client.put_manifest(repository, identifier, manifest)
    head = client.head_manifest(repository, identifier)
    if head is None or head.digest != manifest.digest:
        came = head.digest if head else "nothing"
        raise RegistryError(f"{client.registry}: {manifest.digest} was pushed, {came} is there", host=client.registry)


class _Bytes:
    """A few bytes as content."""

    def __init__(self, data: bytes) -> None:
        self._data = self._rest = data

    def readinto(self, buffer: memoryview, /) -> int:
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count

    def seek(self, offset: int, /) -> None:
        self._rest = self._data[offset:]


def _image(blob: Descriptor) -> RawManifest:
    return _manifest(OCI_MANIFEST, config=blob, layers=[blob])


def _artifact(blob: Descriptor, about: RawManifest) -> RawManifest:
    subject = Descriptor(about.media_type, about.digest, len(about.body))
    kind = "application/vnd.homeport.check"
    return _manifest(OCI_MANIFEST, artifactType=kind, config=blob, layers=[blob], subject=subject)


def _docker_image(blob: Descriptor) -> RawManifest:
    config = Descriptor(DOCKER_CONFIG, blob.digest, blob.size)
    return _manifest(DOCKER_MANIFEST, config=config, layers=[])


def _large(blob: Descriptor) -> RawManifest:
    return _manifest(OCI_MANIFEST, config=blob, layers=[], annotations={"homeport.check": _LARGE * "x"})


def _sparse_index() -> RawManifest:
    return _manifest(OCI_INDEX, manifests=[Descriptor(OCI_MANIFEST, digest_of(b"not there"), 9)])


def _manifest(media_type: str, **fields: object) -> RawManifest:
    return RawManifest.of(msgspec.json.encode({"schemaVersion": 2, "mediaType": media_type, **fields}), media_type)
