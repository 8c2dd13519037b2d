"""One apply at a time: a Lease that its holder renews while it works (coordination.k8s.io/v1)."""

import getpass
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Final

from homeport.cluster.api import Api, ConflictError
from homeport.errors import ClusterError

NAME: Final = "homeport"
SECONDS: Final = 60
_FORMAT: Final = "%Y-%m-%dT%H:%M:%S.%fZ"


class Lease:
    """The right to change a cluster, for a while."""

    def __init__(self, api: Api, namespace: str, now: datetime) -> None:
        """Take it; raises ClusterError where another holds it."""
        self._api, self._holder = api, f"{_user()}@{platform.node()} ({os.getpid()})"
        metadata = {"namespace": namespace, "name": NAME}
        self._value = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata}
        found = api.get(api.path(self._value))
        if found and _is_held(found, now):
            raise ClusterError(
                f"{found['spec']['holderIdentity']} is changing this cluster now",
                status=409,
                hint=f"Wait for it. If it was killed, its lease ends after {SECONDS} seconds.",
            )
        try:
            self._value = (
                api.replace(self._renewed(found, now)) if found else api.create(self._renewed(self._value, now))
            )
        except ConflictError:
            raise ClusterError("another apply has just begun to change this cluster", status=409) from None
        self._renewed_at = time.monotonic()

    def renew(self) -> None:
        """Keep it; raises ClusterError where another has taken it meanwhile."""
        if time.monotonic() - self._renewed_at > SECONDS / 4:
            self._value = self._api.replace(self._renewed(self._value, datetime.now(UTC)))
            self._renewed_at = time.monotonic()

    def release(self) -> None:
        """Give it back."""
        with suppress(ClusterError):
            self._api.delete(self._value)

    def _renewed(self, value: dict[str, Any], now: datetime) -> dict[str, Any]:
        spec = {"holderIdentity": self._holder, "leaseDurationSeconds": SECONDS, "renewTime": now.strftime(_FORMAT)}
        return value | {"spec": spec}


@contextmanager
def held(api: Api, namespace: str) -> Iterator[Lease]:
    """Hold the lease of a namespace until the block ends; raises ClusterError where another holds it."""
    lease = Lease(api, namespace, datetime.now(UTC))
    try:
        yield lease
    finally:
        lease.release()


def _is_held(value: dict[str, Any], now: datetime) -> bool:
    spec = value.get("spec") or {}
    try:
        renewed = datetime.strptime(spec["renewTime"], _FORMAT).replace(tzinfo=UTC)
    except (KeyError, ValueError):
        return False
    return bool(spec.get("holderIdentity")) and (now - renewed).total_seconds() < spec.get("leaseDurationSeconds", 0)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "unknown"
