"""A deletion that was interrupted: its tags are void, and do not come back."""

import pytest

from homeport.oci.manifest import RawManifest
from homeport.oci.media_types import OCI_INDEX
from homeport.store import deletion
from homeport.store.check import check_store
from homeport.store.collection import Policy, collect
from homeport.store.filesystem import FileSystemStore

INDEX = RawManifest.of(b'{"schemaVersion":2}', OCI_INDEX)
OTHER = RawManifest.of(b'{"schemaVersion":2}\n', OCI_INDEX)


class Killed(BaseException):
    """The end of the process."""


@pytest.fixture
def store(tmp_path) -> FileSystemStore:
    store = FileSystemStore(tmp_path / "data")
    store.put_manifest("a", OTHER, tags=["other"])
    store.put_manifest("a", INDEX, tags=["one", "two"])
    return store


def interrupt(store: FileSystemStore, monkeypatch, step: int) -> None:
    """Delete, and end before the removal of this number."""
    real, steps = deletion.remove_file, iter(range(99))

    def counting(path):
        if next(steps) == step:
            raise Killed
        return real(path)

    with monkeypatch.context() as patched:
        patched.setattr(deletion, "remove_file", counting)
        with pytest.raises(Killed):
            store.delete_manifest("a", INDEX.digest)


@pytest.mark.parametrize("step", [1, 2, 3])
def test_its_tags_are_void_no_damage_and_stay_away_when_the_manifest_comes_again(store, monkeypatch, step):
    interrupt(store, monkeypatch, step)
    assert store.tags("a", limit=9) == ["other"]
    assert list(check_store(store.layout)) == []
    store.put_manifest("a", INDEX, tags=["two"])
    assert store.tags("a", limit=9) == ["other", "two"]
    assert not list(deletion.unfinished(store.layout.place("a")))


def test_before_it_was_decided_nothing_is_deleted(store, monkeypatch):
    interrupt(store, monkeypatch, 0)
    assert store.tags("a", limit=9) == ["one", "other", "two"]
    collect(store.layout, Policy(grace=0, lease=0))
    assert store.tags("a", limit=9) == ["one", "other", "two"]
    assert not list(deletion.unfinished(store.layout.place("a")))


def test_collection_ends_it(store, monkeypatch):
    interrupt(store, monkeypatch, 1)
    collect(store.layout, Policy(grace=0, lease=0))
    assert [path.name for path in (store.layout.place("a") / "_tags").iterdir()] == ["other"]
    assert not list(deletion.unfinished(store.layout.place("a")))
    store.put_manifest("a", INDEX)
    assert store.tags("a", limit=9) == ["other"]
