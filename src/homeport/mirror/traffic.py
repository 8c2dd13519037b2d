"""Count what a job asks for, and ask nothing more once it is stopped."""

import threading
from collections import Counter
from collections.abc import Iterable
from contextlib import AbstractContextManager, suppress

import msgspec

from homeport.errors import RateLimitedError
from homeport.mirror.observer import Observer
from homeport.mirror.ports import NOTHING, Begun, BlobReader, ManifestHead, Source, Target, Upload
from homeport.mirror.result import Traffic
from homeport.mirror.workers import StoppedError
from homeport.oci.manifest import Descriptor, RawManifest
from homeport.reference import Reference

_LONGEST_PAUSE = 6 * 3600.0


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

    def take_back(self, *names: str) -> None:
        """Count down what was refused."""
        with self._lock:
            self._tally.subtract(names)

    def add_bytes(self, count: int) -> None:
        """Count bytes that went to the target."""
        with self._lock:
            self._tally["bytes"] += count

    def check(self) -> None:
        """Raise StoppedError once the job was stopped."""
        if self._stopped.is_set():
            raise StoppedError

    def pause(self, seconds: float) -> None:
        """Wait; raises StoppedError as soon as the job is stopped."""
        self._stopped.wait(seconds)
        self.check()

    def stop(self) -> None:
        """Let nothing more begin."""
        self._stopped.set()

    @property
    def traffic(self) -> Traffic:
        """What was counted so far."""
        with self._lock:
            return Traffic(**self._tally)


class Patience(msgspec.Struct, frozen=True):
    """What to do when a pull limit is used up: wait, and be told so; None for `observer` means to give up at once."""

    observer: Observer | None = None
    pause: float = 600.0
    """Seconds to wait where the registry does not say how long; asking more often would not make pulls come back."""

    def seconds(self, error: RateLimitedError) -> float:
        """Return how long to wait this time."""
        return self.pause if error.retry_after is None else min(error.retry_after, _LONGEST_PAUSE)


class MeteredSource:
    """A source that is counted, and asked for no manifest more once it has said that its limit is reached.

    With patience one thread asks again after a while, and the others wait for it.
    """

    def __init__(
        self, source: Source, meter: Meter, patience: Patience | None = None, *, is_limited: bool = True
    ) -> None:
        """With `is_limited` each manifest counts as a pull, unless it is read from this machine."""
        self._source = source
        self._meter = meter
        self._pull = ("counted_pulls",) if is_limited and not source.is_local else ()
        self._patience = patience or Patience()
        self._limited: RateLimitedError | None = None
        self._turn = threading.Lock()

    @property
    def is_local(self) -> bool:
        """Whether it is read from this machine."""
        return self._source.is_local

    def head_manifest(self, repository: str, identifier: str) -> ManifestHead | None:
        """Ask for a manifest without fetching it."""
        self._meter.count("source")
        return self._source.head_manifest(repository, identifier)

    def get_manifest(self, repository: str, identifier: str) -> RawManifest:
        """Fetch a manifest; raises RateLimitedError without asking once it was raised, or waits until it is not."""
        if not self._limited:
            try:
                return self._get(repository, identifier)
            except RateLimitedError:
                if not self._patience.observer:
                    raise
        elif not self._patience.observer:
            raise RateLimitedError(
                f"not asked for any more: {self._limited.message}",
                host=self._limited.host,
                retry_after=self._limited.retry_after,
                hint=self._limited.hint,
            )
        with self._turn:
            while True:
                self._wait()
                with suppress(RateLimitedError):
                    return self._get(repository, identifier)

    def _get(self, repository: str, identifier: str) -> RawManifest:
        self._meter.count("source", *self._pull)
        try:
            raw = self._source.get_manifest(repository, identifier)
        except RateLimitedError as error:
            self._meter.take_back(*self._pull)
            self._limited = error
            raise
        self._limited = None
        return raw

    def _wait(self) -> None:
        limited, observer = self._limited, self._patience.observer
        if limited and observer:
            seconds = self._patience.seconds(limited)
            observer.limit_reached(limited.message, seconds)
            self._meter.pause(seconds)

    def open_blob(
        self, repository: str, blob: Descriptor, begun: Begun = NOTHING, /
    ) -> AbstractContextManager[BlobReader]:
        """Stream a blob, or what follows its first bytes."""
        self._meter.count("source")
        return self._source.open_blob(repository, blob, begun)

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
        self.is_local = target.is_local

    def head_manifest(self, repository: str, identifier: str) -> ManifestHead | None:
        """Ask for a manifest without fetching it."""
        self._meter.count("target")
        return self._target.head_manifest(repository, identifier)

    def get_manifest(self, repository: str, identifier: str) -> RawManifest:
        """Fetch a manifest."""
        self._meter.count("target")
        return self._target.get_manifest(repository, identifier)

    def find_manifest(self, repository: str, digest: str) -> RawManifest | None:
        """Fetch a manifest if it is there."""
        self._meter.count("target")
        return self._target.find_manifest(repository, digest)

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

    def find_upload(self, repository: str, upload: Upload) -> Upload | None:
        """Ask how far an upload has come."""
        self._meter.count("target")
        return self._target.find_upload(repository, upload)

    def open_blob(self, repository: str, blob: Descriptor) -> AbstractContextManager[BlobReader]:
        """Stream a blob that is there."""
        self._meter.count("target")
        return self._target.open_blob(repository, blob)

    def put_blob(self, repository: str, blob: Descriptor, content: BlobReader, upload: Upload) -> None:
        """Stream content into an upload."""
        self._meter.count("target")
        self._target.put_blob(repository, blob, content, upload)


class CountedReader:
    """Counts what is read, from an offset on, and ends where the job was stopped."""

    def __init__(self, content: BlobReader, meter: Meter, observer: Observer, image: Reference, start: int = 0) -> None:
        """Bytes are told of as those of `image`."""
        self._content = content
        self._meter = meter
        self._observer, self._image = observer, image
        self._start = start
        self._count = 0

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the buffer from its start; raises StoppedError."""
        self._meter.check()
        count = self._content.readinto(buffer)
        self._add(count)
        return count

    def seek(self, offset: int, /) -> None:
        """Go back; what is read again counts once."""
        self._meter.check()
        self._add(offset - self._start - self._count)
        self._content.seek(offset)

    def take_back(self) -> None:
        """Let what was read count as not copied."""
        self._add(-self._count)

    def _add(self, count: int) -> None:
        self._count += count
        self._meter.add_bytes(count)
        self._observer.bytes_copied(count, self._image)
