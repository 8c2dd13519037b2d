"""What was asked of each registry, counted."""

import threading
from collections import Counter

import msgspec

from homeport.quota.reading import Reading


class HostTraffic(msgspec.Struct, frozen=True):
    """Requests to one registry and on its behalf (tokens, redirects), pulls that count, bytes of content each way."""

    requests: int = 0
    counted_pulls: int = 0
    received: int = 0
    sent: int = 0


class Traffic:
    """Counters by registry; any number of threads may use them."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._readings: dict[str, Reading] = {}
        self._lock = threading.Lock()

    def add(self, host: str, **amounts: int) -> None:
        """Count up the fields of HostTraffic."""
        with self._lock:
            for name, amount in amounts.items():
                self._counts[host, name] += amount

    def note(self, host: str, reading: Reading) -> None:
        """Keep the last word on a limit."""
        with self._lock:
            self._readings[host] = reading

    def of(self, host: str) -> HostTraffic:
        """Return the counts of one registry so far."""
        with self._lock:
            return HostTraffic(**{name: self._counts[host, name] for name in HostTraffic.__struct_fields__})

    def quota(self, host: str) -> Reading | None:
        """Return the limit as a registry last stated it; None: it never stated one."""
        with self._lock:
            return self._readings.get(host)
