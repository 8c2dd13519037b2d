"""What a dry run says of signatures: without reading any, as that would count, or by reading them."""

from collections.abc import Sequence

import msgspec

from homeport.errors import ContentError
from homeport.mirror.companions import Finder
from homeport.mirror.plan import Beside, Seen
from homeport.mirror.ports import Source
from homeport.mirror.signatures import Demand, candidates, check_signed, keys_for, shown, unsigned


def look_for_signatures(seen: Seen, demands: Sequence[Demand], source: Source, finder: Finder) -> Seen:
    """Say whether anything may be the signature that is demanded; an image for which nothing may be fails as it would in a run."""
    reference, digest = seen.wanted.source, seen.digest
    keys = keys_for(reference, demands)
    if not keys or not digest:
        return seen
    about = finder.about(source, reference.registry, reference.repository, digest)
    first, *others = candidates(about) or ("",)
    if not first and not about.unread:
        error = unsigned(reference, digest, keys, "no signature was found")
        return msgspec.structs.replace(seen, error=error.message, hint=error.hint)
    beside = Beside((first,) if first else (), tuple(others)).with_lists((about.unread,) if about.unread else ())
    note = f"it must be signed by {shown(keys)}: that is looked at before it is copied, or with --deep"
    return msgspec.structs.replace(seen, beside=beside, note=note)


def read_signatures(
    seen: Seen, demands: Sequence[Demand], source: Source, finder: Finder, *, referrers: bool = False
) -> Seen:
    """Read what a run reads to check signatures, and lists that were left; what is refused there fails here."""
    reference, digest, lists = seen.wanted.source, seen.digest, seen.beside.lists
    if seen.error or not digest:
        return seen
    if referrers and lists and not seen.present:
        found = finder.find(source, reference.registry, reference.repository, [digest])
        seen = msgspec.structs.replace(seen, companions=len(found), beside=Beside(lists))
    if not keys_for(reference, demands):
        return seen
    try:
        read = check_signed(reference, digest, demands, source, finder)
        return msgspec.structs.replace(seen, beside=Beside((*lists, *read)), note="")
    except ContentError as error:
        read = candidates(finder.about(source, reference.registry, reference.repository, digest))
        beside = Beside((*lists, *read))
        return msgspec.structs.replace(seen, beside=beside, note="", error=error.message, hint=error.hint)
