"""The table of contents of a bundle, and its index. Pure."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from homeport.errors import ContentError, HomeportError
from homeport.oci.digest import digest_of
from homeport.oci.manifest import Descriptor, RawManifest
from homeport.oci.media_types import OCI_INDEX
from homeport.reference import Reference
from homeport.store.files import Files, read_whole
from homeport.store.oci_layout import (
    IMAGE_NAME,
    INDEX,
    LAYOUT,
    MOST_INDEX_BYTES,
    REF_NAME,
    blob_path,
    digest_in,
    read_json,
)

CONTENTS: Final = "homeport-bundle.json"
SUMS: Final = "homeport-bundle.sha256"
SIGNATURE: Final = SUMS + ".sig"
OWN: Final = frozenset({CONTENTS, SUMS, SIGNATURE})
"""What a bundle has beside the files of its table of contents."""
RIDERS: Final = "riders/"
LAYOUT_BODY: Final = b'{"imageLayoutVersion":"1.0.0"}'
_VERSION = 1


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file of a bundle: size in bytes, and its digest unless its path is that."""

    size: int
    digest: str = ""


class Contents(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a bundle holds. `lacks` names content that is left to an earlier bundle, and the images that have it there."""

    version: int
    images: dict[str, str]
    files: dict[str, Part]
    platforms: tuple[str, ...] = ()
    lacks: dict[str, list[str]] = {}

    def encode(self) -> bytes:
        """Return the bytes of its file, always the same for the same contents."""
        return msgspec.json.format(msgspec.json.encode(self, order="sorted"), indent=1) + b"\n"

    def check(self, files: Files) -> None:
        """Raise ContentError unless all files are there, with the sizes and, but for blobs, the content that they had."""
        for path, part in self.files.items():
            size = files.size(path)
            if size != part.size:
                state = "missing" if size is None else f"of {size} bytes, not {part.size},"
                raise ContentError(f"{files.name(path)}: {path} is {state} in it", hint="Copy the bundle here again.")
            if part.digest and digest_of(read_whole(files, path, MOST_INDEX_BYTES)) != part.digest:
                raise ContentError(f"{files.name(path)}: {path} is damaged in it", hint="Copy the bundle here again.")

    def sums(self) -> bytes:
        """Return the checksums of the table and of all that is in it, as sha256sum writes and checks them.

        Only content that is named by another hash has no line of its own: the table and manifests name it.
        """
        paths = {CONTENTS: digest_of(self.encode())}
        paths |= {path: self.files[path].digest or digest_in(path) for path in sorted(self.files)}
        return "".join(
            f"{digest.removeprefix('sha256:')}  {path}\n"
            for path, digest in paths.items()
            if digest.startswith("sha256:")
        ).encode()

    @property
    def riders(self) -> tuple[str, ...]:
        """Files that came along, by their names."""
        return tuple(path.removeprefix(RIDERS) for path in self.files if path.startswith(RIDERS))


def read_contents(files: Files) -> Contents | None:
    """Read the table of contents; None where there is none. Raises ContentError."""
    if files.size(CONTENTS) is None:
        return None
    contents = read_json(files, CONTENTS, Contents)
    if contents.version != _VERSION:
        raise ContentError(
            f"{files.name(CONTENTS)}: it is a bundle of version {contents.version}", hint="Install a newer Homeport."
        )
    if read_whole(files, CONTENTS, MOST_INDEX_BYTES) != contents.encode():
        raise ContentError(f"{files.name(CONTENTS)}: {CONTENTS} is damaged in it", hint="Copy the bundle here again.")
    if read_whole(files, SUMS, MOST_INDEX_BYTES) != contents.sums():
        raise ContentError(f"{files.name(SUMS)}: {SUMS} is damaged in it", hint="Copy the bundle here again.")
    for path in contents.files:
        if not path.isprintable() or not {"", ".", ".."}.isdisjoint(path.split("/")):
            raise ContentError(f"{files.name(CONTENTS)}: it names {path[:200]!r}, which is outside of it")
    try:
        for name in (*contents.images, *(name for names in contents.lacks.values() for name in names)):
            Reference.parse(name)
    except HomeportError as error:
        raise ContentError(f"{files.name(CONTENTS)}: {error}") from None
    return contents


def index_of(images: Mapping[Reference, RawManifest], referrers: Mapping[str, RawManifest]) -> bytes:
    """Return index.json, with each image under its full name: skopeo looks for the one annotation, containerd for the other.

    Manifests that are about an image are there without a name (image-spec image-layout.md).
    """
    manifests = [
        Descriptor(
            raw.media_type, raw.digest, len(raw.body), annotations={REF_NAME: str(image), IMAGE_NAME: str(image)}
        )
        for image, raw in sorted(images.items(), key=lambda item: str(item[0]))
    ]
    manifests += [Descriptor(raw.media_type, raw.digest, len(raw.body)) for _, raw in sorted(referrers.items())]
    return msgspec.json.encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests})


def small_files(
    images: Mapping[Reference, RawManifest],
    referrers: Mapping[str, RawManifest],
    manifests: Iterable[RawManifest],
    blobs: Iterable[Descriptor],
    riders: Mapping[str, bytes],
    *,
    platforms: tuple[str, ...] = (),
    lacks: Mapping[str, list[str]],
    sign: Callable[[bytes], bytes] | None = None,
) -> dict[str, bytes]:
    """Return everything of a bundle that is no blob, by path, in the order of the archive: the table of contents first.

    `sign` returns the signature of the checksums, which have those of all else.
    """
    named = {LAYOUT: LAYOUT_BODY, INDEX: index_of(images, referrers)}
    named |= {RIDERS + name: riders[name] for name in sorted(riders)}
    bodies = dict(sorted((blob_path(raw.digest), raw.body) for raw in manifests))
    files = {path: Part(len(body), digest_of(body)) for path, body in named.items()}
    files |= {path: Part(len(body)) for path, body in bodies.items()}
    files |= {blob_path(blob.digest): Part(blob.size) for blob in blobs}
    contents = Contents(
        version=_VERSION,
        images={str(image): raw.digest for image, raw in images.items()},
        files=files,
        platforms=platforms,
        lacks=dict(lacks),
    )
    sums = contents.sums()
    signature = {SIGNATURE: sign(sums)} if sign else {}
    return {CONTENTS: contents.encode(), SUMS: sums, **signature, **named, **bodies}
