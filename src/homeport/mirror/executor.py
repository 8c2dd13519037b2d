"""What a mirror is called by: bring images, or say what that would do and cost."""

from collections.abc import Iterable, Sequence
from collections.abc import Mapping as MappingOf

import msgspec

from homeport.mapping import Mapping
from homeport.mirror.expected import Quotas
from homeport.mirror.explore import at_hand
from homeport.mirror.homes import Homes
from homeport.mirror.job import Concurrency, Job, Sources
from homeport.mirror.kept import KeptManifests
from homeport.mirror.mirrors import Mirrors
from homeport.mirror.observer import Observer
from homeport.mirror.plan import Plan, plan, want
from homeport.mirror.ports import Target
from homeport.mirror.result import MirrorResult
from homeport.mirror.signatures import Demand
from homeport.mirror.spool import Spool
from homeport.mirror.wishes import Wishes
from homeport.reference import Reference


def mirror(
    references: Iterable[Reference],
    mapping: Mapping,
    sources: Sources,
    target: Target,
    *,
    observer: Observer | None = None,
    concurrency: Concurrency | None = None,
    platforms: Sequence[str] = (),
    homes: Homes | None = None,
    locked: MappingOf[str, str] | None = None,
    kept: KeptManifests | None = None,
    referrers: bool = False,
    keep_tags: bool = False,
    patience: bool = False,
    rebuild_index: bool = False,
    one_platform: bool = False,
    fail_fast: bool = False,
    demands: Sequence[Demand] = (),
    spool: Spool | None = None,
    quotas: Quotas | None = None,
    mirrors: Mirrors = lambda _: (),
) -> MirrorResult:
    """Bring images to the target under the names of the mapping, with everything that they name.

    With `platforms` (os/architecture[/variant]) indexes stay as they are, and only these children of them are brought.
    `homes` says in which repositories of the target some blobs are. With `locked`, digests by reference, a tag that has another
    digest at the source is refused, and the source is not asked for what the target has. `kept` has manifests of earlier runs.
    With `referrers` signatures and all else that is about an image come along; with `keep_tags` images that are known by digest alone
    get a tag, so that no clean-up takes them for waste. With `patience` a pull limit that is used up is waited for.
    With `rebuild_index` indexes are made anew for `platforms` and have another digest at the target; with `one_platform` images of which
    more than one platform is wanted are refused. `demands` says whose signatures images
    must have, also those that are there; one that has none fails before anything of it is copied. `spool` has what transfers that broke have
    left, also those of processes that were killed: they go on there. Where `quotas` knows that a registry limits pulls, the observer is told
    what is to be counted there before any pull is spent. `mirrors` says who else has a registry's content, which is taken from there by digest.

    One that fails does not stop the others, unless `fail_fast` says so. Raises CollisionError, UsageError before anything is done; on
    KeyboardInterrupt nothing more is begun, and nothing half-done is visible at the target.
    """
    wanted = want(references, mapping, locked)
    if spool:
        spool.sweep()
    wishes = Wishes(
        tuple(platforms),
        homes or {},
        kept,
        locked=locked is not None,
        referrers=referrers,
        keep_tags=keep_tags,
        patience=patience,
        rebuild_index=rebuild_index,
        one_platform=one_platform,
        fail_fast=fail_fast,
        demands=tuple(demands),
        spool=spool,
        registry=mapping.target.registry,
        quotas=quotas or (lambda _: None),
        mirrors=mirrors,
    )
    job = Job(sources, target, observer or Observer(), concurrency or Concurrency(), wishes)
    try:
        return job.run(wanted)
    finally:
        job.stop()


def forecast(
    references: Iterable[Reference],
    mapping: Mapping,
    sources: Sources,
    target: Target,
    *,
    concurrency: Concurrency | None = None,
    platforms: Sequence[str] = (),
    locked: MappingOf[str, str] | None = None,
    kept: KeptManifests | None = None,
    deep: bool = False,
    referrers: bool = False,
    keep_tags: bool = False,
    rebuild_index: bool = False,
    demands: Sequence[Demand] = (),
) -> Plan:
    """Say what `mirror` would do and cost, by HEADs and lists alone: no counted pull. Raises CollisionError, UsageError.

    With `deep` manifests are fetched, which counts, into `kept`: then a mirror does not fetch them again. So are signatures that `demands`
    asks for; without it they are only looked for.
    """
    wanted = want(references, mapping, locked)
    wishes = Wishes(
        tuple(platforms),
        {},
        kept,
        locked=locked is not None,
        referrers=referrers,
        keep_tags=keep_tags,
        rebuild_index=rebuild_index,
        demands=tuple(demands),
        free=True,
    )
    job = Job(sources, target, Observer(), concurrency or Concurrency(), wishes)
    try:
        seen = job.look(wanted)
        known = at_hand(seen, kept, platforms)
        if not deep:
            return plan(seen, known)
        seen, explored = job.explore(seen)
        made = plan(seen, msgspec.structs.replace(explored, kept=known.kept))
        return msgspec.structs.replace(made, fetched=at_hand(seen, kept, platforms).kept)
    finally:
        job.stop()
