"""One scheduler for the blobs of all images of a job: each is fetched once, and mounted wherever else it belongs."""

import threading
from bisect import insort
from collections.abc import Iterable
from concurrent.futures import Future
from contextlib import suppress
from types import TracebackType
from typing import Self

import msgspec

from homeport.mirror.homes import TargetHomes
from homeport.mirror.observer import Observer
from homeport.mirror.plan import LARGE_BLOB
from homeport.mirror.ports import Source, Target, Upload
from homeport.mirror.relay import HELD_BYTES, Relay
from homeport.mirror.spool import Spool, Trace
from homeport.mirror.traffic import CountedReader, Meter
from homeport.mirror.workers import StoppedError, Workers
from homeport.oci.manifest import Descriptor
from homeport.reference import Reference


class Place(msgspec.Struct, frozen=True):
    """Where content comes from and goes to, and which image it is for.

    `beside` is the source's repository if the target serves that too; `is_new` means that the target had nothing in its own when the job
    began.
    """

    source: Source
    origin: str
    repository: str
    image: Reference
    beside: str | None = None
    is_new: bool = False


class Transfer:
    """One blob on its way to one repository."""

    def __init__(self, blob: Descriptor, place: Place) -> None:
        self.blob = blob
        self.place = place
        self.claims = 0
        self.arrived: Future[None] = Future()

    @property
    def key(self) -> tuple[str, str]:
        """Repository and digest."""
        return self.place.repository, self.blob.digest


