"""Repositories in the order of their names, without a look at all of them."""

import os
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from homeport.oci.manifest import RawManifest
from homeport.oci.media_types import OCI_INDEX
from homeport.store.filesystem import FileSystemStore
from homeport.store.layout import Layout

COMPONENTS = st.sampled_from(["a", "a-b", "a.b", "a0", "a_b", "b", "manifests", "blobs"])
NAMES = st.lists(COMPONENTS, min_size=1, max_size=3).map("/".join)


@given(names=st.sets(NAMES, max_size=12), after=NAMES | st.sampled_from(["", "a/", "a-", "~"]))
def test_all_that_sort_after_a_text_come_sorted(names, after):
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        layout = Layout(Path(folder))
        for name in names:
            (layout.place(name) / "_manifests").mkdir(parents=True)
        found = list(layout.walk_sorted(after))
    leading = {name[:place] for name in names for place, sign in enumerate(name) if sign == "/"}
    assert [name for name, _ in found] == sorted(name for name in names | leading if name > after)
    assert all(place == layout.repositories / name for name, place in found)


def test_a_page_costs_no_more_where_there_are_many_repositories(tmp_path, monkeypatch):
    store = FileSystemStore(tmp_path / "data")
    store.put_manifest("team/app-0000", RawManifest.of(b"{}", OCI_INDEX))
    for number in range(1, 2000):
        manifests = store.layout.place(f"team/app-{number:04}") / "_manifests"
        manifests.mkdir(parents=True)
        (manifests / "x").touch()
    looks = []
    for name in ("scandir", "listdir"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda path, real=real: looks.append(path) or real(path))
    after, pages = "", 0
    while page := store.repositories(after=after, limit=100):
        assert page == [f"team/app-{number:04}" for number in range(pages * 100, pages * 100 + 100)]
        assert len(looks) < 250
        looks.clear()
        after, pages = page[-1], pages + 1
    assert pages == 20
