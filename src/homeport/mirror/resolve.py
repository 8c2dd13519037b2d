"""Ask source and target for an image: what is to be brought, and what is there. No counted pull.

The source is asked by HEAD. Where the target lacks the tag, the digest is asked for by GET: a manifest that is there is needed next,
and where none is, the answer may say that the whole repository is unknown, which saves the questions for all that an image names. A list
of tags would not tell as much: distribution answers NAME_UNKNOWN to it while the repository holds untagged manifests.
"""

from concurrent.futures import wait
from functools import partial

import msgspec

from homeport.errors import ContentError, NotFoundError, UnknownNameError
from homeport.mirror.plan import Seen, Wanted
from homeport.mirror.ports import Source, Target
from homeport.mirror.workers import Flights, Workers
from homeport.oci.manifest import ManifestHead, RawManifest


class Resolver:
    """Looks for the images of one job at both sides; any number of threads may use it."""

    def __init__(self, target: Target, workers: Workers, *, keep_tags: bool = False) -> None:
        """With `keep_tags` an image that is known by digest alone is to have a tag at the target all the same.

        The threads of `workers` must not be those that use this.
        """
        self._target, self._workers, self._keep_tags = target, workers, keep_tags
        self._found: Flights[tuple[str, str], tuple[RawManifest | None, bool]] = Flights()

    def resolve(self, wanted: Wanted, source: Source) -> Seen:
        """Look for an image, at source and target at once; raises NotFoundError where the source has no such tag."""
        if wanted.source.digest:
            return self._resolve_pinned(wanted, wanted.source.digest, source)
        repository, tag = wanted.target.repository, wanted.source.identifier
        look = self._workers.submit(partial(self._target.head_manifest, repository, tag))
        if wanted.locked and _names(look.result(), wanted.locked):
            return Seen(wanted, wanted.locked, present=True, asked=(0, 1))
        try:
            head = source.head_manifest(wanted.source.repository, tag)
        finally:
            wait([look])
        if head is None:
            raise not_there(wanted)
        if wanted.locked and head.digest != wanted.locked:
            raise moved(wanted, head.digest)
        there = look.result()
        seen = Seen(wanted, head.digest, head, tag=tag, there=there.digest if there else "", asked=(1, 1))
        if _names(there, head.digest):
            return msgspec.structs.replace(seen, present=True)
        return self._find(seen, repository, head.digest)

    def _resolve_pinned(self, wanted: Wanted, digest: str, source: Source) -> Seen:
        """A digest needs no source to be known; its tag is given at the target only if it means the same at the source."""
        repository, tag = wanted.target.repository, wanted.source.tag
        head, note, asked = None, "", (0, 0)
        if tag:
            if _names(self._target.head_manifest(repository, tag), digest):
                return Seen(wanted, digest, present=True, asked=(0, 1))
            head, asked = source.head_manifest(wanted.source.repository, tag), (1, 1)
            if not _names(head, digest):
                now = f"is {head.digest} now" if head else "is gone"
                tag, head, note = None, None, f"its tag {tag} {now} at the source: brought by digest alone"
        if not tag and self._keep_tags:
            tag, asked = keep_tag_of(digest), (asked[0], asked[1] + 1)
            if _names(self._target.head_manifest(repository, tag), digest):
                return Seen(wanted, digest, present=True, asked=asked, note=note)
        seen = Seen(wanted, digest, head, tag, asked=asked, note=note)
        if tag:
            return self._find(seen, repository, digest)
        at_target = self._target.head_manifest(repository, digest) is not None
        return msgspec.structs.replace(seen, at_target=at_target, present=at_target, asked=(asked[0], asked[1] + 1))

    def _find(self, seen: Seen, repository: str, digest: str) -> Seen:
        """Look whether the target has under another tag, or under none, what it lacks under this one."""

        def ask() -> tuple[RawManifest | None, bool]:
            try:
                return self._target.find_manifest(repository, digest), False
            except UnknownNameError:
                return None, True

        found, is_new = self._found.do((repository, digest), ask)
        asked = (seen.asked[0], seen.asked[1] + 1)
        return msgspec.structs.replace(seen, found=found, at_target=found is not None, is_new=is_new, asked=asked)


def keep_tag_of(digest: str) -> str:
    """Return the tag that keeps an image from being taken for waste; `sha256-...` would be taken for its referrers."""
    return f"keep-{digest.partition(':')[2][:32]}"


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
