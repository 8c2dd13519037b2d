"""What a job is to keep to."""

import msgspec

from homeport.mirror.expected import Quotas
from homeport.mirror.homes import Homes
from homeport.mirror.kept import KeptManifests
from homeport.mirror.mirrors import Mirrors
from homeport.mirror.signatures import Demand
from homeport.mirror.spool import Spool


class Wishes(msgspec.Struct, frozen=True):
    """See `mirror`, which takes them one by one."""

    platforms: tuple[str, ...] = ()
    homes: Homes = {}
    kept: KeptManifests | None = None
    locked: bool = False
    """Whether the source is to be asked for nothing that the target has."""
    referrers: bool = False
    keep_tags: bool = False
    patience: bool = False
    rebuild_index: bool = False
    one_platform: bool = False
    fail_fast: bool = False
    demands: tuple[Demand, ...] = ()
    free: bool = False
    """Whether nothing is fetched that counts to find out what is about an image."""
    spool: Spool | None = None
    registry: str = ""
    """The name of the target's."""
    quotas: Quotas = lambda _: None
    mirrors: Mirrors = lambda _: ()
