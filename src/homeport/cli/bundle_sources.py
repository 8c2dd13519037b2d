"""What `homeport bundle save` takes beside images of registries: images in files, and Helm charts."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import msgspec

from homeport.cli.local_sources import LocalSource
from homeport.errors import InvalidReferenceError, UsageError
from homeport.mirror.bundle.archives import open_layout
from homeport.mirror.bundle.charts import ChartName, fetch_chart
from homeport.reference import Reference
from homeport.registry.session import Registries
from homeport.store.oci_layout import Layout

_OCI = "oci://"


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


def read_charts(texts: Iterable[str]) -> tuple[list[ChartName], list[Reference]]:
    """Tell charts of classic repositories from those that are images in a registry; raises UsageError."""
    classic: list[ChartName] = []
    images: list[Reference] = []
    for text in texts:
        if not text.startswith(_OCI):
            classic.append(ChartName.parse(text))
            continue
        try:
            found = Reference.parse(text.removeprefix(_OCI).replace("+", "_"))
        except InvalidReferenceError as error:
            raise UsageError(f"--chart {text}: {error}", hint=error.hint) from None
        if not found.tag and not found.digest:
            raise UsageError(f"--chart {text} has no version", hint="Write oci://HOST/PATH/NAME:VERSION.")
        images.append(found)
    return classic, images
