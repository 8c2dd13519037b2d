"""Count what a job asks for, and ask nothing more once it is stopped."""

import threading
from collections import Counter
from collections.abc import Iterable
from contextlib import AbstractContextManager

from homeport.errors import RateLimitedError
from homeport.mirror.observer import Observer
from homeport.mirror.ports import BlobReader, ManifestHead, Source, Target, Upload
from homeport.mirror.result import Traffic
from homeport.mirror.workers import StoppedError
from homeport.oci.manifest import Descriptor, RawManifest


class Meter:
    """Counts requests and bytes of one job, and knows whether it was stopped."""

    def __init__(self) -> None:
        self._tally: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def count(self, *names: str) -> None:
        """Count a request that is about to be made; raises StoppedError."""
        self.check()
        with self._lock:
            self._tally.update(names)

    def add_bytes(self, count: int) -> None:
        """Count bytes that went to the target."""
        with self._lock:
            self._tally["bytes"] += count

    def check(self) -> None:
        """Raise StoppedError once the job was stopped."""
        if self._stopped.is_set():
            raise StoppedError

    def stop(self) -> None:
        """Let nothing more begin."""
        self._stopped.set()

    @property
    def traffic(self) -> Traffic:
        """What was counted so far."""
        with self._lock:
            return Traffic(**self._tally)


class MeteredSource:
    """A source that is counted, and asked for no manifest more once it has said that its limit is reached."""

    def __init__(self, source: Source, meter: Meter) -> None:
        self._source = source
        self._meter = meter
        self._pull = () if getattr(source, "is_local", False) else ("counted_pulls",)
        self._limited: RateLimitedError | None = None

    def head_manifest(self, repository: str, identifier: str) -> ManifestHead | None:
        """Ask for a manifest without fetching it."""
        self._meter.count("source")
        return self._source.head_manifest(repository, identifier)

    def get_manifest(self, repository: str, identifier: str) -> RawManifest:
        """Fetch a manifest; raises RateLimitedError without asking once it was raised."""
        if limited := self._limited:
            raise RateLimitedError(
                f"not asked for any more: {limited.message}",
                host=limited.host,
                retry_after=limited.retry_after,
                hint=limited.hint,
            )
        self._meter.count("source", *self._pull)
        try:
            return self._source.get_manifest(repository, identifier)
        except RateLimitedError as error:
            self._limited = error
            raise

    def open_blob(self, repository: str, blob: Descriptor) -> AbstractContextManager[BlobReader]:
        """Stream a blob."""
        self._meter.count("source")
        return self._source.open_blob(repository, blob)

    def referrers(self, repository: str, digest: str) -> tuple[Descriptor, ...] | None:
        """List referrers."""
        self._meter.count("source")
        return self._source.referrers(repository, digest)

    def tags(self, repository: str) -> Iterable[str]:
        """List tags."""
        self._meter.count("source")
        return self._source.tags(repository)


class MeteredTarget:
    """A target that is counted."""

    def __init__(self, target: Target, meter: Meter) -> None:
        self._target = target
        self._meter = meter

    def head_manifest(self, repository: str, identifier: str) -> ManifestHead | None:
        """Ask for a manifest without fetching it."""
        self._meter.count("target")
        return self._target.head_manifest(repository, identifier)

    def get_manifest(self, repository: str, identifier: str) -> RawManifest:
        """Fetch a manifest."""
        self._meter.count("target")
        return self._target.get_manifest(repository, identifier)

    def referrers(self, repository: str, digest: str) -> tuple[Descriptor, ...] | None:
        """List referrers."""
        self._meter.count("target")
        return self._target.referrers(repository, digest)

    def put_manifest(self, repository: str, identifier: str, manifest: RawManifest) -> None:
        """Store a manifest."""
        self._meter.count("target")
        self._target.put_manifest(repository, identifier, manifest)

    def has_blob(self, repository: str, digest: str) -> bool:
        """Tell whether a blob is there."""
        self._meter.count("target")
        return self._target.has_blob(repository, digest)

    def start_blob(self, repository: str, digest: str, *, mount_from: str | None = None) -> Upload | None:
        """Open an upload, or mount."""
        self._meter.count("target")
        return self._target.start_blob(repository, digest, mount_from=mount_from)

    def put_blob(self, repository: str, blob: Descriptor, content: BlobReader, upload: Upload) -> None:
        """Stream content into an upload."""
        self._meter.count("target")
        self._target.put_blob(repository, blob, content, upload)


class CountedReader:
    """Counts what is read, and ends where the job was stopped."""

    def __init__(self, content: BlobReader, meter: Meter, observer: Observer) -> None:
        self._content = content
        self._meter = meter
        self._observer = observer
        self._count = 0

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the buffer from its start; raises StoppedError."""
        self._meter.check()
        count = self._content.readinto(buffer)
        self._add(count)
        return count

    def rewind(self) -> None:
        """Start over."""
        self._meter.check()
        self.take_back()
        self._content.rewind()

    def take_back(self) -> None:
        """Let what was read count as not copied."""
        self._add(-self._count)

    def _add(self, count: int) -> None:
        self._count += count
        self._meter.add_bytes(count)
        self._observer.bytes_copied(count)
