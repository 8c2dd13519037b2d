"""What `homeport bundle save` takes beside images of registries: images in files, Helm charts, any files."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from homeport.cli.local_sources import LocalSource
from homeport.errors import UsageError
from homeport.mirror.bundle.archives import open_layout
from homeport.mirror.bundle.charts import ChartName, fetch_chart
from homeport.mirror.lock import LOCK
from homeport.reference import Reference
from homeport.registry.session import Registries
from homeport.store.oci_layout import MOST_INDEX_BYTES, Layout


class AtHand(msgspec.Struct, frozen=True):
    """Layouts that need no registry, and what is wanted of them."""

    layouts: tuple[Layout, ...]
    references: tuple[Reference, ...]


@contextmanager
def at_hand(local: Sequence[LocalSource], charts: Iterable[ChartName], registries: Registries) -> Iterator[AtHand]:
    """Open files, and fetch charts of classic repositories; raises HomeportError."""
    with ExitStack() as stack:
        opened = [stack.enter_context(open_layout([source.path])) for source in local]
        wanted = [name for source, layout in zip(local, opened, strict=True) for name in source.references(layout)]
        fetched = [fetch_chart(chart, registries.web(chart.repository).fetch) for chart in charts]
        yield AtHand((*opened, *fetched), (*wanted, *(name for layout in fetched for name in layout.references)))


def read_riders(paths: Sequence[Path]) -> dict[str, bytes]:
    """Read the files that are to come along, and those of folders, by the names that they will have; raises UsageError."""
    riders: dict[str, bytes] = {}
    for path in paths:
        files = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
        for file in files:
            name = file.relative_to(path.parent).as_posix()
            if name in riders:
                raise UsageError(
                    f"--include {file}: another file is called {name} too", hint="Put them in two folders."
                )
            if name == LOCK:
                raise UsageError(f"--include {file}: a bundle has a {LOCK} of its own", hint="Give it another name.")
            if not name.isprintable() or "\\" in name:
                raise UsageError(f"--include {str(file)!r}: a name has only letters that can be shown, and no \\")
            riders[name] = _content(file)
    return riders


def _content(file: Path) -> bytes:
    try:
        body = file.read_bytes()
    except OSError as error:
        raise UsageError(f"--include {file}: {error.strerror}") from None
    if len(body) > MOST_INDEX_BYTES:
        raise UsageError(
            f"--include {file}: it has more than {MOST_INDEX_BYTES >> 20} MiB", hint="Carry it beside the bundle."
        )
    return body
