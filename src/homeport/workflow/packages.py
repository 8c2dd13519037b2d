"""Whatever people name as manifests: files, folders, patterns, charts, kustomizations; read as texts."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from homeport.discovery.inputs import STDIN, Source, read_inputs
from homeport.discovery.packaging.charts import is_chart
from homeport.discovery.packaging.kustomization import read_kustomization, roots_of
from homeport.errors import InputError
from homeport.relocation.kustomized import built, real_path
from homeport.workflow.helm import Settings, read_package

_MARKS: Final = frozenset("*?[")


def read_packages(
    names: Sequence[str],
    *,
    stdin: BinaryIO,
    max_size: int,
    settings: Settings | None = None,
    rewriting: bool = False,
) -> tuple[list[Source], list[InputError]]:
    """Read all that names stand for; what cannot be read, or not wholly, comes back as an error.

    Kustomizations, also those in a folder, are read with their patches and images transformers applied. For `rewriting` they are
    plain files, and a chart counts only where it is rendered, for what is written out must be whole. A folder with charts somewhere
    below it is read as plain files.
    """
    sources: list[Source] = []
    errors: list[InputError] = []
    for name in _expand(names, errors):
        path = Path(name)
        if name != STDIN and is_chart(path):
            found: Iterator[Source | InputError] = _safely(
                read_package(path, settings or Settings(), max_size, rendered_only=rewriting)
            )
        else:
            read, unread = read_inputs([name], stdin=stdin, max_size=max_size)
            found = iter([*(read if rewriting else build(read, max_size)), *unread])
        for each in found:
            if isinstance(each, Source):
                sources.append(each)
            else:
                errors.append(each)
    return sources, errors


def build(sources: Sequence[Source], max_size: int) -> Iterator[Source | InputError]:
    """Yield manifests with the kustomizations among them built, as far as files tell, and the other files as they are."""
    done: set[str] = set()
    texts: set[tuple[str, str]] = set()
    for root in roots_of(sources):
        for each in read_kustomization(root, max_size):
            if isinstance(each, InputError):
                yield each
                continue
            done.add(real_path(each.source))
            source = built(each)
            if (seen := (real_path(source), source.text)) not in texts:
                texts.add(seen)
                yield source
    yield from (source for source in sources if real_path(source) not in done)


def _expand(names: Sequence[str], errors: list[InputError]) -> Iterator[str]:
    for name in names:
        if name == STDIN or not _MARKS & set(name) or Path(name).exists():
            yield name
            continue
        anchor = Path(name).anchor
        matches = sorted(map(str, Path(anchor).glob(str(Path(name).relative_to(anchor)))))
        if not matches:
            errors.append(InputError("no file has such a name", file=name))
        yield from matches


def _safely(found: Iterator[Source | InputError]) -> Iterator[Source | InputError]:
    try:
        yield from found
    except InputError as error:
        yield error