class BlobScheduler:
    """Takes small blobs first, so that images are finished early; one thread at a time is at the largest."""

    def __init__(
        self,
        target: Target,
        workers: Workers,
        meter: Meter,
        observer: Observer,
        *,
        homes: TargetHomes | None = None,
        spool: Spool | None = None,
        registry: str = "",
        large: int = 6,
    ) -> None:
        """`spool` has what earlier transfers to the target, which `registry` names, have left; `large` is how many large blobs move at once."""
        self._target = target
        self._workers = workers
        self._meter = meter
        self._observer = observer
        self._lock = threading.Lock()
        self._transfers: dict[tuple[str, str], Transfer] = {}
        self._ready: list[Transfer] = []
        self._moving: dict[str, list[Transfer]] = {}
        self._homes: dict[str, str] = {}
        self._known = homes or TargetHomes()
        self._spool, self._registry = spool, registry
        self._largest: Transfer | None = None
        self._small_next = False
        self._large_left = large
        self._put_off = 0

    def claim(self, place: Place, blobs: Iterable[Descriptor]) -> "Claims":
        """Ask for blobs to be brought to a repository; a second claim joins the first."""
        return Claims(self, [self._join(place, blob) for blob in blobs])

    def release(self, transfers: Iterable[Transfer]) -> None:
        """Give claims back; what nobody waits for any more is not begun."""
        with self._lock:
            for transfer in transfers:
                transfer.claims -= 1

    def stop(self) -> None:
        """Let nobody wait for what has not begun; what has begun ends by itself."""
        with self._lock:
            waiting = [*self._ready, *(transfer for parked in self._moving.values() for transfer in parked)]
            self._ready.clear()
            self._moving.clear()
        for transfer in waiting:
            transfer.arrived.set_exception(StoppedError())

    def _join(self, place: Place, blob: Descriptor) -> Transfer:
        with self._lock:
            transfer = self._transfers.get((place.repository, blob.digest))
            if transfer is None:
                self._meter.check()
                transfer = Transfer(blob, place)
                self._transfers[transfer.key] = transfer
                self._observer.bytes_expected(blob.size, place.image)
                self._enqueue(transfer)
            transfer.claims += 1
            return transfer

    def _enqueue(self, transfer: Transfer) -> None:
        insort(self._ready, transfer, key=lambda waiting: waiting.blob.size)
        self._begin()

    def _begin(self) -> None:
        with suppress(StoppedError):  # then stop() settles what is ready
            self._workers.submit(self._next)

    def _next(self) -> None:
        """Carry one transfer; there is one call for each that is ready."""
        with self._lock:
            transfer = self._pick()
            if transfer is None or self._must_not_begin(transfer):
                return
            self._moving.setdefault(transfer.blob.digest, [])
        error: BaseException | None = None
        try:
            self._carry(transfer)
        except BaseException as caught:  # noqa: BLE001  # whoever waits for the blob gets it
            error = caught
        self._finish(transfer, error)

    def _pick(self) -> Transfer | None:
        """Take the largest if no thread is at one and a small one had its turn, else the smallest; None while it has to wait."""
        smallest, largest = self._ready[0], self._ready[-1]
        takes_largest = self._largest is None and not self._small_next and self._has_place(largest)
        transfer = largest if takes_largest else smallest
        if not self._has_place(transfer):
            self._put_off += 1
            return None
        self._large_left -= _is_large(transfer)
        self._ready.remove(transfer)
        self._largest = transfer if takes_largest else self._largest
        self._small_next = not self._small_next
        return transfer

    def _has_place(self, transfer: Transfer) -> bool:
        return self._large_left > 0 or not _is_large(transfer)

    def _must_not_begin(self, transfer: Transfer) -> bool:
        """Forget what nobody waits for; park what is under way to another repository, to be mounted from there."""
        digest = transfer.blob.digest
        if not transfer.claims:
            del self._transfers[transfer.key]
        elif digest in self._moving and digest not in self._homes:
            self._moving[digest].append(transfer)
        else:
            return False
        self._leave(transfer)
        return True

    def _leave(self, transfer: Transfer) -> None:
        if self._largest is transfer:
            self._largest = None
        if _is_large(transfer):
            self._large_left += 1
            if self._put_off:
                self._put_off -= 1
                self._begin()

    def _finish(self, transfer: Transfer, error: BaseException | None) -> None:
        digest = transfer.blob.digest
        with self._lock:
            self._leave(transfer)
            if error is None:
                self._homes.setdefault(digest, transfer.place.repository)
                self._known.bring(transfer.place.repository, digest)
            else:
                del self._transfers[transfer.key]
            for waiting in self._moving.pop(digest, ()):
                self._enqueue(waiting)
        if error is None:
            transfer.arrived.set_result(None)
        else:
            transfer.arrived.set_exception(error)

    def _carry(self, transfer: Transfer) -> None:
        blob, place = transfer.blob, transfer.place
        with self._spool.trace(self._registry, place.repository, blob) if self._spool else Trace() as trace:
            upload = self._left(place, trace) or self._start(transfer)
            if upload is None:
                self._observer.bytes_expected(-blob.size, place.image)
            else:
                self._observer.bytes_expected(-upload.offset, place.image)
                self._stream(transfer, upload, trace)
            if trace.is_unproven:
                self._prove(transfer)
            trace.forget()

    def _left(self, place: Place, trace: Trace) -> Upload | None:
        """Find an upload that was not ended, and of which the target has something."""
        found = self._target.find_upload(place.repository, trace.upload) if trace.upload else None
        return found if found and found.offset else None

    def _start(self, transfer: Transfer) -> Upload | None:
        """Mount a blob, or open an upload for it; None where it is there."""
        blob, place = transfer.blob, transfer.place
        own, known = place.repository, self._known.of(blob.digest)
        # Mounting a blob from its own repository asks whether it is there and opens its upload if not, in one request.
        home = own if own in known or not known else known[0]
        mount_from = self._homes.get(blob.digest) or place.beside or home
        upload = self._target.start_blob(own, blob.digest, mount_from=mount_from)
        if upload is None:
            self._known.mounted()
        is_unseen = blob.size >= LARGE_BLOB and not place.is_new and (mount_from != own or not self._known.mounts)
        unsure = is_unseen or self._known.is_given(blob.digest)
        return None if unsure and upload and self._target.has_blob(own, blob.digest) else upload

    def _stream(self, transfer: Transfer, upload: Upload, trace: Trace) -> None:
        blob, place = transfer.blob, transfer.place
        with Relay(place.source, place.origin, blob, self._spool, self._meter.check) as content:
            content.open(upload.offset, is_weak=trace.was_there)
            trace.note(upload, is_unproven=not content.is_verified)
            counted = CountedReader(content, self._meter, self._observer, place.image, upload.offset)
            try:
                self._target.put_blob(place.repository, blob, counted, upload)
            except BaseException:
                counted.take_back()
                raise
            content.done()

    def _prove(self, transfer: Transfer) -> None:
        """Read a blob back whose parts were never hashed together here: no manifest names it before that."""
        buffer = memoryview(bytearray(HELD_BYTES))
        with self._target.open_blob(transfer.place.repository, transfer.blob) as content:
            while content.readinto(buffer):
                self._meter.check()


def _is_large(transfer: Transfer) -> bool:
    return transfer.blob.size >= LARGE_BLOB


class Claims:
    """Blobs that one manifest tree waits for; given back when it is done with them, however that ends."""

    def __init__(self, scheduler: BlobScheduler, transfers: list[Transfer]) -> None:
        self._scheduler = scheduler
        self._transfers = {transfer.blob.digest: transfer for transfer in transfers}
        self._all = transfers

    def wait(self, blobs: Iterable[Descriptor]) -> None:
        """Return when these are there; raises what kept one of them away."""
        for blob in blobs:
            self._transfers[blob.digest].arrived.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._scheduler.release(self._all)
