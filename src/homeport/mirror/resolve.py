"""Ask source and target for an image by HEADs alone: what is to be brought, and what is there."""

import msgspec

from homeport.errors import ContentError, NotFoundError
from homeport.mirror.plan import Seen, Wanted
from homeport.mirror.ports import Source, Target
from homeport.oci.manifest import ManifestHead


def resolve(wanted: Wanted, source: Source, target: Target, *, keep_tag: bool = False) -> Seen:
    """Look for an image at both sides; raises NotFoundError where the source has no such tag.

    With `keep_tag` an image that is known by digest alone is to have a tag at the target all the same.
    """
    if wanted.source.digest:
        return _resolve_pinned(wanted, wanted.source.digest, source, target, keep_tag=keep_tag)
    repository, tag = wanted.target.repository, wanted.source.identifier
    there = target.head_manifest(repository, tag) if wanted.locked else None
    if wanted.locked and _names(there, wanted.locked):
        return Seen(wanted, wanted.locked, present=True, asked=(0, 1))
    head = source.head_manifest(wanted.source.repository, tag)
    if head is None:
        raise not_there(wanted)
    if wanted.locked and head.digest != wanted.locked:
        raise moved(wanted, head.digest)
    there = there if wanted.locked else target.head_manifest(repository, tag)
    seen = Seen(wanted, head.digest, head, tag=tag, there=there.digest if there else "", asked=(1, 1))
    if _names(there, head.digest):
        return msgspec.structs.replace(seen, present=True)
    at_target = target.head_manifest(repository, head.digest) is not None
    return msgspec.structs.replace(seen, at_target=at_target, asked=(1, 2))


def keep_tag_of(digest: str) -> str:
    """Return the tag that keeps an image from being taken for waste; `sha256-...` would be taken for its referrers."""
    return f"keep-{digest.partition(':')[2][:32]}"


def _resolve_pinned(wanted: Wanted, digest: str, source: Source, target: Target, *, keep_tag: bool) -> Seen:
    """A digest needs no source to be known; its tag is given at the target only if it means the same at the source."""
    repository, tag = wanted.target.repository, wanted.source.tag
    head, note, asked = None, "", (0, 0)
    if tag:
        if _names(target.head_manifest(repository, tag), digest):
            return Seen(wanted, digest, present=True, asked=(0, 1))
        head, asked = source.head_manifest(wanted.source.repository, tag), (1, 1)
        if not _names(head, digest):
            now = f"is {head.digest} now" if head else "is gone"
            tag, head, note = None, None, f"its tag {tag} {now} at the source: brought by digest alone"
    if not tag and keep_tag:
        tag, asked = keep_tag_of(digest), (asked[0], asked[1] + 1)
        if _names(target.head_manifest(repository, tag), digest):
            return Seen(wanted, digest, present=True, asked=asked, note=note)
    at_target = target.head_manifest(repository, digest) is not None
    asked = (asked[0], asked[1] + 1)
    return Seen(wanted, digest, head, tag, at_target=at_target, present=at_target and not tag, asked=asked, note=note)


def moved(wanted: Wanted, digest: str) -> ContentError:
    """Return the error for a tag that has another digest now than the lock says."""
    return ContentError(
        f"{wanted.source} has moved: the lock has {wanted.locked}, the source has {digest} now",
        hint="If the new one is wanted, run once without --locked.",
    )


def not_there(wanted: Wanted) -> NotFoundError:
    """Return the error for an image that its source does not have."""
    return NotFoundError(
        f"{wanted.source} is not there",
        host=wanted.source.registry,
        status=404,
        hint="Check the name and the tag; some registries also hide what an identity may not see.",
    )


def _names(head: ManifestHead | None, digest: str) -> bool:
    return head is not None and head.digest == digest
