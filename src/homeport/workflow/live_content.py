"""What the target holds of an image: the digests by which a node may call it, and which nodes it can start on."""

from typing import Final

import msgspec

from homeport.errors import ContentError, NotFoundError
from homeport.oci.manifest import Descriptor, Manifest, Platform, parse_manifest
from homeport.oci.unreadable import UNREADABLE
from homeport.reference import Reference
from homeport.registry.client import RegistryClient
from homeport.registry.session import Registries

_LARGEST_CONFIG: Final = 4 << 20


class Question(msgspec.Struct, frozen=True):
    """What is asked of one image: its digests of now, those that nodes report, and the platforms of nodes (linux/amd64)."""

    reference: Reference
    expected: frozenset[str]
    reported: frozenset[str] = frozenset()
    platforms: frozenset[str] = frozenset()


class Content(msgspec.Struct, frozen=True):
    """The answer: reported digests that are no part of the image, platforms whose part is not there, or that it has none for."""

    strange: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()
    unmade: frozenset[str] = frozenset()
    made: frozenset[str] = frozenset()


def examine(question: Question, registries: Registries) -> Content:
    """Ask the target, as little as the question needs; raises RegistryError where it is away.

    A node reports the digest of an index, of one of its images, or of an image's configuration, as its runtime has it.
    """
    reference = question.reference
    client = registries.client(reference.registry)
    strange = question.reported - question.expected
    if not (strange or question.platforms):
        return Content()
    children: list[Descriptor] = []
    parts: dict[str, str] = {}
    for identifier in sorted(question.expected) or [reference.identifier]:
        digest, manifest = _manifest(client, reference, identifier)
        strange -= {digest, *(child.digest for child in manifest.children), *_config(manifest)}
        children += manifest.children
        parts |= {_name(child.platform): child.digest for child in manifest.children if child.platform}
        if manifest.config and question.platforms:
            parts[_read_platform(client, reference, manifest.config)] = digest
    for child in children if strange else ():
        strange -= _config(_manifest(client, reference, child.digest)[1])
    parts = {platform: digest for platform, digest in parts.items() if platform not in ("", "unknown/unknown")}
    there = {child.digest for child in children}
    wanted = question.platforms & parts.keys()
    missing = {
        it for it in wanted if parts[it] in there and client.head_manifest(reference.repository, parts[it]) is None
    }
    unmade = question.platforms - parts.keys() if parts else frozenset[str]()
    return Content(strange, frozenset(missing), unmade, frozenset(parts))


def _manifest(client: RegistryClient, reference: Reference, identifier: str) -> tuple[str, Manifest]:
    """Return a manifest with its digest; one that is not there or cannot be read names nothing."""
    try:
        raw = client.get_manifest(reference.repository, identifier)
        return raw.digest, parse_manifest(raw)
    except (NotFoundError, ContentError):
        # A platform that was not brought; nothing runs of it.
        return identifier, Manifest("")


def _config(manifest: Manifest) -> frozenset[str]:
    return frozenset({manifest.config.digest} if manifest.config else ())


def _read_platform(client: RegistryClient, reference: Reference, config: Descriptor) -> str:
    """Read an image's configuration for its platform; empty where it says none or is no configuration of an image."""
    if config.size > _LARGEST_CONFIG:
        return ""
    buffer, held = memoryview(bytearray(config.size or 1)), 0
    try:
        with client.open_blob(reference.repository, config) as reader:
            while number := reader.readinto(buffer[held:] if held < len(buffer) else memoryview(bytearray(1))):
                held += number
        return _name(msgspec.json.decode(buffer[:held], type=Platform))
    except (NotFoundError, ContentError, *UNREADABLE):
        return ""


def _name(platform: Platform | None) -> str:
    """Write a platform as a node's status has it: without a variant."""
    return f"{platform.os}/{platform.architecture}" if platform and platform.os else ""
