"""What was seen of how a registry counts pulls: what a manifest really costs, and whether others use the same quota.

Docker's own words leave open whether an index and the image that is pulled through it are two pulls or one (docker/docs PR 11648,
docker/hub-feedback 2093). So it is measured: how far ``ratelimit-remaining`` fell, against the manifests that were asked for meanwhile.
"""

from typing import Annotated, Final

import msgspec

from homeport.quota.reading import Reading

ENOUGH: Final = 8
"""Pulls from which on the price of one is known; of fewer, a chance of the day would speak."""

NOISE: Final = 3
"""Pulls by which a count may be off: Docker calls its headers best effort, and counts some requests late."""

_MOST = 1000

_Number = Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]


class Experience(msgspec.Struct, frozen=True):
    """What an identity saw at a registry, summed up.

    `gets` are manifests that were asked for between two readings, `counted` is what the registry took off for them, one each at most,
    and `others` what it took off beyond that in the last run. `named` are the manifests that indexes named, `possible` those that their
    sizes had room for.
    """

    gets: _Number = 0
    counted: _Number = 0
    others: _Number = 0
    named: _Number = 0
    possible: _Number = 0

    @property
    def price(self) -> float | None:
        """What one manifest costs, from 0 to 1; None while too few were seen."""
        return min(self.counted, self.gets) / self.gets if self.gets >= ENOUGH else None

    @property
    def fill(self) -> float | None:
        """Which part of the manifests that have room in an index it names; None while no index was seen."""
        return min(self.named, self.possible) / self.possible if self.possible else None

    def after(self, earlier: "Experience") -> "Experience":
        """Return both; what is long ago fades away."""
        fade = 2 if earlier.gets > _MOST else 1
        dim = 2 if earlier.possible > _MOST else 1
        return Experience(
            self.gets + earlier.gets // fade,
            self.counted + earlier.counted // fade,
            self.others if self.gets or self.others else earlier.others,
            self.named + earlier.named // dim,
            self.possible + earlier.possible // dim,
        )


class Standing(msgspec.Struct, frozen=True):
    """How an identity stands at a registry that limits pulls: the limit as it was stated last, and what was seen of it."""

    reading: Reading
    experience: Experience = Experience()


class Tally:
    """Holds the fall of a registry's number against pulls, over stretches in which it does not rise; for one thread at a time.

    Numbers are compared at moments at which no pull is under way, so that it does not matter in which order answers come. Where the
    number rises, pulls were given back, and what was counted meanwhile cannot be told: a stretch ends before, and the next begins
    after. The same goes for a pull that was never answered. Pulls given back while the number falls all the same make a price look lower.
    """

    def __init__(self) -> None:
        self._mark: Reading | None = None
        self._begun = self._counted = self._free = 0
        self._gets = self._fell = 0
        self._seen = Experience()

    def begin(self) -> None:
        """A pull is sent."""
        self._begun += 1

    def answer(self, *, limited: bool) -> None:
        """A manifest came, which counts against the limit or does not."""
        if limited:
            self._counted += 1
        else:
            self._free += 1

    def index(self, named: int, possible: int) -> None:
        """An index came that names so many manifests and has room for so many."""
        seen = self._seen
        self._seen = msgspec.structs.replace(seen, named=seen.named + named, possible=seen.possible + possible)

    def quiet(self, reading: Reading) -> None:
        """No pull is under way, and the limit stands as it was stated last."""
        mark, gets = self._mark, self._counted
        is_sure = self._begun == self._counted + self._free
        self._mark = reading if is_sure else None
        self._begun = self._counted = self._free = 0
        if mark is None:
            return
        is_same = (mark.limit, mark.source) == (reading.limit, reading.source)
        if is_sure and is_same and reading.remaining <= mark.remaining:
            self._gets += gets
            self._fell += mark.remaining - reading.remaining
        else:
            self._seen = self.experience
            self._gets = self._fell = 0

    @property
    def experience(self) -> Experience:
        """All that was seen so far."""
        beyond = self._fell - self._gets
        seen = self._seen
        return msgspec.structs.replace(
            seen,
            gets=seen.gets + self._gets,
            counted=seen.counted + min(self._fell, self._gets),
            others=seen.others + (beyond if beyond > NOISE else 0),
        )
