"""What the server counts, for Prometheus. No label holds a name that a client chose, so there are few series."""

import os
import tempfile
from pathlib import Path
from typing import Final

from homeport.server.routes import Endpoint
from homeport.store.layout import Layout, names_in

MULTIPLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""prometheus-client's own variable: where processes share their counters; read when it is imported."""

BUCKETS = (0.0005, 0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60, 600)


def share_between_workers() -> None:
    """Let the processes to be started share their counters; called before prometheus-client is imported."""
    os.environ[MULTIPLE] = tempfile.mkdtemp(prefix="homeport-metrics-")


class Metrics:
    """Counts requests, bytes and time; knows how full the store is when asked."""

    def __init__(self, layout: Layout | None = None) -> None:
        """Without a layout, the store is not told of."""
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self._layout = layout
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "homeport_requests", "Requests answered.", ["method", "endpoint", "status"], registry=self._registry
        )
        self._bytes = Counter("homeport_bytes", "Bytes of bodies.", ["direction"], registry=self._registry)
        self._seconds = Histogram(
            "homeport_request_seconds",
            "Seconds until the last byte.",
            ["endpoint"],
            buckets=BUCKETS,
            registry=self._registry,
        )
        self._uploads = Gauge(
            "homeport_uploads_open", "Uploads not finished.", registry=self._registry, multiprocess_mode="mostrecent"
        )
        self._used = Gauge(
            "homeport_disk_bytes",
            "The file system of the store.",
            ["state"],
            registry=self._registry,
            multiprocess_mode="mostrecent",
        )
        self._known: dict[tuple[str, str, int], Counter] = {}
        self._timers = {name: self._seconds.labels(name) for name in [*map(str, Endpoint), "other"]}
        self._in, self._out = self._bytes.labels("in"), self._bytes.labels("out")

    def count(self, method: str, endpoint: str, status: int, seconds: float, received: int, sent: int) -> None:  # noqa: PLR0917 - called for each request
        """Count one request."""
        key = (method, endpoint, status)
        counter = self._known.get(key)
        if counter is None:
            counter = self._known[key] = self._requests.labels(method, endpoint, str(status))
        counter.inc()
        self._timers[endpoint].observe(seconds)
        if received:
            self._in.inc(received)
        if sent:
            self._out.inc(sent)

    def text(self) -> bytes:
        """Write everything in Prometheus' format; looks at the disk."""
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        if self._layout:
            self._uploads.set(len(names_in(self._layout.uploads)))
            space = os.statvfs(self._layout.root)
            self._used.labels("free").set(space.f_bavail * space.f_frsize)
            self._used.labels("total").set(space.f_blocks * space.f_frsize)
        if MULTIPLE not in os.environ:
            return generate_latest(self._registry)
        everybody = CollectorRegistry()
        MultiProcessCollector(everybody, path=str(Path(os.environ[MULTIPLE])))  # type: ignore[no-untyped-call]
        return generate_latest(everybody)
