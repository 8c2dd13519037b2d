"""The table of contents of a bundle, and its index. Pure."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from homeport.errors import ContentError, HomeportError
from homeport.oci.digest import digest_of
from homeport.oci.manifest import Descriptor, RawManifest
from homeport.oci.media_types import OCI_INDEX
from homeport.reference import Reference
from homeport.store.files import Files, read_whole
from homeport.store.oci_layout import IMAGE_NAME, INDEX, LAYOUT, MOST_INDEX_BYTES, REF_NAME, blob_path, read_json

CONTENTS: Final = "homeport-bundle.json"
CONTENTS_SUM: Final = CONTENTS + ".sha256"
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

    @property
    def riders(self) -> tuple[str, ...]:
        """Files that came along, by their names."""
        return tuple(path.removeprefix(RIDERS) for path in self.files if path.startswith(RIDERS))


def read_contents(files: Files) -> Contents | None:
    """Read the table of contents; None where there is none. Raises ContentError."""
    if files.size(CONTENTS) is None:
        return None
    body = read_whole(files, CONTENTS, MOST_INDEX_BYTES)
    if read_whole(files, CONTENTS_SUM, 1 << 10) != _sum_of(body):
        raise ContentError(f"{files.name(CONTENTS)}: {CONTENTS} is damaged in it", hint="Copy the bundle here again.")
    contents = read_json(files, CONTENTS, Contents)
    if contents.version != _VERSION:
        raise ContentError(
            f"{files.name(CONTENTS)}: it is a bundle of version {contents.version}", hint="Install a newer Homeport."
        )
    try:
        for name in contents.images:
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
) -> dict[str, bytes]:
    """Return everything of a bundle that is no blob, by path, in the order of the archive: the table of contents first."""
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
    body = contents.encode()
    return {CONTENTS: body, CONTENTS_SUM: _sum_of(body), **named, **bodies}


def _sum_of(body: bytes) -> bytes:
    """Return the checksum of the table of contents, which has those of all else, as sha256sum writes it."""
    return f"{digest_of(body).partition(':')[2]}  {CONTENTS}\n".encode()
