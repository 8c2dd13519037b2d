"""What a job will count at a registry that limits pulls, told before the first of them is spent."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future

from homeport.errors import HomeportError
from homeport.mirror.expected import Expected, Quotas, expect
from homeport.mirror.observer import Observer
from homeport.mirror.plan import Plan, Seen
from homeport.mirror.workers import Flights

Look = Future[Seen]


class Outlook:
    """Holds back the images of a limited registry until all of them were looked at, which costs HEADs alone."""

    def __init__(
        self,
        looks: Mapping[str, Sequence[Look]],
        quotas: Quotas,
        observer: Observer,
        plan: Callable[[Sequence[Seen]], Plan],
        platforms: Sequence[str] = (),
    ) -> None:
        """`looks` has the looks of all images by registry; they are taken by other threads than those that wait here."""
        self._looks, self._quotas, self._observer = looks, quotas, observer
        self._plan, self._platforms = plan, platforms
        self._told: Flights[str, Expected | None] = Flights()

    def wait(self, registry: str) -> None:
        """Return at once where no limit is known, else when the observer has been told what is to come."""
        if self._quotas(registry) is not None:
            self._told.do(registry, lambda: self._tell(registry))

    def look_back(self) -> None:
        """Tell the observer where others were seen to use the same quota meanwhile."""
        for registry in self._looks:
            standing = self._quotas(registry)
            if standing is None:
                continue
            before, now = self._told.do(registry, lambda: None), standing.experience
            if before and now.others and now.gets != before.standing.experience.gets:
                self._observer.quota_shared(registry, now.others)

    def _tell(self, registry: str) -> Expected | None:
        seen = [found for look in self._looks[registry] if (found := _result(look))]
        standing = self._quotas(registry)
        if standing is None:
            return None
        expected = expect(self._plan(seen), registry, standing, self._platforms)
        self._observer.pulls_expected(expected)
        return expected


def _result(look: Look) -> Seen | None:
    try:
        return look.result()
    except HomeportError:
        return None  # it fails, and costs no pull
