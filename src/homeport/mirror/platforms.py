"""Which children of an index are brought when only some platforms are wanted. Pure."""

import re
from collections.abc import Iterable, Sequence

import msgspec

from homeport.errors import ContentError, RegistryError
from homeport.oci.manifest import Descriptor, Manifest, Platform, RawManifest, is_index, parse_manifest

MAX_DEPTH = 8
"""How deep indexes may be nested in indexes; images found in use have 1 or 2."""

_ATTESTED = "vnd.docker.reference.digest"
"""BuildKit's annotation on an attestation manifest: the digest of the image that it is about."""

_REFUSALS = (400, 404, 409, 412, 422)

_PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9_]+(?:/[a-z0-9.]+)?")


def is_platform(text: str) -> bool:
    """Tell whether a text is os/architecture[/variant]."""
    return bool(_PLATFORM.fullmatch(text))


def wanted_children(manifest: Manifest, platforms: Sequence[str]) -> tuple[Descriptor, ...]:
    """Return the children of the wanted platforms, and the attestations about them; all, where none is named.

    A child without a platform is brought always: nothing tells what it is for. Raises ContentError where a platform is missing.
    """
    if not platforms or not manifest.children:
        return manifest.children
    chosen = {child.digest for child in manifest.children if any(_runs_on(child.platform, it) for it in platforms)}
    for platform in platforms:
        if not any(_runs_on(child.platform, platform) for child in manifest.children):
            there = ", ".join(sorted({str(child.platform) for child in manifest.children if _is_real(child.platform)}))
            raise ContentError(
                f"there is no image for {platform}; there is {there or 'none that names its platform'}",
                hint="Name only platforms that every image has, or bring all of them.",
            )
    return tuple(
        child
        for child in manifest.children
        if child.digest in chosen or child.platform is None or child.annotations.get(_ATTESTED) in chosen
    )


def images_in(children: Iterable[Descriptor]) -> tuple[Descriptor, ...]:
    """Return those of an index's children that are images, not statements about others."""
    return tuple(child for child in children if child.platform is None or _is_real(child.platform))


def check_one_platform(name: str, children: Iterable[Descriptor]) -> None:
    """Raise ContentError where more than one image is among the children of an index."""
    images = images_in(children)
    if len({child.digest for child in images}) > 1:
        there = ", ".join(sorted({str(child.platform or "one that does not say") for child in images}))
        raise ContentError(
            f"{name} is for several platforms, and docker load takes one: {there}",
            hint="Name it: --platform OS/ARCHITECTURE. Or bring them all, to oci-archive:FILE.",
        )


def rebuilt(raw: RawManifest, platforms: Sequence[str]) -> RawManifest:
    """Return an index that names the wanted children alone, all else in it kept: other bytes, so another digest.

    One that names nothing else is returned as it is, and so is an image of one platform. Raises ContentError.
    """
    manifest = parse_manifest(raw)
    wanted = {child.digest for child in wanted_children(manifest, platforms)}
    if len(wanted) == len({child.digest for child in manifest.children}):
        return raw
    if any(is_index(child.media_type) for child in manifest.children):
        raise ContentError(
            f"{raw.digest} names an index in turn, and cannot be made anew for some platforms",
            hint="Bring it whole: leave --platform and --rebuild-index out for this image.",
        )
    fields = msgspec.json.decode(raw.body)
    fields["manifests"] = [child for child in fields["manifests"] if child["digest"] in wanted]
    return RawManifest.of(msgspec.json.encode(fields), raw.media_type)


def explain_refusal(error: RegistryError) -> None:
    """Say of the error by which a target refused an index that lacks platforms what it means and what to do."""
    if error.status in _REFUSALS:
        error.message = f"it takes no index that lacks platforms: {error.message}"
        error.hint = (
            "Bring all platforms: without --platform. "
            "Or let the index be made anew: --rebuild-index, which changes its digest."
        )


def _runs_on(platform: Platform | None, wanted: str) -> bool:
    """Compare as containerd does: a variant counts where it is asked for, and arm64 means arm64/v8."""
    if platform is None:
        return False
    system, architecture, *variant = wanted.split("/")
    if (platform.os, platform.architecture) != (system, architecture):
        return False
    own = platform.variant or ("v8" if architecture == "arm64" else "")
    return not variant or variant == [own]


def _is_real(platform: Platform | None) -> bool:
    return platform is not None and platform.os != "unknown"
