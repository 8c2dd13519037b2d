"""What a job will count at a registry that limits pulls, told before the first of them is spent."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future

from homeport.errors import HomeportError
from homeport.mirror.observer import Observer
from homeport.mirror.plan import Seen, plan
from homeport.mirror.workers import Flights
from homeport.quota.reading import Reading

Quotas = Callable[[str], Reading | None]
"""Says what limit a registry has stated, if any."""

Look = Future[Seen]


class Outlook:
    """Holds back the images of a limited registry until all of them were looked at, which costs HEADs alone."""

    def __init__(self, looks: Mapping[str, Sequence[Look]], quotas: Quotas, observer: Observer) -> None:
        """`looks` has the looks of all images by registry; they are taken by other threads than those that wait here."""
        self._looks, self._quotas, self._observer = looks, quotas, observer
        self._told: Flights[str, None] = Flights()

    def wait(self, registry: str) -> None:
        """Return at once where no limit is known, else when the observer has been told what is to come."""
        if self._quotas(registry) is not None:
            self._told.do(registry, lambda: self._tell(registry))

    def _tell(self, registry: str) -> None:
        seen = [found for look in self._looks[registry] if (found := _result(look))]
        reading = self._quotas(registry)
        if reading:
            self._observer.pulls_expected(registry, plan(seen).cost.counted_pulls, reading)


def _result(look: Look) -> Seen | None:
    try:
        return look.result()
    except HomeportError:
        return None  # it fails, and costs no pull
