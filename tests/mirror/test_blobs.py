"""The scheduler of blobs: order, joining, giving up, stopping."""

import threading
from collections.abc import Iterator

import pytest

from homeport.errors import RegistryError
from homeport.mirror.blobs import BlobScheduler, Place
from homeport.mirror.observer import Observer
from homeport.mirror.traffic import CountedReader, Meter
from homeport.mirror.workers import StoppedError, Workers
from homeport.oci.digest import digest_of
from homeport.oci.manifest import Descriptor
from homeport.reference import Reference
from tests.kit.images import BytesReader
from tests.kit.memory import Call, MemoryRegistry

APP = Reference.parse("source.example/app:1")
LAYER = "application/vnd.oci.image.layer.v1.tar"


class Yard:
    """A scheduler with one thread, which stops at a gate until the test opens it."""

    def __init__(self) -> None:
        self.source, self.target = MemoryRegistry("source"), MemoryRegistry("target")
        self.meter = Meter()
        self.workers = Workers(1, "blob")
        self.scheduler = BlobScheduler(self.target, self.workers, self.meter, Observer())
        self.at_gate, self.gate = threading.Event(), threading.Event()
        self.target.trouble = self._wait

    def blob(self, data: bytes) -> Descriptor:
        digest = digest_of(data)
        self.source.blobs["app"][digest] = data
        return Descriptor(LAYER, digest, len(data))

    def place(self, repository: str = "app") -> Place:
        return Place(self.source, "app", repository, APP)

    def uploads(self) -> list[str]:
        return [call.what for call in self.target.calls if call.verb == "PUT blob"]

    def _wait(self, _call: Call) -> None:
        self.at_gate.set()
        assert self.gate.wait(30)


@pytest.fixture
def yard() -> Iterator[Yard]:
    yard = Yard()
    yield yard
    yard.gate.set()
    yard.meter.stop()
    yard.workers.stop()
    yard.scheduler.stop()


def test_small_blobs_go_first_and_large_ones_do_not_starve(yard: Yard):
    first = yard.blob(b"first")
    sized = [yard.blob(bytes(size)) for size in (10, 20, 30, 40, 50, 60)]
    with yard.scheduler.claim(yard.place(), [first]):
        assert yard.at_gate.wait(30)
        with yard.scheduler.claim(yard.place(), sized) as claims:
            yard.gate.set()
            claims.wait(sized)

    names = {blob.digest: blob.size for blob in sized}
    assert [names[digest] for digest in yard.uploads()[1:]] == [10, 60, 20, 50, 30, 40]


def test_few_large_blobs_move_at_once_and_small_ones_pass_them(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("homeport.mirror.blobs.LARGE_BLOB", 100)
    source, target = MemoryRegistry("source"), MemoryRegistry("target")
    workers, gate, moving = Workers(8, "blob"), threading.Event(), threading.Semaphore(0)
    scheduler = BlobScheduler(target, workers, Meter(), Observer(), large=2)
    blobs = [Descriptor(LAYER, digest_of(bytes(size)), size) for size in (1, 2, 3, 101, 102, 103, 104, 105)]
    source.blobs["app"] = {blob.digest: bytes(blob.size) for blob in blobs}
    small, large = blobs[:3], blobs[3:]

    def hold(call: Call) -> None:
        if call.verb == "PUT blob" and call.what in {blob.digest for blob in large}:
            moving.release()
            assert gate.wait(30)

    target.trouble = hold
    with scheduler.claim(Place(source, "app", "app", APP), blobs) as claims:
        claims.wait(small)
        for _ in range(2):
            assert moving.acquire(timeout=30)
        assert target.count("PUT blob") == len(small) + 2
        gate.set()
        claims.wait(large)
    workers.stop()


def test_what_nobody_waits_for_is_not_begun(yard: Yard):
    first, dropped, wanted = (yard.blob(data) for data in (b"first", b"dropped", b"wanted"))
    with yard.scheduler.claim(yard.place(), [first]):
        assert yard.at_gate.wait(30)
        with yard.scheduler.claim(yard.place(), [wanted]) as claims:
            with yard.scheduler.claim(yard.place(), [wanted, dropped]):
                pass
            yard.gate.set()
            claims.wait([wanted])
    with yard.scheduler.claim(yard.place(), [first]) as claims:
        claims.wait([first])

    assert dropped.digest not in yard.uploads()


def test_what_is_read_again_or_taken_back_is_told():
    told: list[tuple[int, Reference]] = []

    class Listening(Observer):
        def bytes_copied(self, count: int, image: Reference) -> None:
            told.append((count, image))

    counted = CountedReader(BytesReader(bytes(10)), Meter(), Listening(), APP)
    counted.readinto(memoryview(bytearray(6)))
    counted.seek(2)
    counted.readinto(memoryview(bytearray(3)))
    counted.take_back()
    assert told == [(6, APP), (-4, APP), (3, APP), (-5, APP)]


def test_a_failure_is_shared_by_who_waits_and_forgotten_after(yard: Yard):
    blob = yard.blob(b"data")

    def full(call: Call) -> None:
        if call.verb == "KEEP blob":
            raise RegistryError("target: 507", status=507)

    yard.target.trouble = full
    with yard.scheduler.claim(yard.place(), [blob]) as one, yard.scheduler.claim(yard.place(), [blob]) as other:
        for claims in (one, other):
            with pytest.raises(RegistryError, match="507"):
                claims.wait([blob])
    assert len(yard.uploads()) == 1
    assert yard.meter.traffic.bytes == 0

    yard.target.trouble = lambda _call: None
    with yard.scheduler.claim(yard.place(), [blob]) as claims:
        claims.wait([blob])
    assert yard.meter.traffic.bytes == 4


def test_another_repository_waits_and_tries_itself_when_the_first_fails(yard: Yard):
    blob = yard.blob(b"data")

    def refuses_one(call: Call) -> None:
        yard.at_gate.set()
        assert yard.gate.wait(30)
        if call.repository == "one":
            raise RegistryError("target: 403", status=403)

    yard.target.trouble = refuses_one
    with yard.scheduler.claim(yard.place("one"), [blob]) as one, yard.scheduler.claim(yard.place("two"), [blob]) as two:
        yard.gate.set()
        with pytest.raises(RegistryError, match="403"):
            one.wait([blob])
        two.wait([blob])
    assert blob.digest in yard.target.blobs["two"]


def test_a_stop_ends_a_transfer_between_two_reads(yard: Yard):
    blob = yard.blob(bytes(200 << 10))
    yard.gate.set()

    def stops(call: Call) -> None:
        if call.verb == "READ blob":
            yard.meter.stop()

    yard.source.trouble = stops
    with yard.scheduler.claim(yard.place(), [blob]) as claims, pytest.raises(StoppedError):
        claims.wait([blob])
    assert yard.target.blobs["app"] == {}


def test_a_stop_lets_nobody_wait(yard: Yard):
    first, waiting = yard.blob(b"first"), yard.blob(b"waiting")
    with yard.scheduler.claim(yard.place(), [first]):
        assert yard.at_gate.wait(30)
        with yard.scheduler.claim(yard.place(), [waiting]) as claims:
            yard.meter.stop()
            yard.workers.stop()
            yard.scheduler.stop()
            with pytest.raises(StoppedError):
                claims.wait([waiting])
    with pytest.raises(StoppedError):
        yard.scheduler.claim(yard.place(), [yard.blob(b"late")])
